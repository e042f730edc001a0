package reactor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hybridPoller is an epoll loop that keeps its processor from the Go scheduler while packets come at short
// intervals: it waits in the kernel for holdTime without telling the scheduler, which saves giving the processor
// away and fetching another one between any two packets. When the intervals are longer it sleeps as the scheduler
// wants it, for as long as it takes, so an idle loop costs nothing.
//
// Others do not wait for a held processor: GOMAXPROCS is above the number of loops, and when the runtime wants
// this one (to stop the world, or because another goroutine waits for it) its signal ends the wait.
type hybridPoller struct {
	// Fixed by newHybridPoller.
	epoll int
	bell  int // an eventfd: there are tasks. It is edge-triggered, so it is never read
	one   [8]byte

	// Owned by the loop.
	events  [mostEvents]unix.EpollEvent
	spare   []task // the room of the last drain
	pace    pace
	yielded time.Time // when the scheduler was called last

	// Shared.
	mu    sync.Mutex
	tasks []task
}

// task is what was posted.
type task struct {
	run func(arg any) error
	arg any
}

func newHybridPoller() (*hybridPoller, error) {
	h := &hybridPoller{epoll: -1, bell: -1}
	var err error
	if h.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if h.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = h.watch(h.bell)
	}
	if err != nil {
		_ = h.close()
		return nil, err
	}
	binary.NativeEndian.PutUint64(h.one[:], 1)
	return h, nil
}

const (
	hybridIn  = unix.EPOLLIN | unix.EPOLLPRI
	hybridOut = unix.EPOLLOUT
	hybridET  = unix.EPOLLET | unix.EPOLLRDHUP
)

func (h *hybridPoller) add(fd int) error    { return h.enter(fd, hybridIn|hybridOut|hybridET) }
func (h *hybridPoller) watch(fd int) error  { return h.enter(fd, hybridIn|hybridET) }
func (h *hybridPoller) listen(fd int) error { return h.enter(fd, hybridIn) }

func (h *hybridPoller) enter(fd int, events uint32) error {
	return unix.EpollCtl(h.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Fd: int32(fd), Events: events})
}

func (h *hybridPoller) remove(fd int) error {
	return unix.EpollCtl(h.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

func (h *hybridPoller) post(run func(any) error, arg any) error {
	h.mu.Lock()
	h.tasks = append(h.tasks, task{run, arg})
	first := len(h.tasks) == 1
	h.mu.Unlock()
	if !first {
		return nil // the bell was rung
	}
	if _, e := sysWrite(int32(h.bell), h.one[:]); e != 0 {
		return e
	}
	return nil
}

func (h *hybridPoller) run(event func(fd int, events uint32)) error {
	for {
		n, e := h.wait()
		if e == unix.EINTR {
			runtime.Gosched() // the runtime's signal, most likely: it wants the processor
			continue
		}
		if e != 0 {
			return fmt.Errorf("reactor: wait: %w", e)
		}
		rung := false
		for i := range n {
			if fd := int(h.events[i].Fd); fd != h.bell {
				event(fd, h.events[i].Events)
			} else {
				rung = true
			}
		}
		if rung && h.drain() {
			return nil
		}
	}
}

// wait fills events. While it holds the processor it lasts holdTime at most, else until something comes.
func (h *hybridPoller) wait() (int, unix.Errno) {
	at, size := unsafe.Pointer(&h.events), uintptr(len(h.events))
	if h.pace.quick() {
		n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(h.epoll), uintptr(at), size, holdTime, 0, 0)
		if e != 0 {
			return 0, e
		}
		h.pace.ended(n > 0)
		return int(n), 0
	}
	start := time.Now()
	if start.Sub(h.yielded) > yieldTime*time.Millisecond {
		h.yielded = start
		runtime.Gosched()
	}
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(h.epoll), uintptr(at), size, ^uintptr(0), 0, 0)
	if e != 0 {
		return 0, e
	}
	h.pace.ended(time.Since(start) < holdTime*time.Millisecond)
	return int(n), 0
}

// drain runs the tasks that are there now, and says whether one of them wants the loop to stop. What they post
// has its turn behind the next events.
func (h *hybridPoller) drain() (stop bool) {
	h.mu.Lock()
	tasks := h.tasks
	h.tasks = h.spare
	h.mu.Unlock()
	for i, t := range tasks {
		tasks[i] = task{}
		if t.run(t.arg) == errStop {
			return true
		}
	}
	h.spare = nil
	if cap(tasks) <= keptTasks {
		h.spare = tasks[:0]
	}
	return false
}

func (h *hybridPoller) close() error {
	if h.bell >= 0 {
		_ = unix.Close(h.bell)
	}
	return unix.Close(h.epoll)
}

// pace is how many waits in a row ended within holdTime. To hold in vain costs ten times what a good hold saves,
// because Go's monitor looks every 20 us after a processor that is not idle. So a pace must be proven.
type pace int

func (p pace) quick() bool { return p >= quickWaits }

// ended takes in a wait.
func (p *pace) ended(soon bool) {
	if !soon {
		*p = 0
	} else if !p.quick() {
		*p++
	}
}
