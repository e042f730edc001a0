package session

import (
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/secret"
)

var testSalt = []byte("a salt")

// derivedRig is a port with keys per SNI.
func derivedRig(list ...Secret) *rig {
	r := newRig(allAllowed)
	if list == nil {
		list = []Secret{{Key: codec.Key{7}}, {Key: testKey, Domain: "example.com"}}
	}
	r.port = NewPort(r.env, Port{
		Allow: allAllowed, Secrets: NewDerived(list, testSalt), Sites: r.port.Sites, Timing: r.port.Timing,
	})
	r.connect("192.0.2.1:4000")
	return r
}

// A19: the key of a secret and an SNI opens hello and init inside TLS, whatever the SNI's case.
// A20: the secret itself does not, nor does the key of another SNI, nor a hello without one.
func TestDerivedSecrets(t *testing.T) {
	derived := secret.DeriveSNI(testSalt, testKey, "site.example")
	cases := []struct {
		name, sni string
		hello     codec.Key
		init      codec.Key
		state     State
		why       codec.Reason
	}{
		{"derived", "site.example", derived, derived, Relay, 0},
		{"other case", "SITE.Example", derived, derived, Relay, 0},
		{"the secret's own domain", "example.com", secret.DeriveSNI(testSalt, testKey, "example.com"), secret.DeriveSNI(testSalt, testKey, "example.com"), Relay, 0},
		{"init under the base key", "site.example", derived, testKey, Closed, codec.ReasonBadTag},
		{"base key", "site.example", testKey, testKey, Discard, codec.ReasonHelloDigest},
		{"another SNI's key", "other.example", derived, derived, Discard, codec.ReasonHelloDigest},
		{"no SNI, base key", "", testKey, testKey, Discard, codec.ReasonHelloDigest},
		{"no SNI, key of none", "", secret.DeriveSNI(testSalt, testKey, ""), testKey, Discard, codec.ReasonHelloDigest},
	}
	for _, c := range cases {
		r := derivedRig()
		r.feed(r.helloFor(t, c.sni, c.hello))
		if c.state == Discard {
			wantSilence(t, r, c.why)
			continue
		}
		wantState(t, r, Opening)
		r.sock.Take()
		r.feed(faketls.AppendRecords(nil, r.init(c.init, codec.Padded, 2), 2878))
		if r.s.State() != c.state || r.sock.Closing != c.why || r.s.extra != nil {
			t.Errorf("%s: %v, closing %v, a key is kept: %v", c.name, r.s.State(), r.sock.Closing, r.s.extra != nil)
		}
		if c.state == Relay {
			r.tg.sink.Deliver([]byte("hello, client"))
			if got := r.opened(stripAll(t, r.sock.Take())); string(got) != "hello, client" {
				t.Errorf("%s: the client got %q", c.name, got)
			}
		}
	}
}

// Bare clients use the secret itself, and only that.
func TestDerivedBare(t *testing.T) {
	r := derivedRig()
	r.feed(r.init(testKey, codec.Padded, 2))
	wantState(t, r, Relay)
	r.connect("192.0.2.1:4001")
	r.feed(r.init(secret.DeriveSNI(testSalt, testKey, "example.com"), codec.Padded, 2))
	wantSilence(t, r, codec.ReasonWrongSecret)
}

// A derived key costs two tries of the budget, and a long search still ends at its last secret.
func TestDerivedBudget(t *testing.T) {
	list := manySecrets(1000)
	key := secret.DeriveSNI(testSalt, list[999].Key, "nobody.example")
	r := derivedRig(list...)
	before := r.env.budget
	r.feed(r.helloFor(t, "nobody.example", key))
	for r.s.State() == Hello {
		if !r.sock.Paused || !r.sock.Turn() && !r.sock.Fire(r.loop) {
			t.Fatal("the search stopped")
		}
	}
	wantState(t, r, Opening)
	wantCount(t, "tries", r.env.Count.Tried, 1000)
	if spent := before - r.env.budget; spent < 2000 || spent > 2300 {
		t.Fatalf("1000 derived keys cost %d", spent)
	}
	r.connect("192.0.2.1:5000") // the same address: its hint
	r.feed(r.helloFor(t, "other.example", secret.DeriveSNI(testSalt, list[999].Key, "other.example")))
	wantState(t, r, Opening)
	wantCount(t, "tries", r.env.Count.Tried, 1001)
}

// BenchmarkDerived is the cost of a hello that no derived key fits.
func BenchmarkDerived(b *testing.B) {
	r := derivedRig(manySecrets(100)...)
	hello, _ := r.hello(b, codec.Key{0xff}, testTime)
	b.ReportAllocs()
	for b.Loop() {
		r.env.budget = 1 << 40
		r.connect("192.0.2.1:4000")
		r.feed(hello)
		for r.sock.Turn() {
		}
		if r.s.State() != Discard {
			b.Fatalf("state %v", r.s.State())
		}
	}
}
