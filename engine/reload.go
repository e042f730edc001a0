package engine

import (
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/session"
	"epoxy/upstream"
)

// Applied is what a reload did.
type Applied struct {
	Changes  []config.Change
	Kept     int // live clients that stayed
	Draining int // live clients that are closed when their time is over, because a change names them
}

var (
	errStopping = errors.New("engine: the proxy is stopping")
	errNotYet   = errors.New("engine: the proxy has not started")
)

// Apply makes set, which Validate accepted, the settings in force: new clients meet them at once, live ones stay as they are. Those of
// ports and secrets that are gone get --drain to finish. Only what config.Change marks waits for a restart. After an error everything
// is as it was.
func (e *Engine) Apply(set *config.Settings) (Applied, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.ready:
		return Applied{}, errNotYet
	case e.draining.Load() || e.stopped():
		return Applied{}, errStopping
	case len(set.Secrets) == 0 && len(set.Listen) > 0:
		return Applied{}, errNoSecret
	}
	from := e.set()
	done := Applied{Changes: config.Diff(from, set)}
	limit, err := e.budget(set, len(e.loops))
	if err != nil {
		return Applied{}, err
	}
	facades, err := e.newFacades(set)
	if err != nil {
		return Applied{}, err
	}
	book, fresh := e.book.Load(), false
	if set.Middle() && (book == nil || !reflect.DeepEqual(bookOptions(from, nil), bookOptions(set, nil))) {
		if book, err = e.newBook(set); err != nil {
			return Applied{}, err
		}
		fresh = true
	}
	list := e.watched
	if !sameLists(from, set) {
		if list, err = e.newLists(set); err != nil {
			return Applied{}, err
		}
	}
	if err := e.halves.reload(set); err != nil {
		return Applied{}, err
	}
	opened, err := e.openNew(set)
	if err != nil {
		return Applied{}, err
	}

	// From here on nothing fails.
	e.limit.Store(limit)
	if from.Memory != set.Memory {
		e.setMemory(set)
	}
	before := e.book.Load()
	e.current.Store(set)
	e.useLimits(set)
	if list != e.watched {
		e.watched.stop()
		e.watched = list
		e.lists.Store(list.set)
		list.run()
	}
	if fresh {
		e.book.Store(book)
		before.stop()
	}
	e.swapPorts(set, opened, facades)
	shared := map[string]session.Port{} // by place; prepared here, because thousands of secrets take their time
	for i := range set.Listen {
		shared[set.Listen[i].Endpoint.String()] = e.sessionPort(set, &set.Listen[i])
	}
	for _, l := range e.loops {
		_ = l.reactor.Call(func() { l.apply(e, set, opened, shared) })
	}
	e.halves.run(set)
	if fresh {
		e.runBook(book)
	}
	e.swapFacades(facades)
	done.Draining = e.expelLater(set)
	done.Kept = max(0, e.Clients()-done.Draining)
	return done, nil
}

// stopped reports whether Stop was called. The caller holds mu.
func (e *Engine) stopped() bool {
	select {
	case <-e.quit:
		return true
	default:
		return false
	}
}

// openNew opens the ports of set that are not there yet.
func (e *Engine) openNew(set *config.Settings) (opened []*port, err error) {
	here := e.ports.all()
	for i := range set.Listen {
		want := &set.Listen[i]
		if slices.ContainsFunc(here, func(p *port) bool { return p.key == want.Endpoint.String() }) {
			continue
		}
		p, err := e.openPort(set, want)
		if err != nil {
			for _, o := range opened {
				o.abandon()
			}
			return nil, err
		}
		opened = append(opened, p)
	}
	return opened, nil
}

// swapPorts puts the ports and fronts of set in their list.
func (e *Engine) swapPorts(set *config.Settings, opened []*port, facades map[string]*facade) {
	l := &e.ports
	l.mu.Lock()
	defer l.mu.Unlock()
	var now []*port
	for i := range set.Listen {
		is := func(p *port) bool { return p.key == set.Listen[i].Endpoint.String() }
		if at := slices.IndexFunc(l.list, is); at >= 0 {
			now = append(now, l.list[at])
		} else {
			now = append(now, opened[slices.IndexFunc(opened, is)])
		}
	}
	l.list, l.next = now, facades
}

// swapFacades runs the fronts that are new and stops those that no port has any more.
func (e *Engine) swapFacades(facades map[string]*facade) {
	e.ports.mu.Lock()
	before := e.ports.facades
	e.ports.facades, e.ports.next = facades, nil
	e.ports.mu.Unlock()
	for key, f := range facades {
		if before[key] != f {
			e.runFacade(f)
		}
	}
	for key, f := range before {
		if facades[key] == f {
			continue
		}
		f.stop()
		for _, l := range e.loops {
			_ = l.reactor.Post(func() {
				if r := l.fronts[f]; r != nil {
					l.past.front = append(l.past.front, r)
				}
				delete(l.fronts, f)
				delete(l.sites, f)
			})
		}
	}
}

// apply makes set hold on this loop. On the loop.
func (l *loop) apply(e *Engine, set *config.Settings, opened []*port, shared map[string]session.Port) {
	l.reactor.SetStall(set.StallTimeout.Milliseconds())
	l.useUpstream(e, set)
	if book := e.book.Load(); book != nil && l.middle != nil {
		if b := book.Current(); b != nil {
			l.middle.Use(b)
		}
	}
	for _, p := range opened {
		for _, g := range p.gates {
			if g.loop == l {
				l.use(g, set, wanted(set, p), shared[p.key])
				if err := l.enter(g); err != nil {
					e.log.Error("a new port does not accept", slog.Any("error", err))
				}
			}
		}
	}
	for i := len(l.gates) - 1; i >= 0; i-- {
		g := l.gates[i]
		want := wanted(set, g.of)
		if want == nil {
			if err := l.reactor.RemoveListener(g.listener); err != nil {
				e.log.Warn("a listener could not be closed", slog.Any("error", err))
			}
			l.gates = slices.Delete(l.gates, i, i+1)
			continue
		}
		l.use(g, set, want, shared[g.of.key])
		g.listener.Set(listenOptions(set, want), e.log)
	}
}

// wanted returns what set says of a port, nil for nothing.
func wanted(set *config.Settings, p *port) *config.Listen {
	for i := range set.Listen {
		if set.Listen[i].Endpoint.String() == p.key {
			return &set.Listen[i]
		}
	}
	return nil
}

// expelLater closes, after --drain, the clients of ports that are gone and of secrets that their port no longer serves. It returns how
// many there are now.
func (e *Engine) expelLater(set *config.Settings) int {
	n := 0
	each := func(do func(*session.Session, codec.Reason)) {
		for _, l := range e.loops {
			_ = l.reactor.Call(func() {
				l.reactor.Each(func(_ upstream.Socket, h upstream.Handler) {
					s, ok := h.(*session.Session)
					if !ok {
						return
					}
					if why := l.unwanted(s); why != codec.ReasonNone {
						do(s, why)
					}
				})
			})
		}
	}
	each(func(*session.Session, codec.Reason) { n++ })
	if n == 0 {
		return 0
	}
	time.AfterFunc(set.Drain, func() { // what a later reload allows again stays
		each(func(s *session.Session, why codec.Reason) { s.Expel(why) })
	})
	return n
}

// unwanted tells why a session may not stay with the settings in force, ReasonNone when it may. On the loop.
func (l *loop) unwanted(s *session.Session) codec.Reason {
	p, secret := s.Port(), s.Secret()
	if secret == nil {
		return codec.ReasonNone
	}
	for _, g := range l.gates {
		if g.port.Place == p.Place {
			if g.port.Secrets.Has(secret) {
				return codec.ReasonNone
			}
			return codec.ReasonSecretRemoved
		}
	}
	return codec.ReasonPortRemoved
}
