package engine

import (
	"log/slog"

	"epoxy/codec"
	"epoxy/engine/stats"
	"epoxy/upstream"
	"epoxy/upstream/direct"
	"epoxy/upstream/middle"
	"epoxy/upstream/split"
)

// route sends the new clients of one loop to Telegram: over links to middle proxies, or directly. Where both are
// allowed, a datacenter without a working link is reached directly until it has one again. The loop owns it.
type route struct {
	middle   *middle.Router // nil in direct mode
	direct   *direct.Router
	back     *split.Router // where all clients go; nil without --upstream back
	fallback bool          // direct where no link works
	loop     int
	log      *slog.Logger
	away     [stats.DCSlots]bool // whose clients were last sent directly for want of a link
}

// linked reports whether clients of dc go over links now.
func (r *route) linked(dc codec.DC) bool {
	return r.middle != nil && (!r.fallback || r.middle.Up(dc))
}

// Open starts a stream on the way that is right at this moment.
func (r *route) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	if r.back != nil {
		return r.back.Open(req, sink)
	}
	if r.middle == nil {
		return r.direct.Open(req, sink)
	}
	linked := r.linked(req.DC)
	r.note(req.DC, !linked)
	if linked {
		return r.middle.Open(req, sink)
	}
	return r.direct.Open(req, sink)
}

// note logs a datacenter's change of way, once.
func (r *route) note(dc codec.DC, away bool) {
	slot := stats.DCSlot(dc)
	if r.away[slot] == away {
		return
	}
	r.away[slot] = away
	if away {
		r.log.Warn("no link to this datacenter works; its new clients go there directly", slog.Int("loop", r.loop), slog.Int("dc", int(dc)))
	} else {
		r.log.Info("links to this datacenter work again; its new clients go over them", slog.Int("loop", r.loop), slog.Int("dc", int(dc)))
	}
}
