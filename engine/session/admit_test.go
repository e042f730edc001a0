package session

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/quota"
)

// usher is an Admission that says what the test wants, over a real ledger.
type usher struct {
	till     *quota.Till
	refuse   codec.Reason
	asked    []Visitor
	domains  []string
	in, gone int
}

// Admit remembers the visitor.
func (u *usher) Admit(v Visitor) (*Pass, codec.Reason) {
	u.asked = append(u.asked, v)
	u.domains = append(u.domains, string(v.Domain))
	if u.refuse != codec.ReasonNone {
		return nil, u.refuse
	}
	a, _, why := u.till.Admit(v.Secret.Name, v.Client.Addr())
	if why != codec.ReasonNone {
		return nil, why
	}
	u.in++
	return &Pass{Account: a, Owner: u}, why
}

// Release takes a pass back.
func (u *usher) Release(s *Session) { u.gone++ }

// usherAt puts an usher at the door of r, for the sessions to come.
func usherAt(r *rig, n quota.Limits) *usher {
	l := quota.New()
	n.Name = "a"
	l.Configure(quota.Options{Drain: time.Second}, []quota.Limits{n})
	u := &usher{till: quota.NewTill(l, r.loop, func() {})}
	r.env.Admit = u
	return u
}

// greeted brings r's client, which speaks TLS, to the answer of its hello.
func greeted(t testing.TB, r *rig) {
	t.Helper()
	hello, _ := r.hello(t, testKey, testTime)
	r.feed(hello)
	if r.s.State() != Opening {
		t.Fatalf("state is %v after a hello", r.s.State())
	}
	_ = r.sock.Take()
}

// A12: whoever is refused after a good hello is a stranger with all its bytes; a bare client is closed with the reason. Each is
// asked about once, behind replay and clock.
func TestRefused(t *testing.T) {
	r := newFront(allAllowed, nil)
	u := usherAt(r, quota.Limits{})
	u.refuse = codec.ReasonPolicy
	hello, _ := r.hello(t, testKey, testTime)
	r.feed(hello[:700])
	r.feed(hello[700:])
	wantState(t, r, Front)
	if !bytes.Equal(r.front.up, hello) || len(r.sock.Out) != 0 {
		t.Errorf("the front got %d of %d bytes, the client %d", len(r.front.up), len(hello), len(r.sock.Out))
	}
	wantCount(t, "refused", r.env.Count.Strangers[codec.ReasonPolicy], 1)
	if len(u.asked) != 1 || u.domains[0] != "example.com" || u.asked[0].Protocol != codec.TLS || u.asked[0].Secret.Name != "a" ||
		u.asked[0].Client != netip.MustParseAddrPort("192.0.2.1:4000") || u.asked[0].Port != r.port || u.asked[0].Session != r.s {
		t.Errorf("asked about %+v", u.asked)
	}
	r.connect("192.0.2.2:4000")
	r.feed(hello)
	wantCount(t, "replays", r.env.Count.Strangers[codec.ReasonReplay], 1)
	r.connect("192.0.2.2:4000")
	late, _ := r.hello(t, testKey, testTime-1000)
	r.feed(late)
	wantCount(t, "late", r.env.Count.Strangers[codec.ReasonHelloTime], 1)
	if len(u.asked) != 1 {
		t.Errorf("asked %d times", len(u.asked))
	}

	r.connect("192.0.2.1:4000")
	r.feed(r.init(testKey, codec.Padded, 2))
	wantState(t, r, Closed)
	if r.sock.Closing != codec.ReasonPolicy || r.tg.opened != 0 || len(u.asked) != 2 || u.asked[1].Domain != nil || u.asked[1].Protocol != codec.Secure {
		t.Errorf("closed with %v, %d streams, asked about %+v", r.sock.Closing, r.tg.opened, u.asked[1:])
	}
	wantCount(t, "refused", r.env.Count.Strangers[codec.ReasonPolicy], 2)
	if u.gone != 0 {
		t.Errorf("%d passes came back and none was given", u.gone)
	}
}

// A pass comes back exactly once, however the session ends.
func TestPassComesBackOnce(t *testing.T) {
	for name, end := range map[string]func(*rig){
		"client closes while opening": func(r *rig) { greeted(t, r); r.s.EOF(r.sock) },
		"reset while opening":         func(r *rig) { greeted(t, r) },
		"no opening in time":          func(r *rig) { greeted(t, r); r.sock.Fire(r.loop) },
		"bad opening":                 func(r *rig) { greeted(t, r); r.feed(append([]byte{0x17, 3, 3, 0, 64}, make([]byte, 64)...)) },
		"upstream refuses":            func(r *rig) { r.tg.refuse = codec.ReasonNoUpstream; r.feed(r.init(testKey, codec.Padded, 2)) },
		"upstream ends":               func(r *rig) { r.feed(r.init(testKey, codec.Padded, 2)); r.s.Ended(codec.ReasonUpstreamReset) },
		"expelled":                    func(r *rig) { r.feed(r.init(testKey, codec.Padded, 2)); r.s.Expel(codec.ReasonSecretRemoved) },
		"killed":                      func(r *rig) { r.feed(r.init(testKey, codec.Padded, 2)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(allAllowed)
			u := usherAt(r, quota.Limits{})
			end(r)
			r.sock.Finish(codec.ReasonPanic)
			if u.in != 1 || u.gone != 1 || r.s.Account() != nil {
				t.Errorf("%d passes given, %d came back", u.in, u.gone)
			}
		})
	}
}

// Bytes are counted, and reading rests when the rate is spent, each way for itself, and together with full queues.
func TestRests(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := newRig(allAllowed)
		usherAt(r, quota.Limits{RateUp: 64 << 10, RateDown: 64 << 10})
		if tls {
			greeted(t, r)
			r.feed(append([]byte{0x17, 3, 3, 0, 64}, r.init(testKey, codec.Padded, 2)...))
		} else {
			r.feed(r.init(testKey, codec.Padded, 2))
		}
		wantState(t, r, Relay)
		a := r.s.Account()
		wrap := func(p []byte) []byte {
			if tls {
				return append([]byte{0x17, 3, 3, byte(len(p) >> 8), byte(len(p))}, p...)
			}
			return p
		}
		sent := 0
		for !r.sock.Paused && sent < 1<<20 {
			r.feed(wrap(r.seal(make([]byte, 4096))))
			sent += 4096
		}
		if sent < 16<<10 || sent > 64<<10 || int(a.Up.Bytes) != sent || len(r.tg.up) != sent {
			t.Fatalf("tls %v: paused after %d bytes, %d counted, %d went up", tls, sent, a.Up.Bytes, len(r.tg.up))
		}
		got := 0
		for !r.tg.paused && got < 1<<20 {
			r.tg.sink.Deliver(make([]byte, 4096))
			got += 4096
		}
		if got > 64<<10 || int(a.Down.Bytes) != got || r.env.Count.Paused+r.env.Count.HeldClient != 0 {
			t.Fatalf("tls %v: the stream paused after %d bytes, %d counted", tls, got, a.Down.Bytes)
		}
		// A queue that drains does not undo the rest, and the rest's end does not undo a full queue.
		r.s.flags |= held | blocked
		r.s.SendDrained()
		r.s.Drained(r.sock)
		if !r.sock.Paused || !r.tg.paused {
			t.Fatal("drained queues wake a client that rests")
		}
		r.s.flags |= held | blocked
		for range 100 {
			r.loop.Tasks[0].Fire(r.loop)
			r.loop.Tasks[0].Turn()
		}
		if !r.sock.Paused || !r.tg.paused || r.s.flags&(restsUp|restsDown) != 0 {
			t.Fatal("a rate's tokens wake a client whose queues are full, or do not come")
		}
		r.s.SendDrained()
		r.s.Drained(r.sock)
		if r.sock.Paused || r.tg.paused {
			t.Fatal("nothing holds the client, and it is not read")
		}
	}
}

// Counting and resting cost no memory.
func TestAccountAllocatesNothing(t *testing.T) {
	r := newRig(allAllowed)
	usherAt(r, quota.Limits{RateDown: 1 << 30, Quota: 1 << 50})
	r.feed(r.init(testKey, codec.Padded, 2))
	r.sock.Out = make([]byte, 0, 1<<20)
	down := make([]byte, 64<<10)
	if n := testing.AllocsPerRun(1000, func() {
		r.sock.Out = r.sock.Out[:0]
		r.loop.Clock++
		r.s.Deliver(down)
		r.s.Data(r.sock, down[:1000])
		r.tg.up = r.tg.up[:0]
	}); n != 0 {
		t.Errorf("%.2f allocations", n)
	}
}

// BenchmarkAccount is BenchmarkRelay's message of 200 bytes, with an account and without.
func BenchmarkAccount(b *testing.B) {
	for _, name := range []string{"without", "with"} {
		b.Run(name, func(b *testing.B) {
			r := newRig(allAllowed)
			if name == "with" {
				usherAt(r, quota.Limits{})
			}
			r.feed(r.init(testKey, codec.Padded, 2))
			down := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				r.sock.Out = r.sock.Out[:0]
				r.s.Deliver(down)
			}
		})
	}
}
