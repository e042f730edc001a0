package obfs2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/cbc"
)

// hexBytes is a JSON string of hex digits; null is nil.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// vectors is testdata/vectors.json; its origin stands there.
type vectors struct {
	Server []struct {
		Name       string
		DC         codec.DC
		Transport  string
		Secret     hexBytes
		Plain      hexBytes `json:"plain_header"`
		Wire       hexBytes `json:"wire_header"`
		UpKey      hexBytes `json:"c2s_key"`
		UpIV       hexBytes `json:"c2s_iv"`
		DownKey    hexBytes `json:"s2c_key"`
		DownIV     hexBytes `json:"s2c_iv"`
		ReplayKey  hexBytes `json:"replay_key_48"`
		UpFrames   hexBytes `json:"c2s_frames_plain"`
		UpWire     hexBytes `json:"c2s_frames_wire"`
		DownFrames hexBytes `json:"s2c_frames_plain"`
		DownWire   hexBytes `json:"s2c_frames_wire"`
	}
	Negative []struct {
		Name   string
		Wire   hexBytes `json:"wire_header"`
		Secret hexBytes
	}
	Direct []struct {
		ID          string
		Random      hexBytes `json:"random64"`
		Tag         hexBytes
		DC          codec.DC
		Wire        hexBytes `json:"wire_header"`
		UpKey       hexBytes `json:"up_key"`
		UpIV        hexBytes `json:"up_iv"`
		DownKey     hexBytes `json:"down_key"`
		DownIV      hexBytes `json:"down_iv"`
		UpPayload   hexBytes `json:"up_payload"`
		UpWire      hexBytes `json:"up_wire"`
		DownPayload hexBytes `json:"down_payload"`
		DownWire    hexBytes `json:"down_wire"`
	}
	Fast []struct {
		ID      string
		Random  hexBytes `json:"random64"`
		OutKey  hexBytes `json:"proxy_to_client_key"`
		OutIV   hexBytes `json:"proxy_to_client_iv"`
		Tag     hexBytes
		DC      codec.DC
		Wire    hexBytes `json:"upstream_wire_header"`
		Plain   hexBytes `json:"server_plain"`
		Crossed hexBytes `json:"ciphertext_on_both_hops"`
	}
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Server) == 0 || len(v.Negative) == 0 || len(v.Direct) == 0 || len(v.Fast) == 0 {
		t.Fatal("a part of the vectors is missing")
	}
	return v
}

func keyOf(b []byte) *codec.Key {
	if b == nil {
		return nil
	}
	k := codec.Key(b)
	return &k
}

func xored(s *Stream, p []byte) []byte {
	out := make([]byte, len(p))
	s.XOR(out, p)
	return out
}

func want(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s = %x, want %x", what, got, want)
	}
}

func TestServerVectors(t *testing.T) {
	for _, v := range load(t).Server {
		t.Run(v.Name, func(t *testing.T) {
			secret := keyOf(v.Secret)
			untouched := bytes.Clone(v.Wire)
			transport, dc, ok := Match(v.Wire, secret)
			if !ok || transport.String() != v.Transport || dc != v.DC {
				t.Fatalf("Match = %v, %v, %v", transport, dc, ok)
			}
			in, out := Accept(v.Wire, secret)
			want(t, "in key", in.key[:], v.UpKey)
			want(t, "in iv", in.iv[:], v.UpIV)
			want(t, "out key", out.key[:], v.DownKey)
			want(t, "out iv", out.iv[:], v.DownIV)
			if in.Offset() != InitSize || out.Offset() != 0 || in.Live() || out.Live() {
				t.Errorf("streams start at %d, %d", in.Offset(), out.Offset())
			}
			want(t, "up", xored(&in, v.UpWire), v.UpFrames)
			want(t, "down", xored(&out, v.DownFrames), v.DownWire)
			want(t, "replay key", ReplayKey(v.Wire), v.ReplayKey)
			want(t, "init afterwards", v.Wire, untouched)

			wire, _, _, ok := ClientInit((*[64]byte)(v.Plain), secret, transport, dc)
			if !ok {
				t.Fatal("ClientInit refused the random bytes")
			}
			want(t, "wire", wire[:], v.Wire)
		})
	}
}

func TestNegativeVectors(t *testing.T) {
	for _, v := range load(t).Negative {
		if transport, _, ok := Match(v.Wire, keyOf(v.Secret)); ok {
			t.Errorf("%s: matched as %v", v.Name, transport)
		}
	}
}

func TestMatchShort(t *testing.T) {
	v := load(t).Server[0]
	for n := range v.Wire {
		if _, _, ok := Match(v.Wire[:n], keyOf(v.Secret)); ok {
			t.Errorf("matched %d bytes", n)
		}
	}
	if _, _, ok := Match(append(bytes.Clone(v.Wire), 1, 2, 3), keyOf(v.Secret)); !ok {
		t.Error("bytes behind the init changed the answer")
	}
}

// A48: a stream to a DC, both ways.
func TestDirectVectors(t *testing.T) {
	for _, v := range load(t).Direct {
		t.Run(v.ID, func(t *testing.T) {
			transport := codec.TransportOf(binary.LittleEndian.Uint32(v.Tag))
			wire, up, down, ok := ClientInit((*[64]byte)(v.Random), nil, transport, v.DC)
			if !ok {
				t.Fatal("ClientInit refused the random bytes")
			}
			want(t, "wire", wire[:], v.Wire)
			want(t, "up key", up.key[:], v.UpKey)
			want(t, "up iv", up.iv[:], v.UpIV)
			want(t, "down key", down.key[:], v.DownKey)
			want(t, "down iv", down.iv[:], v.DownIV)
			want(t, "up", xored(&up, v.UpPayload), v.UpWire)
			want(t, "down", xored(&down, v.DownWire), v.DownPayload)
		})
	}
}

func TestFastVectors(t *testing.T) {
	for _, v := range load(t).Fast {
		random := [64]byte(v.Random)
		out := NewStream((*[32]byte)(v.OutKey), (*[16]byte)(v.OutIV), 0)
		Mirror(&random, &out)
		transport := codec.TransportOf(binary.LittleEndian.Uint32(v.Tag))
		wire, _, down, ok := ClientInit(&random, nil, transport, v.DC)
		if !ok {
			t.Fatalf("%s: ClientInit refused the random bytes", v.ID)
		}
		want(t, "wire", wire[:], v.Wire)
		want(t, "out", xored(&out, v.Plain), v.Crossed)
		want(t, "down", xored(&down, v.Crossed), v.Plain)
	}
}

// A09: the same opening gives the same replay key, whatever a man in the middle does to the bytes that carry no key.
func TestReplayKey(t *testing.T) {
	v := load(t).Server[2]
	again := bytes.Clone(v.Wire)
	for _, i := range []int{0, 7, 60, 63} {
		again[i] ^= 0xff
	}
	want(t, "replay key", ReplayKey(again), ReplayKey(v.Wire))
	again[8] ^= 1
	if bytes.Equal(ReplayKey(again), ReplayKey(v.Wire)) {
		t.Error("another key seed gives the same replay key")
	}
	if &ReplayKey(again)[0] != &again[8] || cap(ReplayKey(again)) != 48 {
		t.Error("the replay key does not point into the init")
	}
}

func TestForbidden(t *testing.T) {
	for _, start := range []string{
		"HEAD1234", "POST1234", "GET 1234", "OPTI1234", "\xef1231234", "\xee\xee\xee\xee1234", "\xdd\xdd\xdd\xdd1234",
		"\x16\x03\x01\x021234", "\x16\x03\x03\x001234", "1234\x00\x00\x00\x00",
	} {
		if !Forbidden([]byte(start)) {
			t.Errorf("%q is allowed", start)
		}
		random := [64]byte([]byte(start + string(make([]byte, 56))))
		if _, _, _, ok := ClientInit(&random, nil, codec.Padded, 2); ok {
			t.Errorf("ClientInit took %q", start)
		}
	}
	for _, start := range []string{"GET1234 ", "1\xef341234", "\xee\xee\xee\xed1234", "\x16\x02\x01\x021234", "1234\x00\x00\x00\x01"} {
		if Forbidden([]byte(start)) {
			t.Errorf("%q is forbidden", start)
		}
	}
}

func drawKey(t *rapid.T, label string) *codec.Key {
	if rapid.Bool().Draw(t, label+" is none") {
		return nil
	}
	return keyOf(rapid.SliceOfN(rapid.Byte(), codec.KeySize, codec.KeySize).Draw(t, label))
}

var (
	transports  = rapid.SampledFrom([]codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded})
	randomInits = rapid.Custom(func(t *rapid.T) (random [64]byte) {
		copy(random[:], rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "random"))
		return random
	}).Filter(func(random [64]byte) bool { return !Forbidden(random[:]) })
	payloads = rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 100), 1, 8)
)

// A49: any secret, DC and transport: the opening gives DC and transport back.
// A50, A72: then both directions carry bytes, cut anywhere, with compaction at any time.
func TestHandshakeAndStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := randomInits.Draw(t, "random")
		secret := drawKey(t, "secret")
		transport := transports.Draw(t, "transport")
		dc := codec.DC(rapid.Int16().Draw(t, "dc"))
		wire, up, down, ok := ClientInit(&random, secret, transport, dc)
		if !ok || !bytes.Equal(wire[:56], random[:56]) {
			t.Fatal("bad opening")
		}
		gotTransport, gotDC, ok := Match(wire[:], secret)
		if !ok || gotTransport != transport || gotDC != dc {
			t.Fatalf("Match = %v, %v, %v", gotTransport, gotDC, ok)
		}
		in, out := Accept(wire[:], secret)
		for _, way := range []struct{ from, to *Stream }{{&up, &in}, {&out, &down}} {
			for _, p := range payloads.Draw(t, "payloads") {
				p = append(p, 1) // never empty, so that equal means decrypted
				got := xored(way.to, xored(way.from, p))
				if !bytes.Equal(got, p) {
					t.Fatalf("got %x, want %x", got, p)
				}
				if rapid.Bool().Draw(t, "compact") {
					way.to.Compact()
				}
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, v := range load(f).Server {
		f.Add([]byte(v.Wire), []byte(v.Secret))
	}
	f.Fuzz(func(t *testing.T, init, secret []byte) {
		var key *codec.Key
		if len(secret) >= codec.KeySize {
			key = keyOf(secret[:codec.KeySize])
		}
		transport, dc, ok := Match(init, key)
		if !ok {
			return
		}
		// What Match reads from one block is what the whole stream says.
		in, _ := Accept(init, key)
		whole := NewStream(&in.key, &in.iv, 0)
		plain := xored(&whole, init[:InitSize])
		if binary.LittleEndian.Uint32(plain[56:]) != transport.Tag() || codec.DC(binary.LittleEndian.Uint16(plain[60:])) != dc {
			t.Errorf("Match = %v, %v of %x", transport, dc, plain)
		}
	})
}

// A stranger's opening costs no memory per secret tried.
func TestMatchAllocatesNothing(t *testing.T) {
	if !cbcOnStack() {
		t.Skip("no AES instructions: the cipher lies on the heap here")
	}
	var secret codec.Key
	init := make([]byte, InitSize)
	if n := testing.AllocsPerRun(100, func() { Match(init, &secret) }); n != 0 {
		t.Errorf("%.1f allocations for a secret that does not fit", n)
	}
}

// cbcOnStack reports whether package cbc works without the heap on this machine.
func cbcOnStack() bool {
	var key [keySize]byte
	return testing.AllocsPerRun(10, func() { cbc.Block(&key, [blockSize]byte{}) }) == 0
}
