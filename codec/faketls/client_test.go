package faketls

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"epoxy/codec"
)

// A03, A04, B10: the hellos have the sizes of real clients (spec client-protocols 4.2), and no two are alike.
func TestClientHelloSizes(t *testing.T) {
	rand, shares := source(6), testShares(t)
	build := func(shape Shape, domain string) []byte {
		c := ClientHello{Domain: domain, Secret: testSecret, Unix: testUnix, Shares: shares, Shape: shape}
		p, err := c.Append(nil, rand)
		if err != nil {
			t.Fatal(err)
		}
		mustParse(t, p)
		return p
	}
	sizes, orders := map[int]bool{}, map[string]bool{}
	for range 200 {
		p := build(Browser, "www.example.org")
		sizes[len(p)-1566-15] = true
		orders[extensionOrder(t, p)] = true
	}
	if len(sizes) != 4 || !sizes[144] || !sizes[176] || !sizes[208] || !sizes[240] {
		t.Errorf("ECH payloads of %v bytes", sizes)
	}
	if len(orders) < 190 {
		t.Errorf("only %d orders in 200 hellos", len(orders))
	}
	for domain, small := range map[string]int{"www.example.org": 173, "": 149, strings.Repeat("a", 100): 258} {
		if n := len(build(Small, domain)); n != small {
			t.Errorf("small, domain of %d: %d bytes", len(domain), n)
		}
		if n := len(build(Classic517, domain)); n != 517 {
			t.Errorf("classic, domain of %d: %d bytes", len(domain), n)
		}
	}
	for name, c := range map[string]ClientHello{
		"no shares":    {Domain: "a.example"},
		"long domain":  {Domain: strings.Repeat("a", 254), Shares: shares},
		"does not fit": {Domain: strings.Repeat("a", 253), Shares: shares, Shape: Classic517},
	} {
		if p, err := c.Append([]byte("kept"), rand); err == nil || string(p) != "kept" {
			t.Errorf("%s: %d bytes, %v", name, len(p), err)
		}
	}
}

// extensionOrder walks the extensions of a one-record hello with a 32-byte session id; GREASE must be
// first and last, sixteen others between, none twice.
func extensionOrder(t *testing.T, p []byte) (order string) {
	t.Helper()
	suites := int(binary.BigEndian.Uint16(p[76:]))
	p = p[82+suites:]
	var kinds []uint16
	for len(p) > 0 {
		kind, n := binary.BigEndian.Uint16(p), int(binary.BigEndian.Uint16(p[2:]))
		if slices.Contains(kinds, kind) {
			t.Fatalf("extension %x twice", kind)
		}
		kinds = append(kinds, kind)
		order += string(rune(kind))
		p = p[4+n:]
	}
	if len(kinds) != 18 || kinds[0]&0x0f0f != 0x0a0a || kinds[17]&0x0f0f != 0x0a0a {
		t.Fatalf("extensions %x", kinds)
	}
	return string([]rune(order)[1:17])
}

// A captured hello and ours have the same extensions.
func TestClientHelloLikeCaptured(t *testing.T) {
	sorted := func(p []byte) string {
		r := []rune(extensionOrder(t, p))
		slices.Sort(r)
		return string(r)
	}
	want := sorted(testHello(t, Browser))
	for _, v := range loadCaptured(t) {
		if got := sorted(v.Hello); got != want {
			t.Errorf("%s: %x, ours %x", v.Client, []rune(got), []rune(want))
		}
	}
}

func testFlight(t testing.TB, group Group) (flight, random []byte) {
	t.Helper()
	h := mustParse(t, testHello(t, Browser))
	p := Profile{Group: group, AppData: 1000}
	flight, err := NewDigester().AppendFlight(nil, NewKey(testSecret), &h, &p, Choice{0x1301, group}, source(7))
	if err != nil {
		t.Fatal(err)
	}
	return flight, h.Random
}

func TestCheckFlight(t *testing.T) {
	flight, random := testFlight(t, X25519)
	for n := range flight { // the prefix loop
		if used, err := CheckFlight(flight[:n], &testSecret, random); err != codec.ErrShort || used != 0 {
			t.Fatalf("%d of %d bytes: %d, %v", n, len(flight), used, err)
		}
	}
	if used, err := CheckFlight(append(slices.Clone(flight), 0x17, 3), &testSecret, random); used != len(flight) || err != nil {
		t.Errorf("bytes behind: %d of %d, %v", used, len(flight), err)
	}
	for at := range flight { // every byte is checked
		bad := replace(flight, at, flight[at]^0x40)
		if used, err := CheckFlight(bad, &testSecret, random); err == nil || used != 0 {
			t.Errorf("byte %d changed: %d, %v", at, used, err)
		}
	}
	other := testSecret
	other[0] ^= 1
	if _, err := CheckFlight(flight, &other, random); codec.ReasonOf(err, 0) != codec.ReasonHelloDigest {
		t.Errorf("other secret: %v", err)
	}
	for name, bad := range map[string]string{
		"alert":               "\x15\x03\x03\x00\x02\x02\x32",
		"version":             "\x16\x03\x01",
		"empty first record":  "\x16\x03\x03\x00\x00",
		"large first record":  "\x16\x03\x03\x28\x01",
		"no CCS":              string(flight[:127]) + "\x17",
		"CCS of two":          string(flight[:127]) + "\x14\x03\x03\x00\x02",
		"handshake after CCS": string(flight[:127]) + ccs + "\x16",
		"empty data":          string(flight[:127]) + ccs + "\x17\x03\x03\x00\x00",
		"large data":          string(flight[:127]) + ccs + "\x17\x03\x03\x28\x01",
		"tiny first record":   "\x16\x03\x03\x00\x01\x02" + ccs + "\x17\x03\x03\x00\x01x",
	} {
		if _, err := CheckFlight([]byte(bad), &testSecret, random); codec.ReasonOf(err, 0) != codec.ReasonTLSRecord {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheckFlight(f *testing.F) {
	for _, group := range []Group{X25519, X25519MLKEM768} {
		flight, random := testFlight(f, group)
		f.Add(flight, random)
	}
	for _, v := range loadVectors(f).Flight {
		f.Add([]byte(v.Flight), []byte(v.ClientRandom))
	}
	f.Fuzz(func(t *testing.T, p, random []byte) {
		used, err := CheckFlight(p, &testSecret, random)
		again, errAgain := CheckFlight(append(slices.Clone(p), 0), &testSecret, random)
		if err != codec.ErrShort && (used != again || err != errAgain) {
			t.Fatalf("a byte behind changes the result: %v, %v", err, errAgain)
		}
		if err != nil {
			if used != 0 {
				t.Fatalf("used %d with %v", used, err)
			}
			return
		}
		if !bytes.HasPrefix(p, []byte{0x16, 3, 3}) || used > len(p) {
			t.Fatalf("used %d of %d", used, len(p))
		}
		if _, err := CheckFlight(p[:used-1], &testSecret, random); err != codec.ErrShort {
			t.Fatalf("one byte less: %v", err)
		}
	})
}
