package faketls

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"epoxy/codec"
)

// hexBytes is a hex string in JSON.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(p []byte) error {
	*h = make([]byte, hex.DecodedLen(len(p)))
	_, err := hex.Decode(*h, p)
	return err
}

func (h hexBytes) key() codec.Key { return codec.Key(h) }

type helloVector struct {
	Name, Client, SNI, Domain, Expect string
	Secret, Hello, Wire               hexBytes
	ClientRandom                      hexBytes `json:"client_random"`
	SessionID                         hexBytes `json:"session_id"`
	FirstSuite                        hexBytes `json:"first_tls13_suite"`
	Groups                            []string `json:"groups_with_keys"`
	Timestamp                         uint32
	Single                            hexBytes `json:"equivalent_single_record"`
	UnixTime                          uint32   `json:"unix_time"`
	Bytes                             int
	DigestOK                          bool `json:"digest_ok"`
	Original                          hexBytes
	ReplayKey                         hexBytes `json:"replay_key_16"`
}

type flightVector struct {
	Name             string
	Secret           hexBytes
	ClientRandom     hexBytes `json:"client_random"`
	SessionID        hexBytes `json:"session_id"`
	Suite, Group     hexBytes
	KeyShare         hexBytes `json:"key_share"`
	AppDataLen       int      `json:"app_data_len"`
	ServerHelloBytes int      `json:"server_hello_record_len"`
	Flight           hexBytes
}

type vectors struct {
	Hello    []helloVector  `json:"client_hello"`
	Negative []helloVector  `json:"client_hello_negative"`
	Shifted  helloVector    `json:"client_hello_replay_shifted"`
	Torn     helloVector    `json:"client_hello_two_records"`
	Flight   []flightVector `json:"server_flight"`
	Records  struct {
		Secret, Header, Packet1, Packet2 hexBytes
		First                            hexBytes `json:"first_client_bytes"`
		Second                           hexBytes `json:"second_client_bytes"`
		Server                           hexBytes `json:"server_bytes"`
		ServerPacket                     hexBytes `json:"server_packet"`
	} `json:"tls_records"`
}

func load(t testing.TB, name string, into any) {
	t.Helper()
	p, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p, into); err != nil {
		t.Fatal(err)
	}
}

func loadVectors(t testing.TB) (v vectors) {
	load(t, "vectors.json", &v)
	return v
}

func loadCaptured(t testing.TB) []helloVector {
	var v struct{ Hellos []helloVector }
	load(t, "captured.json", &v)
	return v.Hellos
}

// source returns a reproducible rand argument.
func source(seed byte) func([]byte) {
	r := rand.NewChaCha8([32]byte{seed})
	return func(p []byte) { _, _ = r.Read(p) }
}

func mustParse(t testing.TB, p []byte) Hello {
	t.Helper()
	h, used, err := ParseHello(p, nil)
	if err != nil || used != len(p) {
		t.Fatalf("ParseHello: used %d of %d, %v", used, len(p), err)
	}
	return h
}

func TestHelloVectors(t *testing.T) {
	for _, v := range loadVectors(t).Hello {
		h := mustParse(t, v.Hello)
		if !bytes.Equal(h.Record, v.Hello) || !bytes.Equal(h.Random, v.ClientRandom) ||
			!bytes.Equal(h.SessionID, v.SessionID) || string(h.SNI) != v.SNI {
			t.Errorf("%s: fields differ: %+v", v.Name, h)
		}
		if (h.X25519 != nil) != slices.Contains(v.Groups, "x25519") || (h.MLKEM != nil) != slices.Contains(v.Groups, "x25519mlkem768") {
			t.Errorf("%s: shares %d and %d bytes", v.Name, len(h.X25519), len(h.MLKEM))
		}
		unix, ok := NewDigester().Check(NewKey(v.Secret.key()), &h)
		if !ok || unix != v.Timestamp {
			t.Errorf("%s: digest %v, time %d", v.Name, ok, unix)
		}
		c, err := new(Profile).Choose(&h)
		if err != nil || c.Suite != binary.BigEndian.Uint16(v.FirstSuite) || c.Group != X25519 {
			t.Errorf("%s: choice %+v, %v", v.Name, c, err)
		}
	}
}

func TestHelloVectorsNegative(t *testing.T) {
	v := loadVectors(t)
	for i, n := range v.Negative {
		h := mustParse(t, n.Hello)
		_, ok := NewDigester().Check(NewKey(n.Secret.key()), &h)
		_, err := new(Profile).Choose(&h)
		switch {
		case ok != (i >= 2):
			t.Errorf("%s: digest %v", n.Name, ok)
		case n.Name == "valid-digest-no-sni" && h.SNI != nil:
			t.Errorf("%s: SNI %q", n.Name, h.SNI)
		case n.Name == "valid-digest-tls12-suites-only" && codec.ReasonOf(err, 0) != codec.ReasonHelloSuite:
			t.Errorf("%s: %v", n.Name, err)
		}
	}
	h := mustParse(t, v.Shifted.Hello)
	unix, ok := NewDigester().Check(NewKey(v.Shifted.Secret.key()), &h)
	if !ok || unix != v.Shifted.Timestamp || !bytes.Equal(h.Random[:16], v.Shifted.ReplayKey) {
		t.Errorf("shifted: digest %v, time %d, replay key %x", ok, unix, h.Random[:16])
	}
}

// B10: a hello in two TLS records.
func TestHelloVectorTorn(t *testing.T) {
	v := loadVectors(t).Torn
	join := append(make([]byte, 0, 4096), "kept"...)
	h, used, err := ParseHello(v.Wire, join)
	if err != nil || used != len(v.Wire) || !bytes.Equal(h.Record, v.Single) {
		t.Fatalf("used %d of %d, %v", used, len(v.Wire), err)
	}
	if &join[:5][4] != &h.Record[0] || string(join) != "kept" {
		t.Error("the hello is not appended to join")
	}
	if unix, ok := NewDigester().Check(NewKey(v.Secret.key()), &h); !ok || unix != v.Timestamp {
		t.Errorf("digest %v, time %d", ok, unix)
	}
}

// A04, B10: the hellos that TDLib, gotd and mtcute send.
func TestCapturedHellos(t *testing.T) {
	for _, v := range loadCaptured(t) {
		h := mustParse(t, v.Hello)
		unix, ok := NewDigester().Check(NewKey(v.Secret.key()), &h)
		if len(v.Hello) != v.Bytes || ok != v.DigestOK || unix != v.UnixTime || string(h.SNI) != v.Domain {
			t.Errorf("%s: %d bytes, digest %v, time %d, SNI %q", v.Client, len(v.Hello), ok, unix, h.SNI)
		}
		if len(h.SessionID) != 32 || len(h.Suites) != 32 || len(h.X25519) != 32 || len(h.MLKEM) != 1216 {
			t.Errorf("%s: session id %d, suites %d, x25519 %d, hybrid %d bytes",
				v.Client, len(h.SessionID), len(h.Suites), len(h.X25519), len(h.MLKEM))
		}
	}
}

func TestFlightVectors(t *testing.T) {
	for _, v := range loadVectors(t).Flight {
		c := Choice{Suite: binary.BigEndian.Uint16(v.Suite), Group: Group(binary.BigEndian.Uint16(v.Group))}
		flight := appendServerHello(nil, v.SessionID, c, v.Name == "x25519-versions-first", v.KeyShare)
		if len(flight) != v.ServerHelloBytes || len(v.KeyShare) != c.Group.answerSize() {
			t.Errorf("%s: ServerHello of %d bytes", v.Name, len(flight))
		}
		flight = appendTail(flight, v.AppDataLen)
		copy(flight[len(flight)-v.AppDataLen:], v.Flight[len(v.Flight)-v.AppDataLen:])
		NewDigester().sign(NewKey(v.Secret.key()), v.ClientRandom, flight)
		if !bytes.Equal(flight, v.Flight) {
			t.Errorf("%s: flight differs:\n%x\n%x", v.Name, flight[:150], v.Flight[:150])
		}
		secret := v.Secret.key()
		if used, err := CheckFlight(v.Flight, &secret, v.ClientRandom); err != nil || used != len(v.Flight) {
			t.Errorf("%s: CheckFlight: %d, %v", v.Name, used, err)
		}
	}
}

// TestRecordVectors strips the vector's records and opens what is inside: header and padded packets.
func TestRecordVectors(t *testing.T) {
	v := loadVectors(t).Records
	var r Reader
	first, second := slices.Clone(v.First), slices.Clone(v.Second)
	n, err := r.Strip(first)
	m, err2 := r.Strip(second)
	if err != nil || err2 != nil || !bytes.Equal(first[:64], v.Header) {
		t.Fatal(err, err2)
	}
	stream := append(slices.Clone(first[:n]), second[:m]...)
	stream = open(t, v.Header[8:56], v.Secret, stream)[64:]
	for i, packet := range [][]byte{v.Packet1, v.Packet2} {
		size := 4 + int(binary.LittleEndian.Uint32(stream))
		if !bytes.HasPrefix(stream[4:size], packet) {
			t.Errorf("packet %d differs", i+1)
		}
		stream = stream[size:]
	}
	server := slices.Clone(v.Server)
	header := make([]byte, HeaderSize)
	PutHeader(header, len(server)-HeaderSize)
	if !bytes.Equal(header, server[:HeaderSize]) {
		t.Errorf("PutHeader: %x", header)
	}
	back := slices.Clone([]byte(v.Header[8:56]))
	slices.Reverse(back)
	if !bytes.HasPrefix(open(t, back, v.Secret, server[HeaderSize:])[4:], v.ServerPacket) {
		t.Error("server packet differs")
	}
}

// open decrypts an obfuscated2 stream whose key and iv come from seed (spec client-protocols 1.2).
func open(t *testing.T, seed, secret, p []byte) []byte {
	key := sha256.Sum256(append(slices.Clone(seed[:32]), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCTR(block, seed[32:48]).XORKeyStream(p, p)
	return p
}
