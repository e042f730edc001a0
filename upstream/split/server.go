package split

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// ServerOptions are the settings of a Server.
type ServerOptions struct {
	Addr    string // host:port or unix:/path
	Creds   *Creds // nil is plain: no TLS, for loopback, unix and private addresses alone
	Name    string // that fronts hear of us
	Streams int    // of one front at once; 0 is no limit
	Opens   int    // of one front a second; 0 is no limit
	Bytes   bool   // clients go to datacenters directly: fronts had better send bytes
	Loops   []Loop
	Routers []upstream.Router                         // by loop: the way of guests to Telegram
	Linked  func(loop int, req upstream.Request) bool // on that loop: this client goes over middle proxies
	Ready   func() bool                               // Telegram is within reach
	Tune    func(net.Conn)
	Log     *slog.Logger
}

// Server takes links of fronts, off the loops.
type Server struct {
	opts     ServerOptions
	hello    wire.Hello
	listener net.Listener
	backs    []*Back
	ends     []end
	ctx      context.Context
	cancel   context.CancelFunc
	runs     sync.WaitGroup
	started  sync.Once
	knocking chan struct{} // a place for each connection that has not said who it is

	mu       sync.Mutex
	links    map[*link]*tenant
	tenants  map[string]*tenant
	ready    bool
	draining bool
	refused  atomic.Uint64 // connections
}

// tenant is one front, by the name in its certificate.
type tenant struct {
	server  *Server
	name    string
	links   int // under server.mu
	streams atomic.Int64

	mu      sync.Mutex // of what follows, taken by readers for each Open
	second  int64
	opens   int
	opened  uint64
	refused uint64
	carried [2]uint64 // up, down, of links that ended; under server.mu
}

// ErrPublic refuses a plain link beyond private networks.
var ErrPublic = errors.New("split: a link without certificates over a public address")

// NewServer opens the listener; fronts wait until Start.
func NewServer(o ServerOptions) (*Server, error) {
	s := &Server{opts: o, links: map[*link]*tenant{}, tenants: map[string]*tenant{}, knocking: make(chan struct{}, maxStrangers)}
	s.hello = wire.Hello{Min: wire.Version, Max: wire.Version, Streams: maxStreams, Credit: creditUp, Name: o.Name}
	if o.Bytes {
		s.hello.Features |= wire.FeatureBytes
	}
	_, _ = rand.Read(s.hello.Instance[:])
	network, addr := "tcp", o.Addr
	if path, ok := unixPath(addr); ok {
		network, addr = "unix", path
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			if c, err := net.Dial(network, path); err != nil { // nobody is behind it
				_ = os.Remove(path)
			} else {
				_ = c.Close()
			}
		}
	}
	ln, err := (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(context.Background(), network, addr)
	if err != nil {
		return nil, fmt.Errorf("split: %w", err)
	}
	s.listener = ln
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for i, l := range o.Loops {
		b := newBack(s, l, i)
		s.backs, s.ends = append(s.backs, b), append(s.ends, b)
	}
	return s, nil
}

// Addr returns where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Back returns the i-th loop's side.
func (s *Server) Back(i int) *Back { return s.backs[i] }

// Start takes links until Stop. Further calls do nothing.
func (s *Server) Start() {
	s.started.Do(func() {
		s.ready = s.opts.Ready()
		s.runs.Go(s.accept)
		s.runs.Go(s.watch)
	})
}

// Stop ends all links and waits for them.
func (s *Server) Stop() {
	s.cancel()
	_ = s.listener.Close()
	s.runs.Wait()
}

// Drain takes no more links, and asks fronts to take their clients elsewhere.
func (s *Server) Drain() {
	_ = s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.links {
		l.out.urgent(wire.AppendAway(s.status(), wire.WhyShutdown))
	}
}

// Streams returns how many clients of fronts there are.
func (s *Server) Streams() (n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		n += t.streams.Load()
	}
	return n
}

// status returns the frame that says how we are. The caller holds mu.
func (s *Server) status() []byte {
	var flags uint8
	if s.ready && !s.draining {
		flags |= wire.StatusReady
	}
	if s.draining {
		flags |= wire.StatusDraining
	}
	return wire.AppendStatus(nil, flags)
}

// watch tells fronts when Telegram comes into reach or goes out of it.
func (s *Server) watch() {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	for {
		ready := s.opts.Ready()
		s.mu.Lock()
		if s.ready != ready {
			s.ready = ready
			for l := range s.links {
				l.out.urgent(s.status())
			}
		}
		s.mu.Unlock()
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// accept takes connections.
func (s *Server) accept() {
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			select { // no descriptor, perhaps
			case <-s.ctx.Done():
				return
			case <-time.After(restLeast):
			}
			continue
		}
		select {
		case s.knocking <- struct{}{}:
			s.runs.Go(func() { s.host(raw) })
		default:
			s.refused.Add(1)
			_ = raw.Close()
		}
	}
}

// host serves one connection to its end.
func (s *Server) host(raw net.Conn) {
	stop := context.AfterFunc(s.ctx, func() { _ = raw.Close() })
	defer stop()
	l, more, name, err := s.shake(raw)
	<-s.knocking
	if err != nil {
		_ = raw.Close()
		if s.refused.Add(1)%sayRefused == 1 {
			s.opts.Log.Warn("a link was refused", slog.String("from", raw.RemoteAddr().String()), slog.Any("error", err))
		}
		return
	}
	t := s.enter(l, name)
	if t == nil {
		_ = raw.Close()
		return
	}
	stopLink := context.AfterFunc(s.ctx, func() { l.kill(codec.ReasonShutdown) })
	why := l.serve(more)
	stopLink()
	s.leave(l, t, why)
}

// shake lets a front prove who it is, and greets it.
func (s *Server) shake(raw net.Conn) (_ *link, more []byte, name string, err error) {
	if s.opts.Tune != nil {
		s.opts.Tune(raw)
	}
	_ = raw.SetDeadline(time.Now().Add(helloTime))
	conn, name := raw, "plain"
	if s.opts.Creds != nil {
		t := tls.Server(raw, s.opts.Creds.server())
		if err := t.HandshakeContext(s.ctx); err != nil {
			return nil, nil, "", err
		}
		conn, name = t, s.opts.Creds.peer(t.ConnectionState())
	} else if !Private(raw.RemoteAddr()) {
		return nil, nil, "", ErrPublic
	}
	l := newLink(conn, raw, nil)
	if more, err = l.greet(&s.hello); err != nil {
		return nil, nil, "", err
	}
	_ = raw.SetDeadline(time.Time{})
	return l, more, name, nil
}

// Private reports whether an address is of this machine or of a private network.
func Private(a net.Addr) bool {
	if a.Network() == "unix" {
		return true
	}
	at, err := netip.ParseAddrPort(a.String())
	ip := at.Addr().Unmap()
	return err == nil && (ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast())
}

// enter lists a link; nil is one too many.
func (s *Server) enter(l *link, name string) *tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || len(s.links) >= maxFronts {
		s.refused.Add(1)
		return nil
	}
	t := s.tenants[name]
	if t == nil {
		t = &tenant{server: s, name: name}
		s.tenants[name] = t
	}
	l.owner = t
	l.bytes = l.hello.Features&s.hello.Features&wire.FeatureBytes != 0
	l.attach(s.ends, s.opts.Loops)
	s.links[l] = t
	if t.links++; t.links == 1 {
		s.opts.Log.Info("a front is here", slog.String("front", name), slog.String("from", l.raw.RemoteAddr().String()))
	}
	l.out.urgent(s.status())
	return t
}

// leave takes a link out of the list.
func (s *Server) leave(l *link, t *tenant, why codec.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
	t.carried[0] += l.carried.Load()
	t.carried[1] += l.written.Load()
	if t.links--; t.links == 0 && s.ctx.Err() == nil {
		s.opts.Log.Warn("a front is gone", slog.String("front", t.name), slog.String("reason", why.String()))
	}
}

// loopOf spreads streams over the loops.
func (t *tenant) loopOf(id uint32) int {
	return int(uint64(id*0x9e3779b1) * uint64(len(t.server.backs)) >> 32)
}

// control takes what a front says of itself: nothing.
func (t *tenant) control(l *link, f *wire.Frame) error {
	switch f.Type {
	case wire.TypeStatus:
		return errType
	case wire.TypeAway:
		_, err := wire.ParseWhy(f.Payload)
		return err
	default: //exhaustive:ignore
	}
	return nil
}

// admit counts a stream to its front, or refuses it.
func (t *tenant) admit(l *link, id uint32) (bool, error) {
	if id <= l.lastID {
		return false, errType
	}
	l.lastID = id
	o := &t.server.opts
	now := time.Now().Unix()
	t.mu.Lock()
	if t.second != now {
		t.second, t.opens = now, 0
	}
	t.opens++
	pass := (o.Opens == 0 || t.opens <= o.Opens) && (o.Streams == 0 || t.streams.Load() < int64(o.Streams))
	if pass {
		t.opened++
		t.streams.Add(1)
	} else {
		t.refused++
	}
	t.mu.Unlock()
	if !pass {
		l.out.urgent(wire.AppendClose(nil, id, wire.WhyLimit))
	}
	return pass, nil
}

// FrontStatus is what is known of one front.
type FrontStatus struct {
	Name               string
	Links              int
	Streams            int64
	Opened, Refused    uint64 // streams
	BytesUp, BytesDown uint64 // of links, inside TLS
}

// Status returns all fronts that have been here, in no order.
func (s *Server) Status() (all []FrontStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tenants {
		f := FrontStatus{Name: t.name, Links: t.links, Streams: t.streams.Load(), BytesUp: t.carried[0], BytesDown: t.carried[1]}
		for l, of := range s.links {
			if of == t {
				f.BytesUp += l.carried.Load()
				f.BytesDown += l.written.Load()
			}
		}
		t.mu.Lock()
		f.Opened, f.Refused = t.opened, t.refused
		t.mu.Unlock()
		all = append(all, f)
	}
	return all
}

// Refused returns how many connections were no links.
func (s *Server) Refused() uint64 { return s.refused.Load() }
