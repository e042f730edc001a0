package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/reactor"
	"epoxy/engine/stats"
	"epoxy/upstream"
	"epoxy/upstream/split"
)

const (
	splitTimeout = 15_000                // ms that a link's bytes may go without acknowledgement (spec upstream-protocols 6.3)
	guestsLook   = 50 * time.Millisecond // between looks whether the last guest left
)

var errNewBack = errors.New("engine: --upstream back needs a restart, because this program began without a back")

// halves are this server's ends of the links between servers.
type halves struct {
	front      *split.Front  // nil without --back
	server     *split.Server // nil without --serve-back
	frontCreds *split.Creds  // nil is plain
	backCreds  *split.Creds
}

// newHalves makes the ends that set wants; nothing runs yet. The loops are there and do not run.
func (e *Engine) newHalves(set *config.Settings) (err error) {
	name, _ := os.Hostname()
	name = name[:min(len(name), 255)]
	log := e.part(logs.Split)
	loops := make([]split.Loop, 0, len(e.loops))
	for _, l := range e.loops {
		loops = append(loops, l.reactor)
	}
	tune := func(c net.Conn) { reactor.SetUserTimeout(c, splitTimeout) }
	h := &e.halves
	if len(set.Backs) > 0 {
		if set.BackFiles.Cert != "" {
			if h.frontCreds, err = split.NewCreds(set.BackFiles, []string{set.BackName}); err != nil {
				return fmt.Errorf("engine: --back-cert: %w", err)
			}
		}
		h.front = split.NewFront(split.FrontOptions{
			Backs: set.Backs, Creds: h.frontCreds, Name: name, Loops: loops, Tune: tune, Log: log,
		})
	}
	if set.ServeBack.IsZero() {
		return nil
	}
	if set.ServeBackFiles.Cert != "" {
		if h.backCreds, err = split.NewCreds(set.ServeBackFiles, set.ServeBackAllow); err != nil {
			return fmt.Errorf("engine: --serve-back-cert: %w", err)
		}
	}
	o := split.ServerOptions{
		Addr: set.ServeBack.String(), Creds: h.backCreds, Name: name, Streams: set.ServeBackStreams, Opens: set.ServeBackOpens,
		Bytes: !set.Middle(), Loops: loops, Ready: e.Up, Tune: tune, Log: log,
		Linked: func(i int, req upstream.Request) bool { return e.loops[i].linkedGuest(req) },
	}
	if o.Streams == 0 {
		o.Streams = e.Limit()
	}
	for _, l := range e.loops {
		o.Routers = append(o.Routers, &guests{engine: e, loop: l})
	}
	if h.server, err = split.NewServer(o); err != nil {
		return fmt.Errorf("engine: --serve-back %s: %w; choose another place, or stop what listens there", set.ServeBack, err)
	}
	return nil
}

// share sets how many bytes may wait on a loop.
func (h *halves) share(loop, bytes int) {
	if h.front != nil {
		h.front.Router(loop).Budget = bytes
	}
	if h.server != nil {
		h.server.Back(loop).Budget = bytes
	}
}

// guests is a loop's way to Telegram for the clients of other servers.
type guests struct {
	engine *Engine
	loop   *loop
	warned bool // that a tag is lost
}

// Open refuses while memory is nearly spent. Who has a tag does not fall back to the way that carries none.
func (g *guests) Open(req upstream.Request, sink upstream.Sink) (upstream.Stream, codec.Reason) {
	r := g.loop.route
	switch {
	case g.engine.crowded.Load():
		return nil, codec.ReasonMemory
	case req.Tag != nil && r.middle != nil:
		return r.middle.Open(req, sink)
	case req.Tag != nil && !g.warned:
		g.warned = true
		g.engine.part(logs.Split).Warn("a front server's clients have an ad tag, which is lost on the direct way; write --upstream middle here",
			slog.Int("loop", g.loop.index))
	}
	return r.Open(req, sink)
}

// linkedGuest reports whether a client of a front server goes over links now. On the loop.
func (l *loop) linkedGuest(req upstream.Request) bool {
	return l.route.middle != nil && (req.Tag != nil || l.route.linked(req.DC))
}

// run starts what set wants.
func (h *halves) run(set *config.Settings) {
	if h.front != nil && set.Upstream == config.UpstreamBack {
		h.front.Start()
	}
	if h.server != nil {
		h.server.Start()
	}
}

// stop ends the links and waits for them.
func (h *halves) stop() {
	if h.front != nil {
		h.front.Stop()
	}
	if h.server != nil {
		h.server.Stop()
	}
}

// reload reads the certificates again: links to come use them.
func (h *halves) reload(set *config.Settings) error {
	if set.Upstream == config.UpstreamBack && h.front == nil {
		return errNewBack
	}
	if h.frontCreds != nil && set.BackFiles.Cert != "" {
		if err := h.frontCreds.Load(set.BackFiles); err != nil {
			return fmt.Errorf("engine: --back-cert: %w", err)
		}
	}
	if h.backCreds != nil && set.ServeBackFiles.Cert != "" {
		if err := h.backCreds.Load(set.ServeBackFiles); err != nil {
			return fmt.Errorf("engine: --serve-back-cert: %w", err)
		}
	}
	return nil
}

// guestsGone waits until fronts took their clients elsewhere, or stop is closed.
func (h *halves) guestsGone(stop ...<-chan struct{}) {
	if h.server == nil {
		return
	}
	tick := time.NewTicker(guestsLook)
	defer tick.Stop()
	for h.server.Streams() > 0 {
		if slices.ContainsFunc(stop, closed) {
			return
		}
		<-tick.C
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// migrateOf maps a setting to that of links between servers.
func migrateOf(m config.Migrate) split.Migrate {
	return map[config.Migrate]split.Migrate{
		config.MigrateIdle: split.Idle, config.MigrateAlways: split.Always, config.MigrateNever: split.Never,
	}[m]
}

// ServedAt returns where fronts connect; empty is nowhere.
func (e *Engine) ServedAt() string {
	if e.halves.server == nil {
		return ""
	}
	return e.halves.server.Addr()
}

// Backs returns what is known of the backs; nil without any.
func (e *Engine) Backs() []split.BackStatus {
	if e.halves.front == nil {
		return nil
	}
	return e.halves.front.Status()
}

// logHalves says where fronts connect.
func (e *Engine) logHalves() {
	if s := e.halves.server; s != nil {
		e.part(logs.Split).Info("front servers may connect", slog.String("serve_back", s.Addr()), slog.Bool("tls", e.halves.backCreds != nil))
	}
}

// collectSplit copies the counters of the loop's ends of links between servers. On the loop.
func (l *loop) collectSplit(to *stats.Loop) {
	h := l.halves
	if h.front != nil {
		to.Split.TakeRouter(&h.front.Router(l.index).Count)
	}
	if h.server != nil {
		to.Split.TakeBack(&h.server.Back(l.index).Count)
	}
	to.TelegramUp += to.Split.BytesUp
	to.TelegramDown += to.Split.BytesDown
}

// collect fills s with what is known of the other servers.
func (h *halves) collect(s *stats.Snapshot) {
	if h.front != nil {
		s.Backs = h.front.Status()
	}
	if h.server != nil {
		s.Served, s.ServedRefused = h.server.Status(), h.server.Refused()
		slices.SortFunc(s.Served, func(a, b split.FrontStatus) int { return strings.Compare(a.Name, b.Name) })
	}
}
