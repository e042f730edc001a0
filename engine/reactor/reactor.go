// Package reactor is one event loop: a poller (gnet's, or one that keeps its processor), listeners, connections in a slab, buffers, dialling, timers.
//
// It is the only package that knows gnet and raw sockets. A Reactor implements upstream.Loop and its
// connections upstream.Socket. All of its state belongs to the goroutine in Run; what says "on the loop"
// may only be called there, from a handler or a posted function. What crosses goroutines goes through Post.
//
// Sockets are registered once, edge-triggered, and never touched again by epoll_ctl: pausing is not
// reading, resuming is reading on, draining is the writable event. The poller gives events by descriptor;
// so that no event can meet a number that was given away again, descriptors are closed behind the batch.
package reactor

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/engine/timer"
	"epoxy/upstream"
)

// Options are the settings of a Reactor; zero values are the defaults named.
type Options struct {
	Index     int          // number of the loop, for logs
	CPU       int          // the processor to pin to; -1 is none
	ReadMin   int          // bytes of a read at first and after a partial write; 32 KiB
	ReadMax   int          // bytes of a read while the other side takes everything; 256 KiB, at most that
	StallTime int64        // ms without progress of a queue until ReasonWriteStall; 15 s
	DrainTime int64        // ms without progress after Close until ReasonDrainTime; 15 s
	HalfTime  int64        // ms without progress of a half-closed socket until ReasonDrainTime; 60 s
	Poller    string       // the wait strategy, gnet or hybrid; gnet
	Log       *slog.Logger // none when nil
}

// Errors of Post, Call and Run.
var (
	ErrStopped  = errors.New("reactor: stopped")
	errPanicked = errors.New("reactor: the function panicked")
)

// never is an armed time beyond all others.
const never = math.MaxInt64

// Reactor is one event loop.
type Reactor struct {
	// Fixed by New.
	opts     Options
	log      *slog.Logger
	poller   poller
	timerFD  int
	readyFD  int // an eventfd: the ready list is not empty
	start    time.Time
	base     int64 // what the clock showed at start
	one      [8]byte
	expireFn func(uint32)
	taskFn   func(any) error
	endFn    func(any) error

	// Owned by the loop.
	now, unix, nextUnix int64
	byFD                []uint32 // slot or listener of a descriptor; 0 is none
	slots               []*Conn  // 0 is the reactor's own timer
	freeSlots           []uint32
	tasks               int // sockets without a descriptor
	listeners           []*bound
	probes              uint32 // sockets whose keep-alive time was spread
	wheel               *timer.Wheel
	armed               int64 // time the timerfd is set to, or never
	advancing           bool  // inside wheel.Advance
	ending              bool  // endBatch is posted
	quit                bool  // inside shutdown: nothing new is opened
	ready, turns        []*Conn
	dead                []*Conn
	deadFDs             []int // listeners to close with the batch
	chunks              chunkPool
	buffer, scratch     []byte
	iov                 [flushChunks]unix.Iovec
	addr                sockaddr
	panicLog, acceptLog int64 // when the next line is allowed
	stats               Stats

	// Shared: who posts must not meet a closed poller.
	mu    sync.RWMutex
	state state
	done  chan struct{} // closed when nothing posted will run any more
}

// state is the life of a Reactor: fresh -> running -> stopped, or fresh -> stopped.
type state uint8

const (
	fresh state = iota
	running
	stopped
)

var _ upstream.Loop = (*Reactor)(nil)

// New returns a reactor that waits for Run. It holds three descriptors until Run returns or Stop was
// called without Run.
func New(o Options) (*Reactor, error) {
	r := &Reactor{opts: o.withDefaults(), timerFD: -1, readyFD: -1, armed: never, done: make(chan struct{})}
	r.log = r.opts.Log
	p, err := newPoller(o.Poller)
	if err != nil {
		return nil, err
	}
	r.poller = p
	if err := r.openFDs(); err != nil {
		r.closeFDs()
		return nil, fmt.Errorf("reactor: open: %w", err)
	}
	binary.NativeEndian.PutUint64(r.one[:], 1)
	r.slots = make([]*Conn, 1, 64)
	r.wheel = timer.New(len(r.slots))
	r.buffer = make([]byte, r.opts.ReadMax)
	r.scratch = make([]byte, upstream.ScratchSize)
	r.expireFn, r.taskFn, r.endFn = r.expire, r.task, r.endBatch

	var boot unix.Timespec // so that all loops show the same
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &boot)
	r.start, r.base = time.Now(), boot.Nano()/int64(time.Millisecond)+1
	r.now = r.base
	r.readWall()
	r.wheel.Clock(r.now)
	return r, nil
}

func (o Options) withDefaults() Options {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&o.StallTime, stallTime)
	set(&o.DrainTime, drainTime)
	set(&o.HalfTime, halfTime)
	if o.ReadMax <= 0 || o.ReadMax > readMax {
		o.ReadMax = readMax
	}
	if o.ReadMin <= 0 {
		o.ReadMin = readMin
	}
	o.ReadMin = min(o.ReadMin, o.ReadMax)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func (r *Reactor) openFDs() (err error) {
	if r.timerFD, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return err
	}
	if r.readyFD, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if err = r.poller.watch(r.timerFD); err != nil {
		return err
	}
	return r.poller.watch(r.readyFD)
}

func (r *Reactor) closeFDs() {
	for _, fd := range []int{r.timerFD, r.readyFD} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	_ = r.poller.close()
}

// Run is the loop. It blocks until Stop and returns nil then, or the fault of the poller, or of pinning.
func (r *Reactor) Run() error {
	r.mu.Lock()
	if r.state != fresh {
		r.mu.Unlock()
		return ErrStopped
	}
	r.state = running
	r.mu.Unlock()

	unpin := r.pin()
	defer unpin()
	r.refresh()
	err := r.poller.run(r.event)
	r.shutdown()
	return err
}

// pin binds the loop to its processor and returns what undoes it. A processor that is refused is a line
// in the log: the loop works anywhere.
func (r *Reactor) pin() (unpin func()) {
	if r.opts.CPU < 0 {
		return func() {}
	}
	runtime.LockOSThread()
	var before, set unix.CPUSet
	set.Set(r.opts.CPU)
	err := unix.SchedGetaffinity(0, &before)
	if err == nil {
		err = unix.SchedSetaffinity(0, &set)
	}
	if err != nil {
		r.log.Warn("reactor: not pinned", "loop", r.opts.Index, "cpu", r.opts.CPU, "err", err)
		runtime.UnlockOSThread()
		return func() {}
	}
	return func() {
		if unix.SchedSetaffinity(0, &before) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine
	}
}

// Post runs fn on the loop, behind the events of the current batch and in the order of the calls. From
// any goroutine. After Stop it is ErrStopped; what was posted just before Stop may not run.
func (r *Reactor) Post(fn func()) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.state == stopped {
		return ErrStopped
	}
	return r.poller.post(r.taskFn, fn)
}

// task runs what was posted. A panic in it is logged and counted.
func (r *Reactor) task(arg any) error {
	r.refresh()
	r.stats.Tasks++
	defer r.guard(nil)
	arg.(func())()
	return nil
}

// Call runs fn on the loop and waits for it. From any goroutine but the loop, which it would block.
func (r *Reactor) Call(fn func()) error {
	err := errPanicked
	ran := make(chan struct{})
	if e := r.Post(func() {
		defer close(ran)
		fn()
		err = nil
	}); e != nil {
		return e
	}
	select {
	case <-ran:
		return err
	case <-r.done:
		select {
		case <-ran:
			return err
		default:
			return ErrStopped
		}
	}
}

// Stop closes listeners and sockets, whose handlers hear ReasonShutdown, and lets Run return. It does
// not wait for that. From any goroutine, any number of times.
func (r *Reactor) Stop() {
	r.mu.Lock()
	was := r.state
	if was == fresh {
		r.state = stopped
	}
	r.mu.Unlock()
	switch was {
	case fresh:
		r.shutdown()
	case running:
		r.mu.RLock()
		if r.state == running {
			_ = r.poller.post(func(any) error { return errStop }, nil)
		}
		r.mu.RUnlock()
	case stopped:
	}
}

// shutdown ends everything, on the loop's goroutine or before there was one.
func (r *Reactor) shutdown() {
	r.refresh()
	r.quit = true
	for _, b := range r.listeners {
		if b != nil {
			r.detach(b)
		}
	}
	for len(r.dead) > 0 || r.stats.Open+r.tasks > 0 {
		for _, c := range r.slots {
			if c != nil {
				c.kill(codec.ReasonShutdown)
			}
		}
		_ = r.endBatch(nil)
	}
	_ = r.endBatch(nil)
	r.mu.Lock()
	r.state = stopped
	r.mu.Unlock()
	r.closeFDs()
	close(r.done)
}

// Each calls fn for every socket that is not about to close, with its handler. fn may end sockets, but
// not open any. On the loop.
func (r *Reactor) Each(fn func(s upstream.Socket, h upstream.Handler)) {
	for _, c := range r.slots {
		if c != nil && c.fd >= 0 && !c.is(dead) {
			fn(c, c.h)
		}
	}
}

// Adopt takes over a connected stream descriptor, which it makes non-blocking; it is the reactor's on
// success only. h does not hear Opened. On the loop.
func (r *Reactor) Adopt(fd int, h upstream.Handler) (upstream.Socket, error) {
	if r.quit {
		return nil, ErrStopped
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("reactor: adopt: %w", err)
	}
	if err := r.poller.add(fd); err != nil {
		return nil, fmt.Errorf("reactor: adopt: %w", err)
	}
	return r.open(fd, h), nil
}

// SetStall changes Options.StallTime, for queues that move from now on. On the loop.
func (r *Reactor) SetStall(ms int64) {
	if ms > 0 {
		r.opts.StallTime = ms
	}
}

// Stats returns the counters. On the loop.
func (r *Reactor) Stats() Stats {
	s := r.stats
	s.ChunkMemory = r.chunks.memory
	return s
}

// Now is the loop's clock in milliseconds, since the machine started; all reactors show the same.
func (r *Reactor) Now() int64 { return r.now }

// Unix is the wall clock in seconds.
func (r *Reactor) Unix() int64 { return r.unix }

// Scratch is one buffer of upstream.ScratchSize bytes; its content lives until the handler returns.
func (r *Reactor) Scratch() []byte { return r.scratch }

// Rand fills p with cryptographically secure random bytes; it is a call into the vDSO.
func (r *Reactor) Rand(p []byte) { _, _ = rand.Read(p) }
