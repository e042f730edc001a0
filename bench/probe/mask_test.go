package probe

import (
	"bytes"
	crand "crypto/rand"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// flightOf returns a hello and the flight that answers it.
func flightOf(t testing.TB, appData int) (hello, flight []byte) {
	t.Helper()
	random := func(p []byte) { _, _ = crand.Read(p) }
	shares, err := faketls.NewShares(random)
	if err != nil {
		t.Fatal(err)
	}
	key := codec.Key{1}
	c := faketls.ClientHello{Domain: "example.com", Secret: key, Shares: shares}
	if hello, err = c.Append(nil, random); err != nil {
		t.Fatal(err)
	}
	parsed, _, err := faketls.ParseHello(hello, nil)
	if err != nil {
		t.Fatal(err)
	}
	profile := faketls.Profile{AppData: appData}
	choice, err := profile.Choose(&parsed)
	if err != nil {
		t.Fatal(err)
	}
	flight, err = faketls.NewDigester().AppendFlight(nil, faketls.NewKey(key), &parsed, &profile, choice, random)
	if err != nil {
		t.Fatal(err)
	}
	return hello, flight
}

func same(a, b []Part) bool {
	_, differ := compareParts(a, b)
	return !differ
}

func TestPartsMaskAFlight(t *testing.T) {
	helloA, a := flightOf(t, 3000)
	helloB, b := flightOf(t, 3000)
	if !same(parts(a, helloA), parts(b, helloB)) {
		t.Error("two flights of one server differ")
	}
	if same(parts(a, helloA), parts(b, helloA)) {
		t.Error("a session id that is not the client's is not seen")
	}
	_, c := flightOf(t, 3001)
	if same(parts(a, helloA), parts(c, helloA)) {
		t.Error("a longer record is not seen")
	}
	suite := bytes.Clone(a)
	suite[headerSize+4+2+32+1+32] ^= 1
	if same(parts(a, helloA), parts(suite, helloA)) {
		t.Error("another suite is not seen")
	}
}

// message puts a handshake message into a record of TLS 1.2.
func message(kind byte, body ...byte) []byte {
	n := len(body)
	return append([]byte{typeHandshake, 3, 3, 0, byte(n + 4), kind, 0, 0, byte(n)}, body...)
}

func TestPartsMaskTLS12(t *testing.T) {
	const shape = "\x03\x00\x1d\x03KEY\x08\x04\x00\x03SIG"
	a := message(messageKeyExchange, []byte(shape)...)
	b := message(messageKeyExchange, []byte("\x03\x00\x1d\x03key\x08\x04\x00\x03sig")...)
	if !same(parts(a, nil), parts(b, nil)) {
		t.Error("two keys differ")
	}
	if c := message(messageKeyExchange, []byte("\x03\x00\x1e\x03key\x08\x04\x00\x03sig")...); same(parts(a, nil), parts(c, nil)) {
		t.Error("another curve is not seen")
	}
	a, b = message(messageTicket, []byte("\x00\x00\x01\x2c\x00\x03ABC")...), message(messageTicket, []byte("\x00\x00\x01\x2c\x00\x03abc")...)
	if !same(parts(a, nil), parts(b, nil)) {
		t.Error("two tickets differ")
	}
	a, b = message(11, 1, 2, 3), message(11, 1, 2, 4)
	if same(parts(a, nil), parts(b, nil)) {
		t.Error("another certificate is not seen")
	}
	ccs := []byte{typeCCS, 3, 3, 0, 1, 1}
	a, b = append(bytes.Clone(ccs), message(20, 1, 2)...), append(bytes.Clone(ccs), message(20, 3, 4)...)
	if !same(parts(a, nil), parts(b, nil)) {
		t.Error("two ciphertexts differ")
	}
}

// TestPartsTear checks that a message that is torn over records is masked all the same.
func TestPartsTear(t *testing.T) {
	hello, flight := flightOf(t, 1000)
	size := int(flight[3])<<8 | int(flight[4])
	body, rest := flight[headerSize:headerSize+size], flight[headerSize+size:]
	other := bytes.Clone(body)
	for i := 6; i < 38; i++ {
		other[i] ^= 0xff // another random
	}
	for cut := 1; cut < size; cut++ {
		tear := func(body []byte) []byte {
			p := append([]byte{typeHandshake, 3, 3, byte(cut >> 8), byte(cut)}, body[:cut]...)
			p = append(p, typeHandshake, 3, 3, byte((size-cut)>>8), byte(size-cut))
			return append(append(p, body[cut:]...), rest...)
		}
		if !same(parts(tear(body), hello), parts(tear(other), hello)) {
			t.Fatalf("cut at %d: two randoms differ", cut)
		}
	}
}

func TestPartsPrefixes(t *testing.T) {
	hello, flight := flightOf(t, 1000)
	whole := parts(flight, hello)
	for n := range flight {
		p := parts(flight[:n], hello)
		if len(p) > len(whole) || n > 0 && same(p, whole) {
			t.Fatalf("%d bytes of %d look whole", n, len(flight))
		}
	}
}

func TestPartsMaskHTTP(t *testing.T) {
	a := []byte("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\nDate: no")
	b := bytes.Replace(a, []byte("Mon, 01"), []byte("Tue, 02"), 1)
	if !same(parts(a, nil), parts(b, nil)) {
		t.Error("two dates differ")
	}
	for _, change := range []string{"nginx", "400", "no"} {
		if c := bytes.Replace(a, []byte(change), []byte("x"+change[1:]), 1); same(parts(a, nil), parts(c, nil)) {
			t.Errorf("a change of %q is not seen", change)
		}
	}
}

// FuzzParts checks that no answer of a server makes parts panic, change its input or lose bytes.
func FuzzParts(f *testing.F) {
	hello, flight := flightOf(f, 1000)
	f.Add(flight, hello)
	f.Add(message(messageKeyExchange, 3, 0, 29, 200), hello)
	f.Add([]byte("HTTP/1.1 400\r\nDate\r\n\r\n"), hello)
	f.Add([]byte{typeAlert, 3, 3, 0, 2, 2, 40}, []byte{})
	f.Fuzz(func(t *testing.T, got, sent []byte) {
		was := bytes.Clone(got)
		all := parts(got, sent)
		if !bytes.Equal(was, got) {
			t.Fatal("changed its input")
		}
		s := Sight{Parts: all}
		if n := s.size(); n > len(got) || s.String() == "" || n < len(got)-headerSize*(len(all)) {
			t.Fatalf("%d bytes in %d parts of %d", n, len(all), len(got))
		}
		if !same(all, parts(got, sent)) {
			t.Fatal("not the same twice")
		}
	})
}
