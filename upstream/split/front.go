package split

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	wire "epoxy/codec/split"
)

// FrontOptions are the settings of a Front.
type FrontOptions struct {
	Backs []string       // host:port or unix:/path, in the order of preference
	Creds *Creds         // nil is plain: no TLS
	Name  string         // that backs hear of us
	Loops []Loop         // of the process, all
	Tune  func(net.Conn) // sets socket options; nil is nothing
	Log   *slog.Logger
}

// Front keeps links to backs, off the loops.
type Front struct {
	opts    FrontOptions
	hello   wire.Hello
	backs   []*backend
	routers []*Router
	ends    []end
	cancel  context.CancelFunc
	runs    sync.WaitGroup
	started sync.Once
}

// backend is one back.
type backend struct {
	front   *Front
	addr    string
	network string
	rank    int

	mu       sync.Mutex
	links    []*link
	instance [16]byte
	told     bool      // up, as the log has it
	failure  string    // the last one that the log has
	saidAt   time.Time // when

	carriedUp, carriedDown atomic.Uint64 // of links that ended
	lost                   atomic.Uint64 // links that ended
	failed                 atomic.Uint64 // attempts that did
}

// NewFront returns a Front that does nothing until Start. Routers are there at once.
func NewFront(o FrontOptions) *Front {
	f := &Front{opts: o, hello: wire.Hello{
		Min: wire.Version, Max: wire.Version, Features: wire.FeatureBytes, Streams: maxStreams, Credit: creditDown, Name: o.Name,
	}}
	_, _ = rand.Read(f.hello.Instance[:])
	for i, addr := range o.Backs {
		b := &backend{front: f, rank: i, network: "tcp", addr: addr}
		if path, ok := unixPath(addr); ok {
			b.network, b.addr = "unix", path
		}
		f.backs = append(f.backs, b)
	}
	for i, l := range o.Loops {
		r := newRouter(l, i)
		f.routers, f.ends = append(f.routers, r), append(f.ends, r)
	}
	return f
}

// unixPath cuts unix: off an address.
func unixPath(addr string) (string, bool) {
	const scheme = "unix:"
	if len(addr) > len(scheme) && addr[:len(scheme)] == scheme {
		return addr[len(scheme):], true
	}
	return addr, false
}

// Router returns the router of the i-th loop.
func (f *Front) Router(i int) *Router { return f.routers[i] }

// Start connects to all backs and keeps connected until Stop.
func (f *Front) Start() {
	f.started.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		f.cancel = cancel
		n := min(max(2*((len(f.opts.Loops)+1)/2), 2), MaxLinks) // (spec upstream-protocols 6.3)
		for _, b := range f.backs {
			for range n {
				f.runs.Go(func() { b.keep(ctx) })
			}
		}
	})
}

// Stop ends all links and waits for them.
func (f *Front) Stop() {
	f.started.Do(func() {}) // else there is nothing to end
	if f.cancel == nil {
		return
	}
	f.cancel()
	f.runs.Wait()
}

// keep keeps one link to the back until ctx ends.
func (b *backend) keep(ctx context.Context) {
	rest := restLeast
	for ctx.Err() == nil {
		began := time.Now()
		l, more, err := b.connect(ctx)
		if err == nil {
			b.enter(l)
			stop := context.AfterFunc(ctx, func() { l.kill(codec.ReasonShutdown) })
			why := l.serve(more)
			stop()
			b.leave(l, why, ctx.Err() == nil)
			if time.Since(began) > restMost {
				rest = restLeast
			}
		} else if ctx.Err() == nil {
			b.fail(err)
		}
		pause := time.NewTimer(rest/2 + mathrand.N(rest/2))
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
		pause.Stop()
		rest = min(2*rest, restMost)
	}
}

// connect makes a link of which both hellos are known.
func (b *backend) connect(ctx context.Context) (_ *link, more []byte, err error) {
	f := b.front
	d := net.Dialer{Timeout: dialTime, KeepAliveConfig: keepAlive}
	raw, err := d.DialContext(ctx, b.network, b.addr)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = raw.Close()
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if f.opts.Tune != nil {
		f.opts.Tune(raw)
	}
	_ = raw.SetDeadline(time.Now().Add(helloTime))
	conn := raw
	if f.opts.Creds != nil {
		t := tls.Client(raw, f.opts.Creds.client())
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, nil, err
		}
		conn = t
	}
	l := newLink(conn, raw, b)
	l.rank = b.rank
	if more, err = l.greet(&f.hello); err != nil {
		return nil, nil, err
	}
	if !stop() {
		return nil, nil, ctx.Err()
	}
	_ = raw.SetDeadline(time.Time{})
	l.bytes = l.hello.Features&f.hello.Features&wire.FeatureBytes != 0
	l.attach(f.ends, f.opts.Loops)
	return l, more, nil
}

// keepAlive is the kernel's own question, beside ours.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: pingTime, Interval: pingTime, Count: 2}

// enter lists a link. Those of a back that has been started anew since end now (spec upstream-protocols 6.3).
func (b *backend) enter(l *link) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.instance != l.hello.Instance {
		for _, old := range b.links {
			old.kill(codec.ReasonLinkLost)
		}
		b.instance = l.hello.Instance
	}
	b.links = append(b.links, l)
}

// leave takes a link out of the list.
func (b *backend) leave(l *link, why codec.Reason, say bool) {
	b.mu.Lock()
	b.links = slices.DeleteFunc(b.links, func(o *link) bool { return o == l })
	b.mu.Unlock()
	b.carriedDown.Add(l.carried.Load())
	b.carriedUp.Add(l.written.Load())
	b.lost.Add(1)
	if say {
		b.tell(why.String())
	}
}

// tell logs that the back came or went, once.
func (b *backend) tell(why string) {
	b.mu.Lock()
	up := b.up()
	was := b.told
	b.told = up
	if up {
		b.failure = ""
	}
	b.mu.Unlock()
	switch log := b.front.opts.Log; {
	case up && !was:
		log.Info("a back is ready", slog.String("back", b.addr))
	case was && !up:
		log.Warn("a back is lost or not ready", slog.String("back", b.addr), slog.String("reason", why))
	}
}

// up reports whether a link's back is ready. The caller holds mu.
func (b *backend) up() bool {
	return slices.ContainsFunc(b.links, func(l *link) bool { return l.ready.Load() && !l.away.Load() && !l.isDead() })
}

// fail logs why there is no link, when it is something new or some time has passed.
func (b *backend) fail(err error) {
	b.failed.Add(1)
	text := err.Error()
	if op, ok := errors.AsType[*net.OpError](err); ok { // else it names a port of ours, another each time
		text = op.Op + ": " + op.Err.Error()
	}
	b.mu.Lock()
	now := time.Now()
	say := b.failure != text || now.Sub(b.saidAt) > sayEvery
	if say {
		b.failure, b.saidAt = text, now
	}
	b.mu.Unlock()
	if say {
		b.front.opts.Log.Warn("no link to a back", slog.String("back", b.addr), slog.String("error", text))
	}
}

// loopOf is told by the id, which outbox.open chose.
func (b *backend) loopOf(id uint32) int { return int(id % uint32(len(b.front.routers))) }

// admit refuses: a back opens nothing.
func (b *backend) admit(*link, uint32) (bool, error) { return false, errType }

// control takes what a back says of itself.
func (b *backend) control(l *link, f *wire.Frame) error {
	switch f.Type {
	case wire.TypeStatus:
		flags, _, err := wire.ParseStatus(f.Payload)
		if err != nil {
			return err
		}
		l.ready.Store(flags&wire.StatusReady != 0)
		if flags&wire.StatusDraining != 0 {
			l.away.Store(true)
		}
	case wire.TypeAway:
		if _, err := wire.ParseWhy(f.Payload); err != nil {
			return err
		}
		l.away.Store(true)
	default: //exhaustive:ignore
		return nil // of a later version
	}
	b.tell("not ready")
	l.tell(newsChanged)
	return nil
}

// BackStatus is what is known of one back.
type BackStatus struct {
	Addr               string
	Up                 bool // it is ready, and there is a link
	Links              int
	Lost, Failed       uint64 // links that ended; attempts that failed
	BytesUp, BytesDown uint64 // of links, inside TLS
}

// Status returns all backs, in the order of preference.
func (f *Front) Status() (all []BackStatus) {
	for _, b := range f.backs {
		s := BackStatus{
			Addr: b.addr, Lost: b.lost.Load(), Failed: b.failed.Load(),
			BytesUp: b.carriedUp.Load(), BytesDown: b.carriedDown.Load(),
		}
		b.mu.Lock()
		s.Up, s.Links = b.up(), len(b.links)
		for _, l := range b.links {
			s.BytesUp += l.written.Load()
			s.BytesDown += l.carried.Load()
		}
		b.mu.Unlock()
		all = append(all, s)
	}
	return all
}
