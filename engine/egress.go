package engine

import (
	"log/slog"
	"time"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
	"epoxy/upstream/egress"
)

// wayOut returns the loop that dials Telegram: the reactor itself, or through the proxies of the settings.
func (e *Engine) wayOut(l *loop, r *reactor.Reactor, i int) upstream.Loop {
	if len(e.set.UpstreamProxies) == 0 {
		return r
	}
	l.egress = egress.New(r, e.set.UpstreamProxies, egress.Options{
		Report: func(p egress.Proxy, why codec.Reason, rest int64) {
			e.log.Warn("a proxy towards Telegram failed", slog.Int("loop", i), slog.String("proxy", p.String()),
				slog.String("reason", why.String()), slog.Duration("rest", time.Duration(rest)*time.Millisecond))
		},
	})
	return l.egress
}
