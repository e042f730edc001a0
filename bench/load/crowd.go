package load

import (
	"context"
	"math"
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/upstream"
)

// crowd is the strangers of one event loop, who have no secret: slow ones, who say a hello one byte a second, and probes, who say
// one thing, read the first bytes of the answer and close.
type crowd struct {
	// Fixed after start.
	loop    upstream.Loop
	server  netip.AddrPort
	sources []*upstream.DialOptions
	start   time.Time
	hello   faketls.ClientHello // signed with a secret that nobody has

	// Owned by the loop.
	want   int // slow strangers
	slow   int // of them there are
	dialed int // strangers so far
	all    map[*stranger]struct{}
	tally  CrowdTally
}

// CrowdTally is what strangers met. Its loop owns it.
type CrowdTally struct {
	Answered uint64 // probes that read an answer
	Closed   uint64 // probes that were closed or reset without one
	Silent   uint64 // probes that got neither within probeTime
	Refused  uint64 // strangers who could not connect
	Ended    uint64 // slow strangers who were closed
	Answer   Histogram
}

func (t *CrowdTally) merge(o *CrowdTally) {
	t.Answered += o.Answered
	t.Closed += o.Closed
	t.Silent += o.Silent
	t.Refused += o.Refused
	t.Ended += o.Ended
	t.Answer.Merge(&o.Answer)
}

// stranger is one of a crowd.
type stranger struct {
	crowd *crowd
	sock  upstream.Socket
	begun time.Duration
	slow  bool
	rest  []byte // what a slow one has still to say
	kind  int    // of a probe
	over  bool   // counted
}

// tick sends probes, and one slow stranger when one is missing.
func (c *crowd) tick(probes int) {
	if c.slow < c.want {
		c.dial(true)
	}
	for range probes {
		c.dial(false)
	}
}

func (c *crowd) dial(slow bool) {
	s := &stranger{crowd: c, begun: time.Since(c.start), slow: slow, kind: c.dialed % probeKinds}
	c.dialed++
	to := upstream.Target{Addr: c.server, Timeout: dialTime}
	if n := len(c.sources); n > 0 {
		to.Opts = c.sources[c.dialed%n]
	}
	sock, why := c.loop.Dial(to, s)
	if why != codec.ReasonNone {
		c.tally.Refused++
		return
	}
	s.sock = sock
	c.all[s] = struct{}{}
	if slow {
		c.slow++
	}
}

// The kinds of probes, in turn.
const (
	probeHello  = iota // a whole hello with a wrong secret
	probeRandom        // bytes that are nothing
	probeGET           // HTTP
	probeKinds
)

// says appends what a probe says.
func (c *crowd) says(dst []byte, kind int) []byte {
	switch kind {
	case probeHello:
		c.hello.Unix = uint32(c.loop.Unix())
		dst, _ = c.hello.Append(dst, c.loop.Rand) // our own hello is sound
	case probeRandom:
		n := len(dst)
		dst = append(dst, make([]byte, probeNoise)...)
		c.loop.Rand(dst[n:])
		dst = append(dst, "\r\n\r\n"...)
	case probeGET:
		dst = append(dst, "GET / HTTP/1.1\r\nHost: "+c.hello.Domain+"\r\nConnection: close\r\n\r\n"...)
	}
	return dst
}

// Opened says all of it, or the first byte.
func (s *stranger) Opened(upstream.Socket) {
	c := s.crowd
	if !s.slow {
		s.sock.Write(c.says(c.loop.Scratch()[:0], s.kind))
		s.sock.SetTimer(c.loop.Now() + probeTime)
		return
	}
	s.rest = c.says(nil, probeHello)
	s.Timer(s.sock)
}

// Timer says a slow stranger's next byte, and ends a probe that nobody answers.
func (s *stranger) Timer(upstream.Socket) {
	switch {
	case !s.slow:
		s.end(&s.crowd.tally.Silent)
	case len(s.rest) > 0:
		s.sock.Write(s.rest[:1])
		s.rest = s.rest[1:]
		s.sock.SetTimer(s.crowd.loop.Now() + slowTime)
	}
}

// Data ends a probe: it has seen the beginning of an answer.
func (s *stranger) Data(upstream.Socket, []byte) {
	if !s.slow && !s.over {
		s.crowd.tally.Answer.Add(time.Since(s.crowd.start) - s.begun)
		s.end(&s.crowd.tally.Answered)
	}
}

// EOF ends everybody.
func (s *stranger) EOF(upstream.Socket) {
	if s.slow {
		s.end(&s.crowd.tally.Ended)
	} else {
		s.end(&s.crowd.tally.Closed)
	}
}

// Closed counts those who did not end themselves.
func (s *stranger) Closed(_ upstream.Socket, why codec.Reason) {
	c := s.crowd
	delete(c.all, s)
	if s.slow {
		c.slow--
	}
	switch {
	case s.over:
	case why == codec.ReasonDialRefused || why == codec.ReasonDialTime || why == codec.ReasonDialError:
		c.tally.Refused++
	case s.slow:
		c.tally.Ended++
	default:
		c.tally.Closed++
	}
	s.over = true
}

func (s *stranger) Drained(upstream.Socket) {}
func (s *stranger) Again(upstream.Socket)   {}

// end closes it, and counts it there.
func (s *stranger) end(count *uint64) {
	if !s.over {
		s.over = true
		*count++
		s.sock.Close(codec.ReasonClientClosed)
	}
}

// crowds are the strangers of a run, a crowd for each event loop.
type crowds struct {
	fleet *fleet
	all   []*crowd
}

// crowds makes the strangers of a run; nobody connects before begin.
func (r *run) crowds() (*crowds, error) {
	server := r.cfg.Server
	if r.cfg.StrangersAt.IsValid() {
		server = r.cfg.StrangersAt
	}
	shares, err := faketls.NewShares(random)
	if err != nil {
		return nil, err
	}
	hello := faketls.ClientHello{Domain: r.cfg.Secret.Domain, Shares: shares}
	random(hello.Secret[:])
	addrs := r.cfg.sources(r.cfg.Strangers + r.cfg.Probes*int(portTime/time.Second))
	cs := &crowds{fleet: r.fleet}
	for i, l := range r.fleet.loops {
		cs.all = append(cs.all, &crowd{
			loop: l, server: server, sources: dialOptions(addrs), start: r.fleet.start, hello: hello,
			want: share(r.cfg.Strangers, i, len(r.fleet.loops)), all: map[*stranger]struct{}{},
		})
	}
	return cs, nil
}

// begin lets them come, so many probes a second, until stop is called or ctx ends.
func (cs *crowds) begin(ctx context.Context, probes int) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(beat)
		defer tick.Stop()
		start, sent := time.Now(), 0
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			due := int(float64(probes)*time.Since(start).Seconds()) - sent
			sent += due
			due = min(due, int(math.Ceil(float64(probes)*mostLate.Seconds()))) // a late beat makes no burst
			for i, c := range cs.all {
				_ = cs.fleet.loops[i].Call(func() { c.tick(share(due, i, len(cs.all))) }) // a fleet that ended has no strangers
			}
		}
	}()
	return func() { cancel(); <-done }
}

// take sums what all of them met since the last take.
func (cs *crowds) take() *CrowdTally {
	sum := new(CrowdTally)
	for i, c := range cs.all {
		_ = cs.fleet.loops[i].Call(func() { sum.merge(&c.tally); c.tally = CrowdTally{} })
	}
	return sum
}

// leave ends all of them.
func (cs *crowds) leave() {
	for i, c := range cs.all {
		_ = cs.fleet.loops[i].Call(func() {
			for s := range c.all {
				s.over = true
				s.sock.Abort(codec.ReasonClientReset)
			}
		})
	}
}
