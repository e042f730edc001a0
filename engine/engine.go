// Package engine puts it together: reactors, sessions, upstreams, reload, drain.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/quota"
	"epoxy/engine/reactor"
	"epoxy/engine/replay"
	"epoxy/engine/session"
	"epoxy/engine/strangers"
	"epoxy/upstream/direct"
	"epoxy/upstream/egress"
	"epoxy/upstream/front"
	"epoxy/upstream/middle"
)

var errNoSecret = errors.New("engine: no secret; give --secret")

// Engine is one running proxy. Its methods may be called from any goroutine.
type Engine struct {
	// Fixed after New.
	root    *slog.Logger // of all parts
	log     *slog.Logger // of this one
	loops   []*loop
	store   *replay.Store
	profile faketls.Profile // of every port, until a front is measured
	started time.Time

	// Changed by Apply alone, read by anybody.
	current atomic.Pointer[config.Settings]
	book    atomic.Pointer[telegram] // Telegram's address book; nil in direct mode
	limit   atomic.Int64             // clients at most
	memory  atomic.Int64             // bytes that the process may take; 0 is not known
	shared  atomic.Bool              // what sockets hold in the kernel counts against memory
	ports   portList
	limits
	halves halves

	// Shared by all loops; touched at accept and at the end of a session.
	clients  atomic.Int64
	draining atomic.Bool
	crowded  atomic.Bool   // memory is nearly spent
	empty    chan struct{} // closed when draining and the last client left
	once     sync.Once
	goLimit  int64 // the runtime's limit as last set; owned by whoever watches memory

	// Owned by whoever starts, changes and stops the engine.
	mu    sync.Mutex
	ready bool
	quit  chan struct{}
	done  chan struct{}
	runs  sync.WaitGroup
	err   error
}

// set returns the settings in force.
func (e *Engine) set() *config.Settings { return e.current.Load() }

// loop is one reactor and what lives on it. Once it runs, all but reactor belongs to its goroutine.
type loop struct {
	index     int
	reactor   *reactor.Reactor
	env       *session.Env
	direct    *direct.Router
	middle    *middle.Router // nil until middle proxies are wanted for the first time
	egress    *egress.Loop   // nil without proxies towards Telegram
	route     *route
	halves    *halves
	gates     []*gate
	fronts    map[*facade]*front.Router
	sites     map[*facade]*session.Sites
	till      *quota.Till
	strangers *strangers.Table
	refused   [codec.Reasons]uint64 // clients turned away at once
	past      pastCounts            // of what a reload took away
}

// New builds an engine of settings that Validate accepted; nothing listens yet. It raises the descriptor limit
// and GOMAXPROCS.
func New(set *config.Settings, log *slog.Logger) (_ *Engine, err error) {
	if len(set.Secrets) == 0 && len(set.Listen) > 0 {
		return nil, errNoSecret
	}
	e := &Engine{
		root: log, log: logs.Of(log, logs.Engine), started: time.Now(), empty: make(chan struct{}),
		quit: make(chan struct{}), done: make(chan struct{}),
		profile: fallbackProfile(),
	}
	e.current.Store(set)
	e.setMemory(set)
	book, err := e.newBook(set)
	if err != nil {
		return nil, err
	}
	e.book.Store(book)
	if e.ports.facades, err = e.newFacades(set); err != nil {
		return nil, err
	}
	e.openStore()
	e.openLimits()
	defer func() {
		if err != nil { // give the state directory back
			e.stopLoops()
			e.closeStore()
			e.closeLimits()
		}
	}()
	if e.watched, err = e.newLists(set); err != nil {
		return nil, err
	}
	e.lists.Store(e.watched.set)
	cpus := reactor.CPUs()
	n := set.Loops
	if n == 0 {
		n = len(cpus)
	}
	// Loops sit in system calls; the runtime needs room beside them (docs/ARCHITECTURE.md, things that bite).
	if want := max(n+2, runtime.NumCPU()); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
	limit, err := e.budget(set, n)
	if err != nil {
		return nil, err
	}
	e.limit.Store(limit)
	for i := range n {
		cpu := -1
		if set.Pin == config.PinOn {
			cpu = cpus[i%len(cpus)]
		}
		if err := e.addLoop(i, cpu); err != nil {
			return nil, err
		}
	}
	if err := e.newHalves(set); err != nil {
		return nil, err
	}
	for _, l := range e.loops {
		l.useBack(e, set)
	}
	return e, nil
}

// Descriptors that are not for clients.
const (
	reserveFiles  = 64  // log, state, admin door, upstream dials in flight
	filesPerLoop  = 8   // epoll, eventfds, timerfd, spare
	filesDirect   = 2   // a direct client: its own socket and the datacenter's
	filesLinked   = 1   // a client on a link
	filesPerLinks = 256 // links of one loop to all datacenters, at most by far
)

// budget raises the descriptor limit and returns how many clients fit with set.
func (e *Engine) budget(set *config.Settings, loops int) (int64, error) {
	files, err := reactor.RaiseFileLimit()
	if err != nil {
		e.log.Warn("the descriptor limit could not be raised", slog.Any("error", err))
	}
	reserve := reserveFiles + loops*(filesPerLoop+len(set.Listen))
	if slices.ContainsFunc(set.Listen, func(l config.Listen) bool { return len(l.Fronts) > 0 }) {
		reserve += frontMax(set, int64(min(files, 1<<20))/4) // a stranger's second socket
	}
	each := int64(filesDirect)
	if set.Upstream == config.UpstreamBack {
		each = filesLinked
	}
	if set.Middle() {
		reserve += min(loops*filesPerLinks, int(min(files, 1<<20))/8)
		if !set.Fallback() {
			each = filesLinked
		}
	}
	fit := (int64(min(files, 1<<31)) - int64(reserve)) / each
	if fit < 1 {
		return 0, fmt.Errorf("engine: a descriptor limit of %d leaves no room for clients; raise it (ulimit -n, LimitNOFILE=) above %d", files, reserve+64)
	}
	want := int64(set.MaxClients)
	if want > fit {
		e.log.Warn("--max-clients is more than the descriptors allow; raise the limit (ulimit -n, LimitNOFILE=)",
			slog.Int64("max_clients", want), slog.Int64("clients_that_fit", fit), slog.Uint64("descriptors", files))
	}
	if want > 0 {
		return min(want, fit), nil
	}
	return fit, nil
}

func (e *Engine) addLoop(i, cpu int) error {
	r, err := reactor.New(reactor.Options{
		Index: i, CPU: cpu, Poller: e.set().Poller.String(), StallTime: e.set().StallTimeout.Milliseconds(), Log: e.log,
	})
	if err != nil {
		return fmt.Errorf("engine: loop %d: %w", i, err)
	}
	l := &loop{
		index: i, reactor: r, halves: &e.halves, strangers: strangers.New(0),
		fronts: map[*facade]*front.Router{}, sites: map[*facade]*session.Sites{}, route: &route{loop: i, log: e.part(logs.Middle)},
	}
	l.useUpstream(e, e.set())
	l.env = session.NewEnv(r, l.route, e.store)
	l.env.Gone = e.left
	l.till = quota.NewTill(e.ledger, r, l.sweep)
	l.env.Admit = &door{e, l}
	say := &lines{engine: e, reactor: r, log: e.part(logs.Session), loop: i}
	l.env.Ended, l.env.Remember = say.ended, say.on
	l.env.Strangers = func(why codec.Reason, p []byte) { say.stranger(why, l.strangers.Note(why, p, r.Now())) }
	e.loops = append(e.loops, l)
	return nil
}

// left is called by a loop for each session that ended.
func (e *Engine) left() {
	if e.clients.Add(-1) == 0 && e.draining.Load() {
		e.once.Do(func() { close(e.empty) })
	}
}

// Listen opens the listeners; clients wait there until Start. After an error nothing listens.
func (e *Engine) Listen() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.listen()
	if err != nil {
		e.stopLoops()
	}
	return err
}

// Start runs the loops, and opens the listeners where Listen did not. After an error nothing listens.
func (e *Engine) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.ports.all()) == 0 {
		if err := e.listen(); err != nil {
			e.stopLoops()
			return err
		}
	}
	for i, l := range e.loops {
		e.runs.Go(func() { e.run(i, l) })
	}
	go func() {
		e.runs.Wait()
		close(e.done)
	}()
	go e.keepHouse()
	go e.watchMemory()
	go e.keepStore()
	go e.keepLimits()
	e.runBook(e.book.Load())
	for _, f := range e.ports.inUse() {
		e.runFacade(f)
	}
	e.watched.run()
	e.warnFronts()
	e.halves.run(e.set())
	e.logHalves()
	e.ready = true
	return nil
}

// run keeps one loop; a loop that ends by itself ends the engine, because clients would hash to a dead listener.
func (e *Engine) run(i int, l *loop) {
	if err := l.reactor.Run(); err != nil {
		e.log.Error("a loop ended; the proxy stops", slog.Int("loop", i), slog.Any("error", err))
		e.mu.Lock()
		e.err = fmt.Errorf("engine: loop %d: %w", i, err)
		e.mu.Unlock()
		go e.Stop()
	}
}

// Addrs returns where the ports listen, in the order of the settings.
func (e *Engine) Addrs() []string {
	var all []string
	for _, p := range e.ports.all() {
		all = append(all, p.addr)
	}
	return all
}

// Ready returns nil while the engine accepts clients.
func (e *Engine) Ready() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.err != nil:
		return e.err
	case !e.ready:
		return errors.New("engine: not started")
	case e.draining.Load():
		return errors.New("engine: draining")
	}
	return nil
}

// Clients returns how many clients are connected.
func (e *Engine) Clients() int { return int(e.clients.Load()) }

// Limit returns how many clients may be connected.
func (e *Engine) Limit() int { return int(e.limit.Load()) }

// Drain stops accepting, lets live sessions go on until they end or ctx does, and stops the engine.
func (e *Engine) Drain(ctx context.Context) {
	e.draining.Store(true)
	for _, l := range e.loops {
		_ = l.reactor.Call(func() { l.close(e.log) })
	}
	if e.halves.server != nil {
		e.halves.server.Drain()
	}
	if e.clients.Load() > 0 {
		select {
		case <-ctx.Done():
		case <-e.empty:
		case <-e.done:
		}
	}
	e.halves.guestsGone(ctx.Done(), e.done)
	e.Stop()
}

// close takes the loop's listeners out; live sessions go on. On the loop.
func (l *loop) close(log *slog.Logger) {
	for _, g := range l.gates {
		if err := l.reactor.RemoveListener(g.listener); err != nil {
			log.Warn("a listener could not be closed", slog.Any("error", err))
		}
	}
	l.gates = nil
}

// Stop closes everything now and waits for the loops. It may be called more than once.
func (e *Engine) Stop() {
	e.mu.Lock()
	select {
	case <-e.quit:
	default:
		close(e.quit)
	}
	started := e.ready
	e.mu.Unlock()
	e.watched.stop()
	e.book.Load().stop()
	for _, f := range e.ports.inUse() {
		f.stop()
	}
	e.stopLoops()
	if started {
		<-e.done
	}
	e.halves.stop()
	e.closeStore()
	e.closeLimits()
}

func (e *Engine) stopLoops() {
	for _, l := range e.loops {
		l.reactor.Stop()
	}
}

// Done is closed when all loops have ended; Err then says why, nil after Stop.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err returns what ended the engine, if it was not Stop.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}
