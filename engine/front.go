package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
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
}

// openFacades prepares the fronts of the ports; the error is one that must stop the start, such as a front that is this
// proxy.
func (e *Engine) openFacades() error {
	made := map[string]*facade{}
	for i := range e.set.Listen {
		p := &e.set.Listen[i]
		if len(p.Fronts) == 0 {
			e.facades = append(e.facades, nil)
			continue
		}
		key := fmt.Sprint(p.Fronts, p.FrontProxy, p.Domain)
		if made[key] == nil {
			f, err := e.newFacade(p)
			if err != nil {
				return err
			}
			made[key] = f
		}
		e.facades = append(e.facades, made[key])
	}
	return nil
}

func (e *Engine) newFacade(p *config.Listen) (*facade, error) {
	o := scout.Options{
		Default: p.Domain, StateDir: e.set.StateDir, Measure: e.set.FrontMeasure, Own: e.own,
		PublicV4: e.set.PublicV4, PublicV6: e.set.PublicV6, Log: e.log,
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
		scout: s, measured: e.set.FrontMeasure > 0, slow: e.set.FrontDelay == config.DelayAuto, fallback: e.profile,
	}, nil
}

// own returns the addresses that we listen at, those that the kernel chose among them. From any goroutine.
func (e *Engine) own() (all []netip.AddrPort) {
	for _, l := range e.set.Listen {
		if l.Addr.IsValid() && l.Addr.Port() != 0 {
			all = append(all, l.Addr)
		}
	}
	e.ownMu.Lock()
	defer e.ownMu.Unlock()
	return append(all, e.bound...)
}

// runFacades resolves and measures the fronts until Stop, and hands what changes to the loops.
func (e *Engine) runFacades() {
	ctx, cancel := context.WithCancel(context.Background())
	e.stopFronts = cancel
	seen := map[*facade]bool{}
	for _, f := range e.facades {
		if f == nil || seen[f] {
			continue
		}
		seen[f] = true
		f.scout.Subscribe(func(v *scout.View) { e.show(f, v) })
		e.show(f, f.scout.Current())
		e.fronts.Go(func() { f.scout.Run(ctx) })
	}
}

// closeFacades ends what runFacades began and waits for it.
func (e *Engine) closeFacades() {
	if e.stopFronts != nil {
		e.stopFronts()
		e.fronts.Wait()
	}
}

// show hands a view to every loop.
func (e *Engine) show(f *facade, v *scout.View) {
	sites := f.sites(v)
	for _, l := range e.loops {
		_ = l.reactor.Post(func() {
			if r := l.fronts[f]; r != nil {
				r.Use(v.Targets)
			}
			for i, p := range l.ports {
				if e.facades[i] == f && p != nil {
					p.Use(sites)
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

// router returns the loop's way to the fronts of f, nil for none.
func (l *loop) router(f *facade, most int) *front.Router {
	if f == nil {
		return nil
	}
	if l.fronts[f] == nil {
		r := front.NewRouter(l.reactor, front.Options{Max: max(1, most)})
		r.Use(f.scout.Current().Targets)
		l.fronts[f] = r
	}
	return l.fronts[f]
}

// frontMax returns how many strangers may be at the fronts, of clients that fit.
func (e *Engine) frontMax(clients int64) int {
	if e.set.FrontMax > 0 {
		return e.set.FrontMax
	}
	return int(min(frontMost, max(clients/frontShare, 1)))
}

// fallbackProfile is how hellos are answered while no front was measured.
func fallbackProfile() faketls.Profile {
	return faketls.Fallback(func(p []byte) { _, _ = rand.Read(p) })
}

// frontState is what an engine needs for its fronts.
type frontState struct {
	facades    []*facade // by port; nil for ports without fronts
	stopFronts context.CancelFunc
	fronts     sync.WaitGroup

	ownMu sync.Mutex
	bound []netip.AddrPort // where ports with a number of the kernel's choice listen
}

// FrontStatus returns what is known about the fronts, each once. From any goroutine.
func (e *Engine) FrontStatus() (all []scout.Status) {
	seen := map[*facade]bool{}
	for _, f := range e.facades {
		if f != nil && !seen[f] {
			seen[f] = true
			all = append(all, f.scout.Current().Sites...)
		}
	}
	return all
}

// warnFronts says once what a set-up without fronts means.
func (e *Engine) warnFronts() {
	for i, f := range e.facades {
		p := e.set.Listen[i]
		if f == nil && p.Allow.Has(codec.TLS) {
			e.log.Warn("strangers on this port are read into silence: a web site behind it (--front) would hide it better", slog.String("port", p.Name))
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
