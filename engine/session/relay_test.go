package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

func relaying(t testing.TB, tls bool) *rig {
	t.Helper()
	r := newRig(allAllowed)
	if tls {
		hello, _ := r.hello(t, testKey, testTime)
		r.feed(hello)
		r.sock.Take()
		r.feed(faketls.AppendRecords(nil, r.init(testKey, codec.Padded, 2), 2878))
	} else {
		r.feed(r.init(testKey, codec.Padded, 2))
	}
	if r.s.State() != Relay {
		t.Fatalf("state %v after a good opening", r.s.State())
	}
	return r
}

// A client that reads slowly stops its stream at the soft limit; when the queue drained it goes on.
func TestBackPressureDown(t *testing.T) {
	r := relaying(t, false)
	r.sock.Stuck = softQueue
	r.tg.sink.Deliver([]byte("x"))
	if r.tg.paused {
		t.Fatal("paused at the limit, not above")
	}
	r.sock.Stuck = softQueue + 1
	r.tg.sink.Deliver([]byte("y"))
	if !r.tg.paused {
		t.Fatal("not paused above the soft limit")
	}
	r.sock.Stuck = 1000
	r.s.Drained(r.sock)
	if r.tg.paused {
		t.Fatal("not resumed after the drain")
	}
}

// A stream that takes nothing stops its client at the soft limit.
func TestBackPressureUp(t *testing.T) {
	r := relaying(t, false)
	r.tg.queued = softQueue + 1
	r.feed(r.seal([]byte("x")))
	if !r.sock.Paused {
		t.Fatal("the client is read on over the soft limit")
	}
	r.tg.queued = 0
	r.tg.sink.SendDrained()
	if r.sock.Paused {
		t.Fatal("the client stays paused after the drain")
	}
}

// A quiet session drops its ciphers and goes on where it was; activity puts the clock of compaction back.
func TestCompaction(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := relaying(t, tls)
		wrap := func(p []byte) []byte {
			if tls {
				return faketls.AppendRecords(nil, p, 2878)
			}
			return p
		}
		for round := range 3 {
			start := r.loop.Clock
			r.sock.Fire(r.loop)
			if r.loop.Clock-start != 30_000 || r.s.in.Live() || r.s.out.Live() || r.tg.cold != round+1 {
				t.Fatalf("round %d: after %d ms live %v %v, stream compacted %d times", round, r.loop.Clock-start,
					r.s.in.Live(), r.s.out.Live(), r.tg.cold)
			}
			r.loop.Clock += 5000
			r.feed(wrap(r.seal([]byte("odd length"))))
			if string(r.tg.up) != "odd length" {
				t.Fatalf("after compaction Telegram got %q", r.tg.up)
			}
			r.tg.up = nil
			r.tg.sink.Deliver([]byte("and back"))
			got := r.sock.Take()
			if tls {
				got = stripAll(t, got)
			}
			if got = r.opened(got); string(got) != "and back" {
				t.Fatalf("after compaction the client got %q", got)
			}
		}
		wantCount(t, "compactions", r.env.Count.Compacted, 3)
	}
}

// Each way a session ends closes the other side with a reason, once, and gives the loop its count back.
func TestEnds(t *testing.T) {
	cases := []struct {
		name           string
		do             func(r *rig)
		client, stream codec.Reason // what each side is closed with
		counted        codec.Reason
	}{
		{"the client is reset", func(r *rig) { r.sock.Finish(codec.ReasonPeerReset) },
			codec.ReasonNone, codec.ReasonClientReset, codec.ReasonClientReset},
		{"Telegram sends FIN", func(r *rig) { r.tg.sink.EndOfStream() },
			codec.ReasonUpstreamClosed, codec.ReasonUpstreamClosed, codec.ReasonUpstreamClosed},
		{"Telegram resets", func(r *rig) { r.tg.sink.Ended(codec.ReasonUpstreamReset) },
			codec.ReasonUpstreamReset, codec.ReasonNone, codec.ReasonUpstreamReset},
		{"no address answers", func(r *rig) { r.tg.sink.Ended(codec.ReasonDialRefused) },
			codec.ReasonDialRefused, codec.ReasonNone, codec.ReasonDialRefused},
		{"it does not read", func(r *rig) { r.tg.sink.Ended(codec.ReasonQueueLimit) },
			codec.ReasonQueueLimit, codec.ReasonNone, codec.ReasonQueueLimit},
		{"memory is needed", func(r *rig) { r.tg.sink.Ended(codec.ReasonMemory) },
			codec.ReasonMemory, codec.ReasonNone, codec.ReasonMemory},
		{"both FINs", func(r *rig) { r.s.EOF(r.sock); r.sock.Finish(codec.ReasonPeerClosed) },
			codec.ReasonNone, codec.ReasonClientClosed, codec.ReasonClientClosed},
	}
	for _, c := range cases {
		r := relaying(t, true)
		gone := 0
		r.env.Gone = func() { gone++ }
		c.do(r)
		if r.sock.Closing != c.client || r.tg.closed != c.stream {
			t.Errorf("%s: client closed with %v, stream with %v", c.name, r.sock.Closing, r.tg.closed)
		}
		if hasty := c.client == codec.ReasonQueueLimit || c.client == codec.ReasonMemory; r.sock.Aborted != hasty {
			t.Errorf("%s: the queue is dropped: %v", c.name, r.sock.Aborted)
		}
		r.sock.Finish(codec.ReasonNone)
		if gone != 1 || r.env.Count.Open != 0 || r.env.Count.Closed[c.counted] != 1 {
			t.Errorf("%s: gone %d, open %d, counted %v", c.name, gone, r.env.Count.Open, r.env.Count.Closed)
		}
		r.tg.sink.Deliver([]byte("late")) // a stream must not do this; a session survives it
	}
}

// A DC that cannot even be dialled closes the client.
func TestNoUpstream(t *testing.T) {
	r := newRig(bareOnly)
	r.tg.refuse = codec.ReasonNoUpstream
	r.feed(append(r.init(testKey, codec.Padded, 2), "early bytes"...))
	if r.sock.Closing != codec.ReasonNoUpstream || len(r.sock.Out) != 0 {
		t.Fatalf("closing %v", r.sock.Closing)
	}
}

func manySecrets(n int) []Secret {
	list := make([]Secret, n)
	for i := range list {
		list[i] = Secret{Name: fmt.Sprint("s", i), Domain: fmt.Sprintf("site%d.example", i%(n/2+1))}
		binary.BigEndian.PutUint32(list[i].Key[:], uint32(i)+1)
	}
	return list
}

// P6: with 10,000 secrets each one still opens its door, bare and in TLS; the scan takes many turns, waits for its
// budget, reads nothing meanwhile, and a client that comes again is found at once.
func TestManySecrets(t *testing.T) {
	const n = 10_000
	for _, tls := range []bool{false, true} {
		r := newRig(allAllowed, manySecrets(n)...)
		key := r.port.Secrets.list[n-1].Key
		open := func() (turns int) {
			if tls {
				hello, _ := r.hello(t, key, testTime) // SNI example.com is nobody's: no hint
				r.feed(hello)
			} else {
				r.feed(r.init(key, codec.Padded, 2))
			}
			for r.s.State() == Hello || r.s.State() == Init {
				if !r.sock.Paused {
					t.Fatal("a client is read during its scan")
				}
				if turns++; !r.sock.Turn() && !r.sock.Fire(r.loop) {
					t.Fatal("the scan stopped")
				}
			}
			if r.sock.Paused || (r.s.State() != Opening && r.s.State() != Relay) {
				t.Fatalf("after the scan: %v, paused %v", r.s.State(), r.sock.Paused)
			}
			return turns
		}
		if turns := open(); turns < n/scanSlice {
			t.Fatalf("10,000 secrets in %d turns: the loop was held", turns)
		}
		if r.env.Count.ScanWaits == 0 {
			t.Fatal("a scan of 10,000 never waited for its budget")
		}
		r.connect("192.0.2.1:4001") // the same address
		if turns := open(); turns != 0 {
			t.Fatalf("a known address took %d turns", turns)
		}
		r.connect("198.51.100.1:9") // another address, a secret used lately
		if turns := open(); turns != 0 {
			t.Fatalf("a recent secret took %d turns", turns)
		}
	}
}

// The hello's domain is tried before everything else.
func TestDomainHint(t *testing.T) {
	r := newRig(allAllowed, manySecrets(5000)...)
	last := r.port.Secrets.list[4999]
	shares, err := faketls.NewShares(r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	c := faketls.ClientHello{Domain: "SITE4999.example", Secret: last.Key, Unix: testTime, Shares: shares}
	c.Domain = "Site" + last.Domain[4:]
	hello, err := c.Append(nil, r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	r.feed(hello)
	wantState(t, r, Opening)
	if r.env.Count.Tried > 2 {
		t.Fatalf("%d secrets tried with the domain known", r.env.Count.Tried)
	}
}

// A scan ends in time even when its budget never comes.
func TestScanEndsInTime(t *testing.T) {
	r := newRig(bareOnly, manySecrets(10_000)...)
	r.env.budget = -1 << 40
	r.feed(r.init(codec.Key{1: 0xee}, codec.Padded, 2))
	wantState(t, r, Init)
	for r.s.State() == Init && r.sock.Fire(r.loop) {
	}
	wantSilence(t, r, codec.ReasonHandshakeTime)
}

// The relay path allocates nothing in steady state, either way, in TLS and bare (Done means 3 of the founding issue).
func TestNoAllocations(t *testing.T) {
	for _, tls := range []bool{false, true} {
		r := relaying(t, tls)
		r.tg.up = make([]byte, 0, 1<<20)
		r.sock.Out = make([]byte, 0, 1<<20)
		up := bytes.Repeat([]byte{7}, 300)
		record := make([]byte, 0, 400)
		down := bytes.Repeat([]byte{9}, 20_000)
		n := testing.AllocsPerRun(200, func() {
			r.tg.up, r.sock.Out = r.tg.up[:0], r.sock.Out[:0]
			p := up
			if tls {
				p = faketls.AppendRecords(record[:0], up, 2878)
			}
			r.s.Data(r.sock, p)
			r.s.Deliver(down)
		})
		if n != 0 {
			t.Errorf("tls %v: %.1f allocations per message pair", tls, n)
		}
	}
}

// BenchmarkFailedHandshake is the whole cost of a stranger's opening for a growing number of secrets.
func BenchmarkFailedHandshake(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		for _, tls := range []bool{false, true} {
			b.Run(fmt.Sprintf("secrets=%d/tls=%v", n, tls), func(b *testing.B) {
				r := newRig(allAllowed, manySecrets(n)...)
				hello, _ := r.hello(b, codec.Key{0xff}, testTime)
				wire := r.init(codec.Key{0xff}, codec.Padded, 2)
				if tls {
					wire = hello
				}
				b.ReportAllocs()
				for b.Loop() {
					r.env.budget = 1 << 40
					r.connect("192.0.2.1:4000")
					r.feed(wire)
					for r.sock.Turn() {
					}
					if r.s.State() != Discard {
						b.Fatalf("state %v", r.s.State())
					}
				}
				b.ReportMetric(float64(r.env.Count.Tried)/float64(b.N), "tries/op")
			})
		}
	}
}

// BenchmarkRelay is the session's own cost of a message each way, without sockets.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{200, 16 << 10} {
		b.Run(fmt.Sprint("tls/", size), func(b *testing.B) {
			r := relaying(b, true)
			down := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				r.sock.Out = r.sock.Out[:0]
				r.s.Deliver(down)
			}
		})
	}
}

// A58: activity leaves the timer as it is and moves what it finds: a timer that comes too early is set anew.
func TestActivityMovesExpiry(t *testing.T) {
	r := relaying(t, false)
	start, set := r.loop.Clock, r.sock.TimerAt
	r.loop.Clock += 20_000
	r.feed(r.seal([]byte("data")))
	active := r.loop.Clock
	if set != start+30_000 || r.sock.TimerAt != set {
		t.Fatalf("the timer was set to %d at %d, and is %d after data", set, start, r.sock.TimerAt)
	}
	r.sock.Fire(r.loop)
	if r.tg.cold != 0 || r.sock.TimerAt != active+30_000 {
		t.Fatalf("compacted %d times, the timer is %d, active %d", r.tg.cold, r.sock.TimerAt, active)
	}
	r.sock.Fire(r.loop)
	if r.tg.cold != 1 || r.sock.Closing != codec.ReasonNone {
		t.Fatalf("compacted %d times, closed with %v", r.tg.cold, r.sock.Closing)
	}
	r.sock.Fire(r.loop)
	if idle := r.loop.Clock - active; r.sock.Closing != codec.ReasonIdle || idle != r.s.port.Timing.Idle {
		t.Fatalf("closed with %v after %d ms", r.sock.Closing, idle)
	}
}
