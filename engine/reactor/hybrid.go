package reactor

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hybridPoller is an epoll loop that keeps its processor from the Go scheduler while there is work. Behind a
// batch it waits in the kernel for holdTime without telling the scheduler, which saves giving the processor
// away and fetching another one on every idle turn. Only when that brings nothing it sleeps as the scheduler
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
	events [mostEvents]unix.EpollEvent
	spare  []task // the room of the last drain

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
	var hold holder
	for {
		n, e := h.wait(hold.next)
		if e == unix.EINTR {
			runtime.Gosched() // the runtime's signal, most likely: it wants the processor
			continue
		}
		if e != 0 {
			return fmt.Errorf("reactor: wait: %w", e)
		}
		hold.after(n > 0)
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
func (h *hybridPoller) wait(hold bool) (int, unix.Errno) {
	var n uintptr
	var e unix.Errno
	if hold {
		n, _, e = unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(h.epoll), uintptr(unsafe.Pointer(&h.events)), uintptr(len(h.events)), holdTime, 0, 0)
	} else {
		n, _, e = unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(h.epoll), uintptr(unsafe.Pointer(&h.events)), uintptr(len(h.events)), ^uintptr(0), 0, 0)
	}
	if e != 0 {
		return 0, e
	}
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

// holder decides which waits hold the processor: the one behind a batch, unless such waits found nothing of
// late. After the second miss in a row one batch goes without, then 3, 7, up to 31; a hit forgets them.
type holder struct {
	next   bool  // the next wait holds
	misses uint8 // held waits without events since the last one with
	rest   uint8 // batches yet that are followed by sleep at once
}

// after takes in how a wait went. Only a held one can have found nothing.
func (h *holder) after(found bool) {
	switch {
	case !found:
		h.next = false
		h.misses = min(h.misses+1, maxMisses)
		h.rest = 1<<(h.misses-1) - 1
	case h.rest > 0:
		h.rest--
	default:
		if h.next {
			h.misses = 0
		}
		h.next = true
	}
}
