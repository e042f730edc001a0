package engine

import (
	"errors"
	"slices"
	"time"

	"epoxy/engine/config"
	"epoxy/upstream/split"
)

const (
	healthGrace = 30 * time.Second // after the start, until Telegram has to be reached
	lostMost    = 8                // direct streams in a row, over all loops, that reached no datacenter until the way counts as down
)

var errNoTelegram = errors.New("engine: no datacenter of Telegram can be reached; see the log, or try another --upstream")

// Healthy returns nil while clients can be carried to Telegram: a link stands, a back is ready, or the direct way is open and not every
// recent client found it closed. After the start there is a time of grace.
func (e *Engine) Healthy() error {
	if time.Since(e.started) < healthGrace || e.draining.Load() || e.Up() {
		return nil
	}
	return errNoTelegram
}

// Up reports whether Telegram is within reach of any loop, as far as is known.
func (e *Engine) Up() bool {
	if e.set().Upstream == config.UpstreamBack {
		return slices.ContainsFunc(e.Backs(), func(b split.BackStatus) bool { return b.Up })
	}
	links, reached, lost := false, false, 0
	for _, l := range e.loops {
		_ = l.reactor.Call(func() {
			c := &l.direct.Count
			links = links || l.middle != nil && len(l.middle.Ready(nil)) > 0
			reached = reached || c.Opened > 0 && c.Lost == 0
			lost += c.Lost
		})
	}
	if e.set().Middle() && !e.set().Fallback() {
		return links
	}
	return links || reached || lost < lostMost
}
