package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/session"
	"epoxy/engine/strangers"
	"epoxy/upstream/front"
	"epoxy/upstream/scout"
)

const (
	frontMost  = 4096 // strangers at the fronts at once, unless --front-max says otherwise
	frontShare = 4    // and no more than one in so many clients
)

// facade is one set of fronts, of all ports that have the same.
type facade struct {
	scout    *scout.Scout
	measured bool // profiles are taken from it
	slow     bool // clients are answered as late as it answers
	fallback faketls.Profile
	cancel   context.CancelFunc // nil before it runs
	done     chan struct{}
}

// facadeKey tells the fronts of ports apart; empty is none.
func facadeKey(set *config.Settings, p *config.Listen) string {
	if len(p.Fronts) == 0 {
		return ""
	}
	var places []string // a new listener may be where a front is: only a new scout looks for that
	for _, l := range set.Listen {
		places = append(places, l.Endpoint.String())
	}
	return fmt.Sprint(p.Fronts, p.FrontProxy, p.Domain, places, set.FrontMeasure, set.FrontDelay, set.PublicV4, set.PublicV6)
}

// facade returns the fronts of a port, nil for none.
func (l *portList) facade(set *config.Settings, p *config.Listen) *facade {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.next[facadeKey(set, p)]; f != nil {
		return f
	}
	return l.facades[facadeKey(set, p)]
}

// newFacades returns the facades that the ports of set want, those that are there already among them. The error is one that must
// stop the start or the reload, such as a front that is this proxy.
func (e *Engine) newFacades(set *config.Settings) (map[string]*facade, error) {
	e.ports.mu.Lock()
	here := e.ports.facades
	e.ports.mu.Unlock()
	want := map[string]*facade{}
	for i := range set.Listen {
		key := facadeKey(set, &set.Listen[i])
		if key == "" || want[key] != nil {
			continue
		}
		if want[key] = here[key]; want[key] != nil {
			continue
		}
		f, err := e.newFacade(set, &set.Listen[i])
		if err != nil {
			return nil, err
		}
		want[key] = f
	}
	return want, nil
}

func (e *Engine) newFacade(set *config.Settings, p *config.Listen) (*facade, error) {
	o := scout.Options{
		Default: p.Domain, StateDir: set.StateDir, Measure: set.FrontMeasure, Own: func() []netip.AddrPort { return e.own(set) },
		PublicV4: set.PublicV4, PublicV6: set.PublicV6, Log: e.part(logs.Scout),
	}
	if o.Measure == 0 {
		o.Measure = -1
	}
	version := map[config.Version]byte{config.VersionOff: 0, config.Version1: 1, config.Version2: 2}[p.FrontProxy]
	for _, f := range p.Fronts {
		site := scout.Site{Domain: f.Domain, Off: f.Off, Proxy: version}
		switch {
		case f.Host != "":
			site.Target = net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))
		case f.Path != "":
			site.Target = "unix:" + f.Path
		case !f.Off:
			site.Target = f.Addr.String()
		}
		o.Sites = append(o.Sites, site)
	}
	s, err := scout.New(o)
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	return &facade{
		scout: s, measured: set.FrontMeasure > 0, slow: set.FrontDelay == config.DelayAuto, fallback: e.profile,
	}, nil
}

// own returns the addresses that we listen at, or shall with set, those that the kernel chose among them. From any goroutine.
func (e *Engine) own(set *config.Settings) (all []netip.AddrPort) {
	for _, s := range []*config.Settings{e.set(), set} {
		for _, l := range s.Listen {
			if l.Addr.IsValid() && l.Addr.Port() != 0 {
				all = append(all, l.Addr)
			}
		}
	}
	for _, p := range e.ports.all() {
		if p.at.IsValid() {
			all = append(all, p.at)
		}
	}
	return all
}

// runFacade resolves and measures the fronts until stop, and hands what changes to the loops.
func (e *Engine) runFacade(f *facade) {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel, f.done = cancel, make(chan struct{})
	f.scout.Subscribe(func(v *scout.View) { e.show(f, v) })
	e.show(f, f.scout.Current())
	go func() {
		defer close(f.done)
		f.scout.Run(ctx)
	}()
}

// stop ends what runFacade began and waits for it.
func (f *facade) stop() {
	if f.cancel != nil {
		f.cancel()
		<-f.done
	}
}

// show hands a view to every loop.
func (e *Engine) show(f *facade, v *scout.View) {
	sites := f.sites(v)
	for _, l := range e.loops {
		_ = l.reactor.Post(func() {
			l.sites[f] = sites
			if r := l.fronts[f]; r != nil {
				r.Use(v.Targets)
			}
			for _, g := range l.gates {
				if g.facade == f {
					g.port.Use(sites)
				}
			}
		})
	}
}

// sites returns how hellos are answered in the manner of the fronts of v.
func (f *facade) sites(v *scout.View) *session.Sites {
	s := &session.Sites{Default: &f.fallback, ByDomain: map[string]*faketls.Profile{}}
	if !f.measured {
		return s
	}
	for domain, p := range v.Profiles {
		if !f.slow {
			p.DelayLow, p.DelayHigh = 0, 0
		}
		if domain == "" {
			s.Default = &p
		} else {
			s.ByDomain[strings.ToLower(domain)] = &p
		}
	}
	return s
}

// router returns the loop's way to the fronts of f.
func (l *loop) router(f *facade, most int) *front.Router {
	if l.fronts[f] == nil {
		r := front.NewRouter(l.reactor, front.Options{Max: max(1, most)})
		r.Use(f.scout.Current().Targets)
		l.fronts[f] = r
	}
	return l.fronts[f]
}

// frontMax returns how many strangers may be at the fronts, of clients that fit.
func frontMax(set *config.Settings, clients int64) int {
	if set.FrontMax > 0 {
		return set.FrontMax
	}
	return int(min(frontMost, max(clients/frontShare, 1)))
}

// fallbackProfile is how hellos are answered while no front was measured.
func fallbackProfile() faketls.Profile {
	return faketls.Fallback(func(p []byte) { _, _ = rand.Read(p) })
}

// FrontStatus returns what is known about the fronts, each once. From any goroutine.
func (e *Engine) FrontStatus() (all []scout.Status) {
	for _, f := range e.ports.inUse() {
		for _, s := range f.scout.Current().Sites {
			if s.Target != "" {
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b scout.Status) int { return strings.Compare(a.Domain+" "+a.Target, b.Domain+" "+b.Target) })
	return all
}

// warnFronts says once what a set-up gives away.
func (e *Engine) warnFronts() {
	for _, p := range e.set().Listen {
		switch {
		case !p.Allow.Has(codec.TLS):
		case len(p.Fronts) == 0:
			e.part(logs.Front).Warn("strangers on this port are read into silence; a web site behind it (--front) would hide it better", slog.String("port", p.Name))
			return
		case p.Allow.Has(codec.Secure) || p.Allow.Has(codec.Classic):
			e.part(logs.Front).Warn("this port also takes openings without TLS, so short input that is no TLS meets the front later than it would meet the site; --allow tls hides it better", slog.String("port", p.Name))
			return
		}
	}
}

// Strangers returns what strangers sent, of all loops, for the operator's door. From any goroutine.
func (e *Engine) Strangers() any {
	reports := make([]strangers.Report, len(e.loops))
	for i, l := range e.loops {
		_ = l.reactor.Call(func() { l.strangers.Copy(&reports[i], l.reactor.Now(), l.reactor.Unix()) })
	}
	return strangers.Merge(reports...)
}
