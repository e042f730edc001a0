package split

import (
	"sync"

	"epoxy/codec"
	"epoxy/codec/buf"
	wire "epoxy/codec/split"
)

// news are what a loop is told of a link beside its frames.
type news uint8

const (
	newsWelcome news = 1 << iota
	newsChanged
	newsDrained
	newsLost
)

// lane is a link as one loop sees it, and the way of its frames to that loop.
type lane struct {
	link *link
	end  end
	loop Loop
	run  func() // work

	// Owned by the loop.
	streams map[uint32]*Stream // at a front
	guests  map[uint32]*guest  // at a back
	stalled []waiter           // that wait until the outbox drained
	parts   int                // bytes of torn packets
	now     wire.Frame         // that take is at
	full    bool               // the outbox, when last asked
	gone    bool               // no more of its frames

	// Shared, under mu.
	mu     sync.Mutex
	room   sync.Cond // the reader waits for it
	in     []*buf.Buffer
	spare  []*buf.Buffer // of the loop while it works
	news   news
	posted bool
}

// waiter is a stream that waits until the outbox drained.
type waiter interface{ goOn() }

// post hands a batch and news to the loop, with one wake for all that it did not see yet. It waits while too much does; news
// alone do not wait.
func (a *lane) post(batch *buf.Buffer, n news) {
	a.mu.Lock()
	for batch != nil && len(a.in) >= mailMost && !a.link.isDead() {
		a.room.Wait()
	}
	if batch != nil {
		a.in = append(a.in, batch)
	}
	a.news |= n
	wake := !a.posted
	a.posted = true
	a.mu.Unlock()
	if wake && a.loop.Post(a.run) != nil {
		a.link.kill(codec.ReasonShutdown)
	}
}

// work does what was posted. On the loop.
func (a *lane) work() {
	a.mu.Lock()
	in, n := a.in, a.news
	a.in, a.spare, a.news, a.posted = a.spare[:0], nil, 0, false
	a.room.Signal()
	a.mu.Unlock()
	if n&newsWelcome != 0 {
		a.end.welcome(a)
	}
	for i, b := range in {
		in[i] = nil
		if !a.gone {
			if err := a.take(b.B); err != nil {
				a.gone = true
				a.link.kill(codec.ReasonOf(err, codec.ReasonMessage))
			}
		}
		buf.Chunk.Put(b)
	}
	a.end.flush()
	if n&newsChanged != 0 {
		a.end.changed(a)
	}
	if n&newsDrained != 0 {
		a.drain()
		a.end.drained(a)
	}
	if n&newsLost != 0 {
		a.gone = true
		a.end.lost(a)
	}
	a.mu.Lock()
	a.spare = in[:0]
	a.mu.Unlock()
}

// take acts on a batch of whole frames.
func (a *lane) take(p []byte) error {
	for len(p) > 0 {
		var n int
		var err error
		if a.now, n, err = wire.Next(p); err != nil {
			return err
		}
		if err := a.end.frame(a, &a.now, p[:n:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// put queues frames of a stream.
func (a *lane) put(q *outq, frames []byte) { a.full = a.link.out.put(q, frames) }

// drain lets those go on that wait for the outbox.
func (a *lane) drain() {
	a.full = false
	n := len(a.stalled)
	for i := range n {
		w := a.stalled[i]
		a.stalled[i] = nil
		w.goOn()
	}
	a.stalled = a.stalled[:copy(a.stalled, a.stalled[n:])]
}
