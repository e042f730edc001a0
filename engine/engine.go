// Package engine puts it together: reactors, sessions, upstreams, reload, drain.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
	"epoxy/engine/reactor"
	"epoxy/engine/replay"
	"epoxy/engine/session"
	"epoxy/engine/strangers"
	"epoxy/upstream"
	"epoxy/upstream/direct"
	"epoxy/upstream/egress"
	"epoxy/upstream/front"
	"epoxy/upstream/middle"
)

// Engine is one running proxy. Its methods may be called from any goroutine.
type Engine struct {
	// Fixed after New.
	set   *config.Settings
	log   *slog.Logger
	loops []*loop
	frontState
	store   *replay.Store
	profile faketls.Profile // of every port, until a front is measured
	limit   int64           // clients at most
	memory  int64           // bytes that the process may take; 0 is not known
	shared  bool            // what sockets hold in the kernel counts against memory
	book    *telegram       // Telegram's address book; nil in direct mode
	started time.Time

	// Shared by all loops; touched at accept and at the end of a session.
	clients  atomic.Int64
	draining atomic.Bool
	crowded  atomic.Bool   // memory is nearly spent
	empty    chan struct{} // closed when draining and the last client left
	once     sync.Once
	goLimit  int64 // the runtime's limit as last set; owned by whoever watches memory

	// Owned by whoever starts and stops the engine.
	mu    sync.Mutex
	ready bool
	addrs []string
	quit  chan struct{}
	done  chan struct{}
	runs  sync.WaitGroup
	err   error
}

// loop is one reactor and what lives on it.
type loop struct {
	reactor   *reactor.Reactor
	env       *session.Env
	direct    *direct.Router
	middle    *middle.Router // nil in direct mode
	egress    *egress.Loop   // nil without proxies towards Telegram
	route     *route
	listeners []*reactor.Listener
	ports     []*session.Port // by port; nil where another loop listens alone
	fronts    map[*facade]*front.Router
	strangers *strangers.Table
	refused   [codec.Reasons]uint64 // clients turned away at once
}

// New builds an engine of settings that Validate accepted; nothing listens yet. It raises the descriptor limit
// and GOMAXPROCS.
func New(set *config.Settings, log *slog.Logger) (*Engine, error) {
	if len(set.Secrets) == 0 {
		return nil, errors.New("engine: no secret; give --secret")
	}
	e := &Engine{
		set: set, log: log, started: time.Now(), empty: make(chan struct{}),
		quit: make(chan struct{}), done: make(chan struct{}),
		profile: fallbackProfile(),
	}
	e.limitMemory()
	if err := e.openBook(); err != nil {
		return nil, err
	}
	if err := e.openFacades(); err != nil {
		return nil, err
	}
	e.openStore()
	cpus := reactor.CPUs()
	n := set.Loops
	if n == 0 {
		n = len(cpus)
	}
	// Loops sit in system calls; the runtime needs room beside them (docs/ARCHITECTURE.md, things that bite).
	if want := max(n+2, runtime.NumCPU()); runtime.GOMAXPROCS(0) < want {
		runtime.GOMAXPROCS(want)
	}
	if err := e.budget(n); err != nil {
		return nil, err
	}
	for i := range n {
		cpu := -1
		if set.Pin == config.PinOn {
			cpu = cpus[i%len(cpus)]
		}
		if err := e.addLoop(i, cpu); err != nil {
			e.stopLoops()
			return nil, err
		}
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

// budget raises the descriptor limit and sets how many clients fit.
func (e *Engine) budget(loops int) error {
	files, err := reactor.RaiseFileLimit()
	if err != nil {
		e.log.Warn("the descriptor limit could not be raised", slog.Any("error", err))
	}
	reserve := reserveFiles + loops*(filesPerLoop+len(e.set.Listen))
	if slices.ContainsFunc(e.facades, func(f *facade) bool { return f != nil }) {
		reserve += e.frontMax(int64(min(files, 1<<20)) / 4) // a stranger's second socket
	}
	each := int64(filesDirect)
	if e.book != nil {
		reserve += min(loops*filesPerLinks, int(min(files, 1<<20))/8)
		if !e.set.Fallback() {
			each = filesLinked
		}
	}
	fit := (int64(min(files, 1<<31)) - int64(reserve)) / each
	if fit < 1 {
		return fmt.Errorf("engine: a descriptor limit of %d leaves no room for clients; raise it (ulimit -n, LimitNOFILE=) above %d", files, reserve+64)
	}
	e.limit = fit
	if want := int64(e.set.MaxClients); want > 0 {
		if want > fit {
			e.log.Warn("--max-clients is more than the descriptors allow; raise the limit (ulimit -n, LimitNOFILE=)",
				slog.Int64("max_clients", want), slog.Int64("clients_that_fit", fit), slog.Uint64("descriptors", files))
		}
		e.limit = min(want, fit)
	}
	return nil
}

func (e *Engine) addLoop(i, cpu int) error {
	r, err := reactor.New(reactor.Options{
		Index: i, CPU: cpu, StallTime: e.set.StallTimeout.Milliseconds(), Log: e.log,
	})
	if err != nil {
		return fmt.Errorf("engine: loop %d: %w", i, err)
	}
	l := &loop{reactor: r, fronts: map[*facade]*front.Router{}, strangers: strangers.New(0)}
	dial := &upstream.DialOptions{
		BindV4: e.set.BindV4, BindV6: e.set.BindV6, Interface: e.set.Interface, Mark: e.set.Mark,
		RecvBuffer: e.set.UpstreamRcvbuf, UserTimeout: int(e.set.UserTimeout.Milliseconds()),
		KeepIdle: int(e.set.Keepalive.Idle / time.Second), KeepInterval: int(e.set.Keepalive.Interval / time.Second),
		KeepCount: e.set.Keepalive.Count,
	}
	out := e.wayOut(l, r, i)
	l.direct = direct.NewRouter(out, e.table(), dial)
	l.middle = e.newMiddle(i, out, linkOptions(*dial))
	l.route = &route{middle: l.middle, direct: l.direct, fallback: e.set.Fallback(), loop: i, log: e.log}
	l.env = session.NewEnv(r, l.route, e.store)
	l.env.Gone = e.left
	l.env.Strangers = func(why codec.Reason, p []byte) { l.strangers.Note(why, p, r.Now()) }
	e.loops = append(e.loops, l)
	return nil
}

// table returns the datacenters' addresses as the settings want them.
func (e *Engine) table() *direct.Table {
	over := make(map[int][]netip.AddrPort, len(e.set.DC))
	for id, list := range e.set.DC {
		over[int(id)] = list
	}
	family := map[config.Prefer]direct.Family{
		config.PreferV4: direct.PreferV4, config.PreferV6: direct.PreferV6,
		config.OnlyV4: direct.OnlyV4, config.OnlyV6: direct.OnlyV6,
	}[e.set.Prefer]
	return direct.NewTable(over, family, int(e.set.DefaultDC))
}

// left is called by a loop for each session that ended.
func (e *Engine) left() {
	if e.clients.Add(-1) == 0 && e.draining.Load() {
		e.once.Do(func() { close(e.empty) })
	}
}

// gate accepts the clients of one port on one loop.
type gate struct {
	engine *Engine
	loop   *loop
	port   *session.Port
	from   []netip.Prefix // balancers, which alone may connect when the port expects their header
}

// Accept begins a session, or refuses the client when the limit is reached, memory spent, or it is no balancer where only
// balancers may connect.
func (g *gate) Accept(s upstream.Socket, peer netip.AddrPort) upstream.Handler {
	if g.port.ProxyHeader && peer.IsValid() && !slices.ContainsFunc(g.from, func(p netip.Prefix) bool { return p.Contains(peer.Addr()) }) {
		g.loop.refused[codec.ReasonProxyUntrusted]++
		return nil
	}
	if g.engine.clients.Add(1) > g.engine.limit || g.engine.crowded.Load() {
		g.engine.clients.Add(-1)
		g.loop.refused[codec.ReasonLimit]++
		return nil
	}
	return session.New(g.port, s, peer)
}

// port prepares what the loops of one listener share.
func (e *Engine) port(p *config.Listen) session.Port {
	ms := func(d time.Duration) int64 { return d.Milliseconds() }
	compact := ms(e.set.CompactAfter)
	if compact == 0 {
		compact = ms(e.set.IdleTimeout) + 1 // never
	}
	return session.Port{
		Name: p.Name, Allow: codec.Protocols(p.Allow), Tag: p.Tag, Secrets: e.secrets(p), Sites: &session.Sites{Default: &e.profile},
		ProxyHeader: len(p.ProxyFrom) > 0, SplitHello: p.SplitHello,
		Records: map[config.Records]session.Sizing{
			config.RecordsAuto: session.Auto, config.RecordsFull: session.Full, config.RecordsDRS: session.Ramp,
		}[p.Records],
		Timing: &session.Timing{
			FirstByte: ms(e.set.FirstByteTimeout), Handshake: ms(e.set.HandshakeTimeout),
			Idle: ms(e.set.IdleTimeout), Compact: compact, Window: int64(e.set.ClockWindow / time.Second),
			ProxyHeader: ms(e.set.ProxyTimeout), FrontSilence: ms(e.set.FrontSilence), FrontIdle: ms(e.set.FrontIdle),
			FrontTime: ms(e.set.FrontTime),
		},
	}
}

// secrets prepares the secrets that a port serves. A fake-TLS secret's own domain is its search hint.
func (e *Engine) secrets(p *config.Listen) *session.Secrets {
	var list []session.Secret
	for _, n := range e.set.Secrets {
		if len(p.Secrets) > 0 && !slices.Contains(p.Secrets, n.Name) {
			continue
		}
		domain := n.Secret.Domain
		if domain == "" {
			domain = p.Domain
		}
		list = append(list, session.Secret{Name: n.Name, Key: n.Secret.Key, Domain: domain, Tag: n.Tag})
	}
	if p.SNISalt != "" {
		return session.NewDerived(list, []byte(p.SNISalt))
	}
	return session.NewSecrets(list)
}

// Start opens the listeners and runs the loops. After an error nothing listens.
func (e *Engine) Start() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.listen(); err != nil {
		e.stopLoops()
		return err
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
	e.runBook()
	e.runFacades()
	e.warnFronts()
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
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.addrs...)
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
func (e *Engine) Limit() int { return int(e.limit) }

// Drain stops accepting, lets live sessions go on until they end or ctx does, and stops the engine.
func (e *Engine) Drain(ctx context.Context) {
	e.draining.Store(true)
	for _, l := range e.loops {
		_ = l.reactor.Call(func() { l.close(e.log) })
	}
	if e.clients.Load() > 0 {
		select {
		case <-ctx.Done():
		case <-e.empty:
		case <-e.done:
		}
	}
	e.Stop()
}

// close takes the loop's listeners out; live sessions go on. On the loop.
func (l *loop) close(log *slog.Logger) {
	for _, ln := range l.listeners {
		if err := l.reactor.RemoveListener(ln); err != nil {
			log.Warn("a listener could not be closed", slog.Any("error", err))
		}
	}
	l.listeners = nil
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
	e.stopBook()
	e.closeFacades()
	e.stopLoops()
	if started {
		<-e.done
	}
	e.closeStore()
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
