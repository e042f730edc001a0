package faketls

import (
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/mlkem"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"testing"

	"epoxy/codec"
)

// answer parses hello, answers it with p and checks the flight as a client does.
func answer(t *testing.T, hello []byte, p Profile) (flight []byte, c Choice) {
	t.Helper()
	h := mustParse(t, hello)
	c, err := p.Choose(&h)
	if err != nil {
		t.Fatal(err)
	}
	flight, err = NewDigester().AppendFlight([]byte("kept"), NewKey(testSecret), &h, &p, c, source(4))
	if err != nil || !bytes.HasPrefix(flight, []byte("kept")) {
		t.Fatal(err)
	}
	flight = flight[4:]
	if used, err := CheckFlight(flight, &testSecret, h.Random); err != nil || used != len(flight) {
		t.Fatalf("CheckFlight: %d of %d, %v", used, len(flight), err)
	}
	if data := flight[len(flight)-MinAppData:]; bytes.Count(data, data[:1]) > 50 {
		t.Fatal("the application data is not random")
	}
	if len(flight) > MaxFlight || !bytes.Equal(flight[44:44+len(h.SessionID)], h.SessionID) {
		t.Fatalf("%d bytes, session id %x", len(flight), flight[44:76])
	}
	return flight, c
}

// share returns the key in a flight's first record, whose extensions begin at 81.
func share(t *testing.T, flight []byte, g Group) []byte {
	t.Helper()
	at := 81
	if flight[82] == extVersions {
		at += 6
	}
	n := g.answerSize()
	head := []byte{0, extKeyShare, byte((n + 4) >> 8), byte(n + 4), byte(g >> 8), byte(g), byte(n >> 8), byte(n)}
	if !bytes.HasPrefix(flight[at:], head) {
		t.Fatalf("key share extension: %x", flight[at:at+8])
	}
	return flight[at+8 : at+8+n]
}

// checkPoint fails unless p is a point on the curve and of no low order.
func checkPoint(t *testing.T, p []byte) {
	t.Helper()
	be := slices.Clone(p)
	slices.Reverse(be)
	u := new(big.Int).SetBytes(be)
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	v2 := new(big.Int).Mul(u, u) // u^3 + 486662 u^2 + u
	v2.Mul(v2, new(big.Int).Add(u, big.NewInt(486662))).Add(v2, u).Mod(v2, prime)
	if new(big.Int).ModSqrt(v2, prime) == nil {
		t.Errorf("%x is not on the curve", p)
	}
	ours, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ecdh.X25519().NewPublicKey(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.ECDH(theirs); err != nil {
		t.Error(err)
	}
}

// A03, A04: our answer to the captured hellos has the sizes of spec client-protocols 4.3.
func TestFlightForCapturedHellos(t *testing.T) {
	for _, v := range loadCaptured(t) {
		for _, p := range []Profile{
			{}, {Group: X25519MLKEM768}, {Group: X25519MLKEM768, VersionsFirst: true, AppData: 4000}, {Suite: 0x1302, AppData: 1500, Spread: 3},
		} {
			flight, c := answer(t, v.Hello, p)
			want, group := 127, X25519
			if p.Group == X25519MLKEM768 {
				want, group = 1215, X25519MLKEM768
			}
			suite := max(p.Suite, 0x1301)
			record := HeaderSize + int(binary.BigEndian.Uint16(flight[3:]))
			data := int(binary.BigEndian.Uint16(flight[record+9:]))
			if record != want || c.Group != group || c.Suite != suite || binary.BigEndian.Uint16(flight[76:]) != suite {
				t.Errorf("%s %+v: ServerHello of %d bytes, %+v", v.Client, p, record, c)
			}
			if low := cmp.Or(p.AppData, FallbackAppData); data < low || data > low+int(p.Spread) || len(flight) != record+11+data {
				t.Errorf("%s %+v: flight of %d bytes, data %d", v.Client, p, len(flight), data)
			}
			key := share(t, flight, group)
			checkPoint(t, key[len(key)-32:])
		}
	}
}

// A client gets a secret from the ciphertext, as from any of its length, and no two flights have the same.
func TestFlightDecapsulates(t *testing.T) {
	key, err := mlkem.GenerateKey768()
	if err != nil {
		t.Fatal(err)
	}
	shares := testShares(t)
	copy(shares.MLKEM[:], key.EncapsulationKey().Bytes())
	c := ClientHello{Domain: "www.example.org", Secret: testSecret, Shares: shares}
	hello, err := c.Append(nil, source(2))
	if err != nil {
		t.Fatal(err)
	}
	h, d, rand, seen := mustParse(t, hello), NewDigester(), source(4), map[string]bool{}
	for range 20 { // more than one batch of points
		flight, err := d.AppendFlight(nil, NewKey(testSecret), &h, &Profile{}, Choice{0x1301, X25519MLKEM768}, rand)
		if err != nil {
			t.Fatal(err)
		}
		answer := share(t, flight, X25519MLKEM768)
		secret, err := key.Decapsulate(answer[:mlkemCipherSize])
		if err != nil {
			t.Fatal(err)
		}
		checkPoint(t, answer[mlkemCipherSize:])
		seen[string(secret)], seen[string(answer[mlkemCipherSize:])] = true, true
	}
	if len(seen) != 40 {
		t.Errorf("%d different secrets and points, want 40", len(seen))
	}
}

func TestFlightAppDataSize(t *testing.T) {
	hello := testHello(t, Small)
	for in, want := range map[int]int{0: FallbackAppData, 1: 1000, 999: 1000, 1000: 1000, 10240: 10240, 10241: 10240, 1 << 20: 10240} {
		flight, _ := answer(t, hello, Profile{Suite: 0x1302, AppData: in}) // which a small hello offers first
		if got := len(flight) - 127 - 11; got != want {
			t.Errorf("AppData %d: record of %d", in, got)
		}
	}
	for _, c := range []struct {
		prefers, answers uint16
		want             int
	}{{0, 0x1301, 3000}, {0, 0x1303, 3000}, {0, 0x1302, 3016}, {0x1301, 0x1302, 3016}, {0x1302, 0x1302, 3000}, {0x1302, 0x1301, 2984}} {
		p := Profile{Suite: c.prefers, AppData: 3000}
		if n := p.appData(c.answers, 0); n != c.want { // SHA-384 makes Finished longer
			t.Errorf("%x instead of %x: %d bytes", c.answers, c.prefers, n)
		}
	}
	low, high := MaxAppData, 0
	rand := source(9)
	for range 10000 {
		n := Fallback(rand).AppData
		low, high = min(low, n), max(high, n)
	}
	if low < 2000 || low > 2050 || high > 4500 || high < 4450 {
		t.Errorf("Fallback draws %d..%d", low, high)
	}
	seen := map[int]bool{}
	for r := range 256 {
		p := Profile{AppData: 2000, Spread: 3}
		seen[p.appData(0x1301, byte(r))] = true
	}
	if len(seen) != 4 || !seen[2000] || !seen[2003] {
		t.Errorf("sizes %v", seen)
	}
}

func TestChoose(t *testing.T) {
	grease, key, hybrid := "\x1a\x1a", make([]byte, 32), make([]byte, 1216)
	for _, c := range []struct {
		name    string
		profile Profile
		hello   Hello
		want    Choice
		why     codec.Reason
	}{
		{"first suite", Profile{}, Hello{Suites: []byte(grease + "\xc0\x2f\x13\x03\x13\x01"), X25519: key}, Choice{0x1303, X25519}, 0},
		{"front's suite", Profile{Suite: 0x1301}, Hello{Suites: []byte(grease + "\x13\x03\x13\x01"), X25519: key}, Choice{0x1301, X25519}, 0},
		{"front's suite not offered", Profile{Suite: 0x1302}, Hello{Suites: []byte("\x13\x03\x13\x01"), X25519: key}, Choice{0x1303, X25519}, 0},
		{"no such suite", Profile{Suite: 0xc02f}, Hello{Suites: []byte("\xc0\x2f\x13\x01"), X25519: key}, Choice{0x1301, X25519}, 0},
		{"1300 and 1304", Profile{}, Hello{Suites: []byte("\x13\x00\x13\x04"), X25519: key}, Choice{}, codec.ReasonHelloSuite},
		{"default group", Profile{}, Hello{Suites: []byte("\x13\x01"), X25519: key, MLKEM: hybrid}, Choice{0x1301, X25519}, 0},
		{"hybrid", Profile{Group: X25519MLKEM768}, Hello{Suites: []byte("\x13\x01"), X25519: key, MLKEM: hybrid}, Choice{0x1301, X25519MLKEM768}, 0},
		{"hybrid not offered", Profile{Group: X25519MLKEM768}, Hello{Suites: []byte("\x13\x01"), X25519: key}, Choice{0x1301, X25519}, 0},
		{"only hybrid", Profile{}, Hello{Suites: []byte("\x13\x01"), MLKEM: hybrid}, Choice{0x1301, X25519MLKEM768}, 0},
		{"no share", Profile{}, Hello{Suites: []byte("\x13\x01")}, Choice{}, codec.ReasonHelloShare},
	} {
		got, err := c.profile.Choose(&c.hello)
		if got != c.want || codec.ReasonOf(err, 0) != c.why {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// A malformed ML-KEM key, as in the vector, is answered with x25519, or not at all without its share.
func TestFlightBadKey(t *testing.T) {
	p := Profile{Group: X25519MLKEM768}
	for _, v := range loadVectors(t).Hello {
		if v.Name != "chrome-2025-mlkem768" {
			continue
		}
		flight, _ := answer(t, v.Hello, p)
		checkPoint(t, share(t, flight, X25519))
		h := mustParse(t, v.Hello)
		h.X25519 = nil
		c, err := p.Choose(&h)
		if err != nil {
			t.Fatal(err)
		}
		dst, err := NewDigester().AppendFlight([]byte("kept"), NewKey(testSecret), &h, &p, c, source(4))
		if codec.ReasonOf(err, 0) != codec.ReasonHelloShare || string(dst) != "kept" {
			t.Errorf("%d bytes, %v", len(dst), err)
		}
		return
	}
	t.Error("no such vector")
}

// Other lengths of the session id are echoed and shorten the record.
func TestFlightSessionID(t *testing.T) {
	p := testHello(t, Small)
	for _, n := range []int{0, 1, 31} {
		hello := craft(p, strings.Repeat("s", n), "\x13\x01", "\x00")
		flight, _ := answer(t, hello, Profile{})
		if got := HeaderSize + int(binary.BigEndian.Uint16(flight[3:])); got != 127-32+n {
			t.Errorf("session id of %d: ServerHello of %d bytes", n, got)
		}
	}
}
