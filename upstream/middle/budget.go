package middle

import (
	"math/bits"

	"epoxy/codec"
)

// overBudget reports whether more waits for clients than is healthy.
func (r *Router) overBudget() bool { return r.held > r.opts.Budget/100*shedAbove }

// relieve stops reading links while the loop's budget is as good as spent; Again sheds and goes on.
func (r *Router) relieve() {
	r.later()
	if r.heldBack || r.held <= r.opts.Budget/100*pauseAbove {
		return
	}
	r.heldBack = true
	r.Count.LinkPauses++
	r.eachLink((*link).pause)
}

// lighter says that memory was given back, for which paused links may wait.
func (r *Router) lighter() {
	if r.heldBack {
		r.later()
	}
}

// unpause reads the links again.
func (r *Router) unpause() {
	if r.heldBack && r.held < r.opts.Budget/100*readBelow {
		r.heldBack = false
		r.eachLink((*link).resume)
	}
}

func (l *link) pause()  { l.socket.Pause() }
func (l *link) resume() { l.socket.Resume() }

func (r *Router) eachLink(do func(*link)) {
	for _, p := range r.order {
		for _, l := range p.links {
			if l.stage >= Ready {
				do(l)
			}
		}
	}
}

// weight returns the memory that waits for a stream.
func (s *Stream) weight() (n int) {
	if s.part != nil {
		n = cap(s.part.B)
	}
	if s.queue != nil {
		n += s.queue.size
	}
	return n
}

// shed closes the streams for which most waits, within a factor of two, until the budget is well again: one look at all
// streams to find the measure, one to close.
func (r *Router) shed() {
	if !r.overBudget() {
		return
	}
	target := r.opts.Budget / 100 * shedTo
	var sums [64]int // by bits of the weight
	for _, e := range r.table.slots {
		if e.stream != nil {
			n := e.stream.weight()
			sums[bits.Len(uint(n))] += n
		}
	}
	least, over := len(sums), r.held-target
	for over > 0 && least > 1 {
		least--
		over -= sums[least]
	}
	for _, e := range r.table.slots {
		if r.held <= target {
			return
		}
		if s := e.stream; s != nil && bits.Len(uint(s.weight())) >= least {
			r.Count.Shed++
			s.leave(codec.ReasonMemory)
		}
	}
}
