package reactor

import (
	"fmt"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/netpoll"
	"github.com/panjf2000/gnet/v2/pkg/queue"
)

// poller is the wait strategy below a reactor and all that it knows of epoll. Everything but post is
// called on the loop.
type poller interface {
	// add registers a socket for good: edge-triggered, both directions.
	add(fd int) error
	// watch registers a descriptor of the reactor's own: edge-triggered, readable.
	watch(fd int) error
	// listen registers a listening socket: level-triggered, readable.
	listen(fd int) error
	// remove takes a descriptor out; closing one does it too.
	remove(fd int) error
	// post runs task(arg) on the loop, behind the events of the current batch and in the order of the
	// calls. From any goroutine.
	post(task func(arg any) error, arg any) error
	// run calls event for each descriptor that is ready until a task returns errStop.
	run(event func(fd int, events uint32)) error
	close() error
}

// errStop ends poller.run when a task returns it.
var errStop = errors.ErrEngineShutdown

// newPoller returns the wait strategy of that name.
func newPoller(name string) (p poller, err error) {
	switch name {
	case "", "gnet":
		p, err = newGnetPoller()
	case "hybrid":
		p, err = newHybridPoller()
	default:
		return nil, fmt.Errorf("reactor: no poller %q, there are gnet and hybrid", name)
	}
	if err != nil {
		return nil, fmt.Errorf("reactor: open poller: %w", err)
	}
	return p, nil
}

// gnetPoller is gnet's reactor: epoll and a lock-free task queue.
type gnetPoller struct{ p *netpoll.Poller }

func newGnetPoller() (gnetPoller, error) {
	p, err := netpoll.OpenPoller()
	return gnetPoller{p}, err
}

func (g gnetPoller) add(fd int) error {
	return g.p.AddReadWrite(&netpoll.PollAttachment{FD: fd}, true)
}

func (g gnetPoller) watch(fd int) error {
	return g.p.AddRead(&netpoll.PollAttachment{FD: fd}, true)
}

func (g gnetPoller) listen(fd int) error {
	return g.p.AddRead(&netpoll.PollAttachment{FD: fd}, false)
}

func (g gnetPoller) remove(fd int) error { return g.p.Delete(fd) }

// post uses the urgent queue only: the other one would give up the order above 1024 tasks.
func (g gnetPoller) post(task func(any) error, arg any) error {
	return g.p.Trigger(queue.HighPriority, task, arg)
}

func (g gnetPoller) run(event func(fd int, events uint32)) error {
	err := g.p.Polling(func(fd int, ev netpoll.IOEvent, _ netpoll.IOFlags) error {
		event(fd, ev)
		return nil
	})
	if err == errStop {
		return nil
	}
	return fmt.Errorf("reactor: wait: %w", err)
}

func (g gnetPoller) close() error { return g.p.Close() }
