package split

import (
	"math/rand/v2"

	"epoxy/codec"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// Migrate says what happens to the streams of a link that ends.
type Migrate uint8

// The policies (spec upstream-protocols 4.4).
const (
	Idle   Migrate = iota // streams without an outstanding answer change links, others are closed
	Always                // all that carry packets change links
	Never                 // all are closed
)

// Outcome says what became of a stream whose link ended.
type Outcome uint8

// The outcomes.
const (
	Moved  Outcome = iota // it is on another link
	Waited                // it was held, and then moved
	Busy                  // closed: an answer was outstanding
	Late                  // closed: it was held, and no link came
	Barred                // closed: it carries bytes, or streams never move
	outcomes
)

var outcomeNames = [outcomes]string{"moved", "waited", "busy", "late", "barred"}

// String returns the metric label.
func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes is how many there are.
const Outcomes = int(outcomes)

// Counters are a router's counts since its start; the loop alone touches them.
type Counters struct {
	Streams                int64 // alive
	Opened                 uint64
	Held                   uint64 // begun without a link
	Stalls                 uint64 // times that a client waited for credit or its link
	Closed                 uint64 // streams that the back closed
	Shed                   uint64 // closed because too much waited
	Routes                 [wire.RouteDirect + 1]uint64
	Migrated               [outcomes]uint64 // streams whose link ended
	PacketsUp, PacketsDown uint64
	BytesUp, BytesDown     uint64
}

// Router opens streams on the links of one loop. Its loop alone touches it.
type Router struct {
	// Fixed after start.
	loop  Loop
	index int

	// Owned by the loop.
	Count   Counters
	Migrate Migrate
	Budget  int // bytes that may wait for all clients of the loop
	held    int // that do
	task    upstream.Socket
	timerAt int64
	lanes   []*lane // that live
	waiting list
	pacing  list
	paceEnd int64
	leaving list
	resumed []*Stream
	frames  []byte // of one Send
	down    []byte // for one Deliver
	to      *Stream
	paid    int   // bytes of Data in down
	moving  int64 // when vacate may step again
	left    int   // bytes of page
	page    [512]byte
	stopped bool
}

func newRouter(loop Loop, index int) *Router {
	r := &Router{loop: loop, index: index, down: make([]byte, 0, deliverMost), Budget: loopBudget}
	r.task = loop.Task(r)
	return r
}

// Up reports whether there is a link whose back is ready.
func (r *Router) Up() bool {
	for _, a := range r.lanes {
		if a.link.ready.Load() && !a.link.away.Load() {
			return true
		}
	}
	return false
}

// Open starts a stream. Without a link it is held for up to 3 s.
func (r *Router) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	if r.stopped {
		return nil, codec.ReasonShutdown
	}
	s := &Stream{router: r, sink: sink, ask: wire.Open{DC: req.DC, Transport: req.Transport, Client: req.Client, Local: req.Local}}
	s.ask.Tag = (*[16]byte)(req.Tag)
	r.Count.Streams++
	r.Count.Opened++
	if a := r.pick(nil); a == nil || !s.bind(a) {
		r.Count.Held++
		s.hold()
	}
	return s, codec.ReasonNone
}

// pick returns the better of two random links to the best back: of those that are ready and take streams the first in the
// operator's order, or else the first that has a link; nil when there is none. not is left out.
func (r *Router) pick(not *link) *lane {
	best := [2]*lane{}
	seen, rank := 0, 1<<30
	for _, a := range r.lanes {
		l := a.link
		if l == not || l.away.Load() || l.isDead() || len(a.streams) >= int(l.hello.Streams)/len(l.lanes) {
			continue
		}
		at := l.rank
		if !l.ready.Load() {
			at += 1 << 20
		}
		switch {
		case at > rank:
			continue
		case at < rank:
			rank, seen, best = at, 0, [2]*lane{}
		}
		if seen++; seen <= 2 { // a sample of two
			best[seen-1] = a
		} else if i := rand.IntN(seen); i < 2 {
			best[i] = a
		}
	}
	switch {
	case best[1] == nil:
		return best[0]
	case best[1].less(best[0]):
		return best[1]
	}
	return best[0]
}

// less reports whether a has less to send than b, or as much and fewer streams.
func (a *lane) less(b *lane) bool {
	x, y := a.link.out.load.Load(), b.link.out.load.Load()
	return x < y || x == y && len(a.streams) < len(b.streams)
}

// welcome takes a link that became ready, and binds those that wait.
func (r *Router) welcome(a *lane) {
	a.streams = make(map[uint32]*Stream)
	if r.stopped {
		a.gone = true
		return
	}
	r.lanes = append(r.lanes, a)
	for len(r.waiting) > 0 {
		s := r.waiting[len(r.waiting)-1]
		was := s.flags & migrant
		to := r.pick(nil)
		if to == nil || !s.bind(to) {
			return
		}
		if was != 0 {
			r.Count.Migrated[Waited]++
		}
	}
}

// changed acts on a link that takes no more streams.
func (r *Router) changed(a *lane) {
	if a.link.away.Load() {
		r.wake(r.loop.Now() + 1)
	}
}

// drained has nothing to do: the lane's streams went on.
func (r *Router) drained(*lane) {}

// lost moves or closes the streams of a link that ended (spec upstream-protocols 4.4).
func (r *Router) lost(a *lane) {
	for i, other := range r.lanes {
		if other == a {
			r.lanes = append(r.lanes[:i], r.lanes[i+1:]...)
			break
		}
	}
	a.stalled = nil
	for _, s := range a.streams {
		switch {
		case r.Migrate == Never || s.flags&ofBytes != 0:
			r.settle(s, Barred)
		case r.Migrate == Idle && s.busy():
			r.settle(s, Busy)
		default:
			r.move(s, nil)
		}
	}
}

// busy reports whether a stream would miss an answer on another link.
func (s *Stream) busy() bool {
	return s.part != nil || s.flags&pending != 0 && s.router.loop.Now()-s.upAt < busyTime
}

// move binds a stream to another link than not, or holds it until there is one.
func (r *Router) move(s *Stream, not *link) {
	if a := r.pick(not); a != nil && s.bind(a) {
		r.Count.Migrated[Moved]++
		return
	}
	s.hold()
	s.flags |= migrant
}

// settle closes a stream whose link ended.
func (r *Router) settle(s *Stream, o Outcome) {
	r.Count.Migrated[o]++
	r.retire(s, codec.ReasonLinkLost)
}

// retire closes a stream, many of them within paceTime.
func (r *Router) retire(s *Stream, why codec.Reason) {
	s.detach()
	s.release()
	s.state, s.why = pacing, why
	if len(r.pacing) == 0 {
		r.paceEnd = r.loop.Now() + paceTime
	}
	r.pacing.add(s)
	r.wake(r.loop.Now() + 1)
}

// Again does what a turn of the loop left behind: ends and deliveries.
func (r *Router) Again(upstream.Socket) {
	r.resume()
	for len(r.leaving) > 0 {
		s := r.leaving[len(r.leaving)-1]
		s.end(s.why, true)
	}
}

// wake asks for Timer at time at or earlier.
func (r *Router) wake(at int64) {
	if r.timerAt == 0 || at < r.timerAt {
		r.timerAt = at
		r.task.SetTimer(at)
	}
}

// Timer looks after paced ends, streams that waited too long, and links that take no more.
func (r *Router) Timer(upstream.Socket) {
	r.timerAt = 0
	now := r.loop.Now()
	if n := paceOf(len(r.pacing), now, r.paceEnd); n > 0 {
		for range n {
			s := r.pacing[0]
			s.end(s.why, true)
		}
		if len(r.pacing) > 0 {
			r.wake(now + paceStep)
		}
	}
	for i := 0; i < len(r.waiting); {
		s := r.waiting[i]
		if left := s.heldAt + holdTime - now; left > 0 {
			r.wake(now + left)
			i++
			continue
		}
		if s.flags&migrant != 0 {
			r.Count.Migrated[Late]++
		}
		r.retire(s, codec.ReasonNoLink)
	}
	r.vacate(now)
}

// vacate moves idle streams off links that take no more, some at a time, while there are others.
func (r *Router) vacate(now int64) {
	if r.Migrate == Never {
		return
	}
	if now < r.moving {
		r.wake(r.moving)
		return
	}
	for _, a := range r.lanes {
		if !a.link.away.Load() {
			continue
		}
		if a.link.live.Load() == 0 {
			a.link.kill(codec.ReasonLinkSpare)
		}
		if len(a.streams) == 0 || a.link.bytes {
			continue
		}
		r.moving = now + moveEvery
		r.wake(r.moving)
		left := movePace
		for _, s := range a.streams {
			if left == 0 || r.pick(a.link) == nil {
				break
			}
			if !s.busy() {
				r.move(s, a.link)
				left--
			}
		}
	}
}

// Closed says that the loop ends, or that a fault of ours cost the task.
func (r *Router) Closed(_ upstream.Socket, why codec.Reason) {
	if why == codec.ReasonPanic {
		r.timerAt = 0
		r.task = r.loop.Task(r)
		r.wake(r.loop.Now() + 1)
		r.task.Again()
		return
	}
	r.stopped = true
	for _, a := range r.lanes {
		for _, s := range a.streams {
			s.end(why, true)
		}
	}
	for _, l := range []*list{&r.waiting, &r.pacing, &r.leaving} {
		for len(*l) > 0 {
			(*l)[0].end(why, true)
		}
	}
}

// The task is no connection: the rest of upstream.Handler is not called.

// Opened is not called.
func (r *Router) Opened(upstream.Socket) {}

// Data is not called.
func (r *Router) Data(upstream.Socket, []byte) {}

// EOF is not called.
func (r *Router) EOF(upstream.Socket) {}

// Drained is not called.
func (r *Router) Drained(upstream.Socket) {}
