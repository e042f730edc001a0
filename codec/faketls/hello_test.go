package faketls

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

var testSecret = codec.Key{0xde, 0xad, 0xbe, 0xef, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

const testUnix = 1795000000

func testShares(t testing.TB) *Shares {
	t.Helper()
	s, err := NewShares(source(1))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func testHello(t testing.TB, shape Shape, records ...int) []byte {
	t.Helper()
	c := ClientHello{Domain: "www.example.org", Secret: testSecret, Unix: testUnix, Shares: testShares(t), Shape: shape, Records: records}
	p, err := c.Append(nil, source(2))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// testHellos are well-formed hellos of every kind.
func testHellos(t testing.TB) [][]byte {
	t.Helper()
	all := [][]byte{
		testHello(t, Browser), testHello(t, Classic517), testHello(t, Small),
		testHello(t, Browser, 100), testHello(t, Classic517, 1, 2, 3, 4), testHello(t, Small, 5, 1, 60),
	}
	v := loadVectors(t)
	all = append(all, v.Torn.Wire)
	for _, h := range slices.Concat(v.Hello, v.Negative, loadCaptured(t)) {
		all = append(all, h.Hello)
	}
	return all
}

func TestSniff(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
		err  error
	}{
		{"", false, codec.ErrShort}, {"\x16", false, codec.ErrShort}, {"\x16\x03", false, codec.ErrShort},
		{"\x16\x03\x01", true, nil}, {"\x16\x03\x02", true, nil}, {"\x16\x03\x03\x00", true, nil},
		{"\x16\x03\x00", false, nil}, {"\x16\x03\x04", false, nil}, {"\x16\x02", false, nil}, {"\x17", false, nil},
		{"GET / HTTP/1.0", false, nil}, {"SSH-2.0", false, nil}, // B11
	} {
		if got, err := Sniff([]byte(c.in)); got != c.want || err != c.err {
			t.Errorf("Sniff(%x) = %v, %v", c.in, got, err)
		}
	}
}

// B10: a hello one byte a segment; the prefix loop over hellos of all sizes, whole and torn.
func TestParseHelloPrefixes(t *testing.T) {
	for _, p := range testHellos(t) {
		want, _, err := ParseHello(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := range p {
			if h, used, err := ParseHello(p[:n], nil); err != codec.ErrShort || used != 0 || h.Record != nil {
				t.Fatalf("%d of %d bytes: used %d, %v", n, len(p), used, err)
			}
		}
		more := append(slices.Clone(p), "behind"...)
		if h, used, err := ParseHello(more, nil); err != nil || used != len(p) || !reflect.DeepEqual(h, want) {
			t.Fatalf("bytes behind: used %d of %d, %v", used, len(p), err)
		}
	}
}

// B10: the split loop: torn into two TLS records at every byte, a hello is the same.
func TestParseHelloSplits(t *testing.T) {
	for _, shape := range []Shape{Browser, Small} {
		whole := testHello(t, shape)
		want := mustParse(t, whole)
		for n := 1; n < len(whole)-HeaderSize; n++ {
			if h := mustParse(t, testHello(t, shape, n)); !reflect.DeepEqual(h, want) {
				t.Fatalf("torn at %d: differs", n)
			}
		}
	}
}

// replace returns p with the bytes at offset at overwritten.
func replace(p []byte, at int, with ...byte) []byte {
	p = slices.Clone(p)
	copy(p[at:], with)
	return p
}

// insert returns the Small hello p with an extension more and all lengths right.
func insert(p []byte, extension ...byte) []byte {
	p = append(slices.Clone(p), extension...)
	p[4] += byte(len(extension))
	p[8] += byte(len(extension))
	p[89] += byte(len(extension))
	return p
}

// craft returns a hello in one record whose lengths all fit its parts; p lends random and extensions.
func craft(p []byte, session, suites, compression string) []byte {
	body := "\x03\x03" + string(p[randomAt:sessionAt]) +
		string(rune(len(session))) + session + string([]byte{0, byte(len(suites))}) + suites +
		string(rune(len(compression))) + compression + string(p[88:])
	return []byte("\x16\x03\x01" + string([]byte{0, byte(len(body) + 4), 1, 0, 0, byte(len(body))}) + body)
}

// malformed are hellos with one fault of form each.
func malformed(t testing.TB) map[string][]byte {
	t.Helper()
	p := testHello(t, Small) // 173 bytes; SNI at 90, versions at 114, groups at 123, key share at 131
	return map[string][]byte{
		"kind":                  replace(p, 5, 2),
		"handshake too short":   replace(p, 8, p[8]-1),
		"legacy version":        replace(p, 9, 3, 2),
		"session id of 33":      replace(p, 43, 33),
		"session id of 255":     replace(p, 43, 255),
		"no suites":             replace(p, 76, 0, 0),
		"odd suites":            replace(p, 76, 0, 7),
		"suites overflow":       replace(p, 76, 0xff, 0xff),
		"just 33 of session id": craft(p, strings.Repeat("s", 33), "\x13\x01", "\x00"),
		"just no suites":        craft(p, "", "", "\x00"),
		"just odd suites":       craft(p, "", "\x13\x01\x13", "\x00"),
		"just no compression":   craft(p, "", "\x13\x01", ""),
		"no compression":        replace(p, 86, 0),
		"compression overflow":  replace(p, 86, 255),
		"extensions length 0":   replace(p, 88, 0, 0), // A21
		"extensions too short":  replace(p, 88, 0, p[89]-1),
		"extensions too long":   replace(p, 88, 0, p[89]+1),
		"extension overflow":    replace(p, 133, 0xff),
		"SNI list short":        replace(p, 95, p[95]-1),
		"SNI list long":         replace(p, 95, p[95]+1),
		"SNI type":              replace(p, 96, 1),
		"SNI name short":        replace(p, 98, 14),
		"SNI name long":         replace(p, 98, 16),
		"SNI with NUL":          replace(p, 99, 0),
		"share list short":      replace(p, 136, 35),
		"share list long":       replace(p, 136, 37),
		"share overflow":        replace(p, 139, 1),
		"share truncated":       replace(p, 140, 30),
		"second SNI":            insert(p, p[90:114]...),
		"second key share":      insert(p, p[131:173]...),
		"torn extension header": insert(p, 0, 5, 0),
		"record type":           replace(p, 0, 0x17),
		"record version":        replace(p, 2, 4),
		"empty record":          replace(p, 4, 0),
		"17 records":            testHello(t, Small, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9),
		"long second record":    append(replace(testHello(t, Small, 60), 69, 168-60+1), 0),
		"long third record":     append(replace(testHello(t, Small, 60, 60), 134, 168-120+1), 0),
		"empty second record":   testHello(t, Small, 60, 0),
		"other second record":   replace(testHello(t, Small, 60), 65, 0x14),
	}
}

func TestParseHelloMalformed(t *testing.T) {
	p := testHello(t, Small)
	for name, bad := range malformed(t) {
		if _, used, err := ParseHello(bad, nil); codec.ReasonOf(err, 0) != codec.ReasonHelloShape || used != 0 {
			t.Errorf("%s: used %d, %v", name, used, err)
		}
	}
	// No fault, but nothing to use: a share with another length, a foreign extension, no session id.
	share := replace(p, 139, 0, 31)
	share = append(share[:172:172], share[173:]...)
	share[4], share[8], share[89], share[134], share[136] = share[4]-1, share[8]-1, share[89]-1, share[134]-1, share[136]-1
	if h := mustParse(t, share); h.X25519 != nil {
		t.Error("x25519 share of 31 bytes taken")
	}
	if h := mustParse(t, craft(p, strings.Repeat("s", 32), "\x13\x01", "\x00")); len(h.SessionID) != 32 {
		t.Error("craft does not craft")
	}
	if h := mustParse(t, insert(p, 0xab, 0xcd, 0, 1, 7)); h.SNI == nil {
		t.Error("foreign extension: SNI lost")
	}
}

// The size limits are on the record length: 100..16384, in one record or in several.
func TestParseHelloSize(t *testing.T) {
	sized := func(n int) []byte { // n is the record length; the hello's extension 0x15 fills it
		p := testHello(t, Small)[HeaderSize:84]
		p = append(p[:len(p):len(p)], 0x13, 1, 1, 0)
		p = append(p, 0, 0, 0, 0x15, 0, 0)
		fill := n - len(p)
		p = append(p, make([]byte, max(fill, 0))...)
		put := func(at, v int) { p[at], p[at+1] = byte(v>>8), byte(v) }
		put(2, n-4)
		put(83, fill+4)
		put(87, fill)
		return p
	}
	frame := func(p []byte, cuts ...int) (out []byte) {
		for _, n := range append(cuts, len(p)) {
			n = min(n, len(p))
			out = append(append(out, 0x16, 3, 1, byte(n>>8), byte(n)), p[:n]...)
			if p = p[n:]; len(p) == 0 {
				return out
			}
		}
		return out
	}
	for _, n := range []int{MinHello, MaxHello} {
		for _, cuts := range [][]int{nil, {50}} {
			if _, _, err := ParseHello(frame(sized(n), cuts...), nil); err != nil {
				t.Errorf("%d bytes, cuts %v: %v", n, cuts, err)
			}
		}
	}
	for _, bad := range [][]byte{
		frame(sized(MinHello - 1)), frame(sized(MinHello-1), 50), frame(sized(MaxHello+1), 50),
		frame(sized(MaxHello + 1))[:5],                     // known by the header alone
		replace(frame(sized(MaxHello))[:9], 6, 1),          // a handshake of 80 KiB, known after nine bytes
		frame(append(sized(MaxHello), 0), 8000)[:5+8000+5], // too much by the second header
	} {
		if _, _, err := ParseHello(bad, nil); codec.ReasonOf(err, 0) != codec.ReasonHelloSize {
			t.Errorf("%d bytes %x: %v", len(bad), bad[:5], err)
		}
	}
}

// A41: any bytes end in a value, ErrShort or a Reason.
func TestParseHelloGarbage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "p")
		if rapid.Bool().Draw(t, "framed") && len(p) > 11 {
			n := len(p) - HeaderSize
			copy(p, []byte{0x16, 3, 1, byte(n >> 8), byte(n), 1, 0, byte((n - 4) >> 8), byte(n - 4), 3, 3})
		}
		_, used, err := ParseHello(p, nil)
		switch codec.ReasonOf(err, codec.ReasonNone) {
		case codec.ReasonNone:
			if err != nil && err != codec.ErrShort || (err == nil) != (used > 0) {
				t.Fatalf("used %d, %v", used, err)
			}
		case codec.ReasonHelloShape, codec.ReasonHelloSize:
		default:
			t.Fatal(err)
		}
	})
}

// TestRealTLSClient feeds Go's own TLS client through the costume: its hello parses, and it takes our
// ServerHello, both groups, as genuine: what it stumbles over is the random application data.
func TestRealTLSClient(t *testing.T) {
	for _, group := range []Group{X25519, X25519MLKEM768} {
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		go func() {
			client := tls.Client(theirs, &tls.Config{ServerName: "www.example.org", MinVersion: tls.VersionTLS13})
			done <- client.Handshake()
			_ = theirs.Close()
		}()
		h := readHello(t, ours)
		p := Profile{Group: group, VersionsFirst: group == X25519}
		c, err := p.Choose(&h)
		if err != nil || c.Group != group || string(h.SNI) != "www.example.org" {
			t.Fatalf("%+v, %v, SNI %q", c, err, h.SNI)
		}
		flight, err := NewDigester().AppendFlight(nil, NewKey(testSecret), &h, &p, c, source(3))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Write(flight); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, ours)
		var alert *net.OpError
		if err := <-done; !errors.As(err, &alert) || alert.Err.Error() != "tls: bad record MAC" {
			t.Errorf("group %x: the client says: %v", group, err)
		}
		_ = ours.Close()
	}
}

func readHello(t *testing.T, from net.Conn) Hello {
	t.Helper()
	var p []byte
	chunk := make([]byte, 100)
	for {
		n, err := from.Read(chunk)
		if err != nil {
			t.Fatal(err)
		}
		p = append(p, chunk[:n]...)
		if h, _, err := ParseHello(p, nil); err == nil {
			return h
		} else if err != codec.ErrShort {
			t.Fatal(err)
		}
	}
}

func FuzzParseHello(f *testing.F) {
	for _, p := range testHellos(f) {
		f.Add(p)
	}
	for _, p := range malformed(f) {
		f.Add(p)
	}
	f.Add([]byte("\x16\x03\x01\xff\xff\x02")) // two faults: the first to be known counts
	f.Fuzz(func(t *testing.T, p []byte) {
		h, used, err := ParseHello(p, nil)
		more := append(slices.Clone(p), 0x16, 3, 1, 0, 1, 1)
		again, usedAgain, errAgain := ParseHello(more, nil)
		switch {
		case err == codec.ErrShort:
			if len(p) >= MaxHelloWire {
				t.Fatalf("%d bytes are not enough", len(p))
			}
			return
		case err != errAgain || used != usedAgain || !reflect.DeepEqual(h, again):
			t.Fatalf("bytes behind change the result: %v, %v", err, errAgain)
		case err != nil:
			return
		}
		if _, _, err := ParseHello(p[:used-1], nil); err != codec.ErrShort {
			t.Fatalf("one byte less: %v", err)
		}
		single, n, err := ParseHello(h.Record, nil)
		if err != nil || n != len(h.Record) || !reflect.DeepEqual(single, h) {
			t.Fatalf("coalesced record: %d of %d, %v", n, len(h.Record), err)
		}
		if len(h.Record) > HeaderSize+MaxHello || len(h.Random) != randomSize || len(h.SessionID) > maxSession {
			t.Fatalf("%+v", h)
		}
	})
}
