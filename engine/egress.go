package engine

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/upstream"
	"epoxy/upstream/direct"
	"epoxy/upstream/egress"
	"epoxy/upstream/front"
	"epoxy/upstream/middle"
)

// pastCounts are what the loop's parts that a reload replaced had counted.
type pastCounts struct {
	egress [][]egress.Count // by former list
	front  []*front.Router  // their strangers may still be there
}

// useUpstream makes new clients go to Telegram as set says; those who are there stay on their way. On the loop, or before
// it runs.
func (l *loop) useUpstream(e *Engine, set *config.Settings) {
	dial := &upstream.DialOptions{
		BindV4: set.BindV4, BindV6: set.BindV6, Interface: set.Interface, Mark: set.Mark,
		RecvBuffer: set.UpstreamRcvbuf, RecvBufferWide: 2 * set.UpstreamRcvbuf, UserTimeout: int(set.UserTimeout.Milliseconds()),
		KeepIdle: int(set.Keepalive.Idle / time.Second), KeepInterval: int(set.Keepalive.Interval / time.Second),
		KeepCount: set.Keepalive.Count,
	}
	out := l.wayOut(e, set)
	if l.direct == nil {
		l.direct = direct.NewRouter(out, table(set), dial)
	} else {
		l.direct.Use(out, table(set), dial)
	}
	switch o := e.middleOptions(l, set, linkOptions(*dial)); {
	case l.middle != nil:
		l.middle.Change(out, o)
	case set.Middle():
		l.middle = middle.NewRouter(out, o)
	}
	l.route.direct, l.route.middle, l.route.fallback = l.direct, nil, set.Fallback()
	if set.Middle() {
		l.route.middle = l.middle
	}
	l.useBack(e, set)
}

// useBack makes new clients go to another server when set says so. On the loop, or before it runs.
func (l *loop) useBack(e *Engine, set *config.Settings) {
	l.route.back = nil
	if f := e.halves.front; f != nil && set.Upstream == config.UpstreamBack {
		l.route.back = f.Router(l.index)
		l.route.back.Migrate = migrateOf(set.Migrate)
	}
	if n := e.loopBudget(set); n > 0 {
		e.halves.share(l.index, n)
	}
}

// wayOut returns the loop that dials Telegram: the reactor itself, or through the proxies of set.
func (l *loop) wayOut(e *Engine, set *config.Settings) upstream.Loop {
	if l.egress != nil && slices.Equal(l.egress.Proxies(), set.UpstreamProxies) {
		return l.egress
	}
	if l.egress != nil {
		l.past.egress = append(l.past.egress, l.egress.Count)
		l.egress = nil
	}
	if len(set.UpstreamProxies) == 0 {
		return l.reactor
	}
	l.egress = egress.New(l.reactor, set.UpstreamProxies, egress.Options{
		Report: func(p egress.Proxy, why codec.Reason, rest int64) {
			e.part(logs.Direct).Warn("a proxy towards Telegram failed", slog.Int("loop", l.index), slog.String("proxy", p.String()),
				slog.String("reason", why.String()), slog.Duration("rest", time.Duration(rest)*time.Millisecond))
		},
	})
	return l.egress
}

// table returns the datacenters' addresses as set wants them.
func table(set *config.Settings) *direct.Table {
	over := make(map[int][]netip.AddrPort, len(set.DC))
	for id, list := range set.DC {
		over[int(id)] = list
	}
	family := map[config.Prefer]direct.Family{
		config.PreferV4: direct.PreferV4, config.PreferV6: direct.PreferV6,
		config.OnlyV4: direct.OnlyV4, config.OnlyV6: direct.OnlyV6,
	}[set.Prefer]
	return direct.NewTable(over, family, int(set.DefaultDC))
}
