package engine_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/upstream/faketg"
)

// A14: the front receives the exact bytes of a hello that no secret made, and its answer comes back.
func TestFrontWrongSecret(t *testing.T) {
	s := newSite(t)
	h := start(t, fronted(s))
	hello := wrongHello(t)
	c := stranger(t, h.addr, hello)
	v := s.spliced(t, c, hello)
	talk(t, c, v)
	h.strangers(t, codec.ReasonHelloDigest, 1)
}

// A15: without a front strangers are read into silence: no answer, no end. (The old proxy closed, which told it apart from
// every web site.)
func TestFrontOff(t *testing.T) {
	set := settings()
	set.Allow = config.AllowOf(codec.TLS)
	h := start(t, set)
	c := silent(t, h.addr, wrongHello(t))
	put(t, c, make([]byte, 4096))
	stillSilent(t, c)
	h.strangers(t, codec.ReasonHelloDigest, 1)
}

// A16: strangers who ask for a domain that is off cost the front no connection, whoever else is sent there. (The old proxy
// closed them.)
func TestFrontDomainOff(t *testing.T) {
	s := newSite(t)
	set := fronted(s)
	set.Fronts = append(set.Fronts, config.Front{Domain: "www.example.org", Off: true})
	h := start(t, set)
	c := silent(t, h.addr, greet(t, func(c *faketls.ClientHello) { c.Secret, c.Domain = wrongKey, "WWW.example.org" }))
	s.nobody(t, 500*time.Millisecond)
	hello := wrongHello(t)
	s.spliced(t, stranger(t, h.addr, hello), hello)
	stillSilent(t, c)
}

// Each domain has its own front, and who asks for another one, or for none, goes to the front for all.
func TestFrontByDomain(t *testing.T) {
	all, own := newSite(t), newSite(t)
	set := fronted(all)
	front := own.front()
	front.Domain = "www.example.org"
	set.Fronts = append(set.Fronts, front)
	h := start(t, set)
	for domain, to := range map[string]*site{"www.EXAMPLE.org": own, "example.org": all, "": all} {
		hello := greet(t, func(c *faketls.ClientHello) { c.Secret, c.Domain = wrongKey, domain })
		to.spliced(t, stranger(t, h.addr, hello), hello)
	}
}

// A17: a hello in two segments reaches the front whole, and not before it is.
func TestFrontFragmented(t *testing.T) {
	s := newSite(t)
	h := start(t, fronted(s))
	hello := wrongHello(t)
	c := stranger(t, h.addr, hello[:10])
	s.nobody(t, 50*time.Millisecond)
	put(t, c, hello[10:])
	s.spliced(t, c, hello)
}

// A18: the second of two equal hellos goes to the front, in fragments too, and what comes back is the front's.
func TestFrontReplay(t *testing.T) {
	s := newSite(t)
	h := start(t, fronted(s))
	hello := greet(t, nil)
	wantFlight(t, stranger(t, h.addr, hello), hello)
	c := stranger(t, h.addr, hello[:700])
	s.nobody(t, 50*time.Millisecond)
	put(t, c, hello[700:])
	v := s.visitor(t)
	wantRead(t, v, hello)
	stillSilent(t, c)
	talk(t, v, c)
	h.strangers(t, codec.ReasonReplay, 1)
}

// B12: the clock in a hello is not signed; a copy with another one is still a copy.
func TestFrontShiftedReplay(t *testing.T) {
	s := newSite(t)
	h := start(t, fronted(s))
	hello := greet(t, nil)
	wantFlight(t, stranger(t, h.addr, hello), hello)
	for shift := range byte(4) {
		copied := bytes.Clone(hello)
		copied[11+28] ^= 1 << shift
		s.spliced(t, stranger(t, h.addr, copied), copied)
	}
	h.strangers(t, codec.ReasonReplay, 4)
}

// A19 A20: where secrets are made for each SNI, the derived one serves its domain, and the one that it is made of is a
// stranger's. (The old proxy closed.)
func TestFrontSaltedSecrets(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := newSite(t)
	set := fronted(s)
	set.DC = settings(dc).DC
	set.SNISalt = "salt of the test"
	h := start(t, set)
	derived := secret.DeriveSNI([]byte(set.SNISalt), key, "example.com")
	c, err := open(h.addr, ways[3], 2, derived)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	mustPing(t, c, 64)
	hello := greet(t, nil)
	s.spliced(t, stranger(t, h.addr, hello), hello)
	other := greet(t, func(c *faketls.ClientHello) { c.Secret, c.Domain = derived, "example.org" })
	s.spliced(t, stranger(t, h.addr, other), other)
	h.strangers(t, codec.ReasonHelloDigest, 2)
	if n := h.snapshot().Sum().Handshakes[codec.TLS]; n != 1 {
		t.Errorf("%d handshakes, not 1", n)
	}
}

// A21: a hello whose extensions are none, with bytes behind them, is the front's to answer, be its digest right or wrong. (The
// old proxy had an alert of its own for it.)
func TestFrontMalformed(t *testing.T) {
	s := newSite(t)
	h := start(t, fronted(s))
	for _, sign := range []func([]byte) []byte{resign, bytes.Clone} {
		hello := greet(t, nil)
		binary.BigEndian.PutUint16(hello[extensions(hello):], 0)
		hello = sign(hello)
		s.spliced(t, stranger(t, h.addr, hello), hello)
	}
	h.strangers(t, codec.ReasonHelloShape, 2)
}

// A front that is not to be measured gets no connection but those of strangers; nor does a client depend on it.
func TestFrontNotMeasured(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := newSite(t)
	set := fronted(s)
	set.DC = settings(dc).DC
	h := start(t, set)
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
	s.nobody(t, 200*time.Millisecond)
	c, err := net.Dial("tcp", s.Addr().String()) // the site is there
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	_ = s.visitor(t)
}
