package full

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"epoxy/codec"
	"epoxy/codec/cbc"
)

// hexBytes is bytes that JSON holds as hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// connection is what kdf and session vectors have in common.
type connection struct {
	ID         string
	ServerIP   netip.Addr `json:"server_ip"`
	ServerPort uint16     `json:"server_port"`
	ClientIP   netip.Addr `json:"client_ip"`
	ClientPort uint16     `json:"client_port"`
	Secret     hexBytes
	NonceS     hexBytes `json:"nonce_server"`
	NonceC     hexBytes `json:"nonce_client"`
	Time       uint32   `json:"client_ts"`
	ClientKey  hexBytes `json:"client_key"`
	ClientIV   hexBytes `json:"client_iv"`
	ServerKey  hexBytes `json:"server_key"`
	ServerIV   hexBytes `json:"server_iv"`
}

func (c *connection) nonces() Nonces {
	return Nonces{
		ProxyAddr: netip.AddrPortFrom(c.ClientIP, c.ClientPort), MiddleAddr: netip.AddrPortFrom(c.ServerIP, c.ServerPort),
		ProxyNonce: [16]byte(c.NonceC), MiddleNonce: [16]byte(c.NonceS), Time: c.Time,
	}
}

type packet struct {
	Seq        int32
	Body, Wire hexBytes
}

type vectors struct {
	Checksum []struct {
		ID            string
		Input         hexBytes
		CRC32, CRC32C uint32
	}
	KDF   []connection
	Frame []struct {
		ID          string
		Seq         int32
		Body, Frame hexBytes
		Checksum    string
		Padded      hexBytes `json:"frame_padded16"`
	}
	Session []struct {
		connection
		Checksum string   `json:"checksum_after_handshake"`
		Up       []packet `json:"proxy_to_me"`
		Down     []packet `json:"me_to_proxy"`
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
	if len(v.Checksum) == 0 || len(v.KDF) == 0 || len(v.Frame) == 0 || len(v.Session) == 0 {
		t.Fatal("a part of the vectors is missing")
	}
	return v
}

// at returns the place before the frame with sequence number seq, so late that CRC-32C may hold for all of them.
func at(seq int32, castagnoli bool) place {
	return place{frames: 1<<32 + uint64(uint32(seq+2)), castagnoli: castagnoli}
}

// testKeys are any keys.
var testKeys = Keys{Key: [32]byte{1, 2, 3}, IV: [16]byte{4, 5, 6}}

func TestChecksumVectors(t *testing.T) {
	for _, v := range load(t).Checksum {
		plain, late, first := at(0, false), at(0, true), place{castagnoli: true}
		if got := plain.sum(v.Input); got != v.CRC32 {
			t.Errorf("%s: CRC-32 %08x", v.ID, got)
		}
		if got := late.sum(v.Input); got != v.CRC32C {
			t.Errorf("%s: CRC-32C %08x", v.ID, got)
		}
		if got := first.sum(v.Input); got != v.CRC32 {
			t.Errorf("%s: %08x in the first frame", v.ID, got)
		}
	}
}

// A65: keys and IVs from fixed nonces, addresses and secrets.
func TestKeyVectors(t *testing.T) {
	v := load(t)
	all := v.KDF
	for _, s := range v.Session {
		all = append(all, s.connection)
	}
	for _, c := range all {
		n := c.nonces()
		for _, mapped := range []bool{false, true} { // IPv4 in IPv6 counts as IPv4
			if mapped {
				n.ProxyAddr = netip.AddrPortFrom(netip.AddrFrom16(c.ClientIP.As16()), c.ClientPort)
			}
			up, down, err := n.Derive(c.Secret)
			if err != nil {
				t.Fatalf("%s: %v", c.ID, err)
			}
			if !bytes.Equal(up.Key[:], c.ClientKey) || !bytes.Equal(up.IV[:], c.ClientIV) {
				t.Errorf("%s: up %x, %x", c.ID, up.Key, up.IV)
			}
			if !bytes.Equal(down.Key[:], c.ServerKey) || !bytes.Equal(down.IV[:], c.ServerIV) {
				t.Errorf("%s: down %x, %x", c.ID, down.Key, down.IV)
			}
		}
	}
}

func TestKeyFaults(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::1]:1")
	for name, c := range map[string]struct {
		proxy, middle netip.AddrPort
		secret        int
	}{
		"v4 to v6":         {v4, v6, 128},
		"v6 to v4":         {v6, v4, 128},
		"no addresses":     {netip.AddrPort{}, netip.AddrPort{}, 128},
		"no proxy address": {netip.AddrPort{}, v4, 128},
		"short secret":     {v4, v4, 31},
		"long secret":      {v4, v4, 257},
	} {
		n := Nonces{ProxyAddr: c.proxy, MiddleAddr: c.middle}
		if _, _, err := n.Derive(make([]byte, c.secret)); codec.ReasonOf(err, 0) != codec.ReasonLinkKeys {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := Nonces{ProxyAddr: v6, MiddleAddr: v6}
	for _, size := range []int{MinSecret, MaxSecret} {
		if _, _, err := n.Derive(make([]byte, size)); err != nil {
			t.Errorf("a secret of %d bytes: %v", size, err)
		}
	}
	secret := make([]byte, MaxSecret)
	if n := testing.AllocsPerRun(100, func() { _, _, _ = n.Derive(secret) }); n != 0 {
		t.Errorf("Derive allocates %v times", n)
	}
}

func TestKeysHidden(t *testing.T) {
	if text := testKeys.String() + testKeys.GoString(); strings.Contains(text, "1") {
		t.Errorf("keys print as %q", text)
	}
}

// A66, A67, A68: exact bytes without and with padding, at any sequence number.
// A69: and back.
func TestFrameVectors(t *testing.T) {
	for _, v := range load(t).Frame {
		place := at(v.Seq, v.Checksum == "crc32c")
		clear := Encoder{place: place}
		if got := clear.Flush(clear.Append([]byte("before"), v.Body), 6); string(got[:6]) != "before" || !bytes.Equal(got[6:], v.Frame) {
			t.Errorf("%s: wrote %x", v.ID, got)
		}
		e := Encoder{place: place}
		e.Start(&testKeys)
		wire := e.Flush(e.Append(nil, v.Body), 0)
		plain := make([]byte, len(wire))
		c := cbc.NewDecrypter(&testKeys.Key, &testKeys.IV)
		if c.CryptBlocks(plain, wire); !bytes.Equal(plain, v.Padded) {
			t.Errorf("%s: wrote %x", v.ID, plain)
		}
		d := Decoder{place: place}
		d.Start(&testKeys)
		d.Feed(wire)
		body, err := d.Next()
		if err != nil || !bytes.Equal(body, v.Body) {
			t.Errorf("%s: read %x, %v", v.ID, body, err)
		}
		if _, err := d.Next(); err != codec.ErrShort {
			t.Errorf("%s: then %v", v.ID, err)
		}
	}
}

// A60, A61, A62: the handshake's and all later packets, encrypted and decrypted with a chained IV.
// A43, A44: with both checksums.
func TestSessionVectors(t *testing.T) {
	for _, v := range load(t).Session {
		n := v.nonces()
		up, down, err := n.Derive(v.Secret)
		if err != nil {
			t.Fatal(err)
		}
		for keys, packets := range map[*Keys][]packet{&up: v.Up, &down: v.Down} {
			var e Encoder
			var d Decoder
			for i, p := range packets {
				if int32(e.seq()) != p.Seq {
					t.Fatalf("%s: sequence number %d, want %d", v.ID, int32(e.seq()), p.Seq)
				}
				if got := e.Flush(e.Append(nil, p.Body), 0); !bytes.Equal(got, p.Wire) {
					t.Fatalf("%s %d: wrote %x, want %x", v.ID, i, got, p.Wire)
				}
				d.Feed(bytes.Clone(p.Wire))
				if body, err := d.Next(); err != nil || !bytes.Equal(body, p.Body) {
					t.Fatalf("%s %d: read %x, %v", v.ID, i, body, err)
				}
				switch {
				case i == 0:
					e.Start(keys)
					d.Start(keys)
				case i == 1 && v.Checksum == "crc32c":
					e.UseCRC32C()
					d.UseCRC32C()
				}
				if body, err := d.Next(); err != codec.ErrShort {
					t.Fatalf("%s %d: then %x, %v", v.ID, i, body, err)
				}
			}
		}
	}
}
