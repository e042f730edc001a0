package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"time"

	"epoxy/codec/rpc"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/reactor"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/middle"
	"epoxy/upstream/refresh"
)

const (
	reportTime      = 10_000 // ms between two lines of one loop about links that failed
	linkUserTimeout = 30_000 // ms that a link's bytes may go without acknowledgement
	linkKeepIdle    = 15     // seconds of silence until the kernel asks the other end of a link; ours asks after 10
	linkKeepEvery   = 5      // seconds between such questions
	linkKeepCount   = 3      // unanswered ones that end it
	queueShare      = 2      // the loops' queues may take one part in so many of the memory limit
)

// telegram keeps the address book of the middle proxies up to date, off the loops.
type telegram struct {
	*refresh.Refresher
	cancel context.CancelFunc
	done   chan struct{}
}

// newBook prepares the address book when set wants middle proxies: what the cache or files hold is there at once.
func (e *Engine) newBook(set *config.Settings) (*telegram, error) {
	if !set.Middle() {
		return nil, nil
	}
	book, err := refresh.New(bookOptions(set, e.part(logs.Refresh)))
	if err != nil {
		return nil, fmt.Errorf("engine: Telegram's configuration: %w", err)
	}
	return &telegram{Refresher: book, done: make(chan struct{})}, nil
}

func bookOptions(set *config.Settings, log *slog.Logger) refresh.Options {
	o := refresh.Options{
		Secret: set.TelegramSecret, ConfigV4: set.TelegramConfig, StateDir: set.StateDir,
		PublicV4: set.PublicV4, PublicV6: set.PublicV6, LookupV4: set.PublicLookup, Log: log,
	}
	if set.MiddleV6 {
		o.ConfigV6, o.LookupV6 = set.TelegramConfigV6, set.PublicLookup
	}
	return o
}

// runBook hands every new address book to every loop, from now until stop.
func (e *Engine) runBook(t *telegram) {
	if t == nil {
		return
	}
	use := func(book *dcmap.Snapshot) {
		for _, l := range e.loops {
			_ = l.reactor.Post(func() {
				if e.book.Load() == t && l.middle != nil {
					l.middle.Use(book)
				}
			})
		}
	}
	t.Subscribe(use)
	if book := t.Current(); book != nil {
		use(book)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.cancel = cancel
	go func() {
		defer close(t.done)
		t.Run(ctx)
	}()
}

// stop ends what runBook began and waits for it.
func (t *telegram) stop() {
	if t != nil && t.cancel != nil {
		t.cancel()
		<-t.done
	}
}

// force asks for a new secret.
func (e *Engine) force() {
	if t := e.book.Load(); t != nil {
		t.Force()
	}
}

// linkOptions returns o as links need it: the kernel finds a dead one as early as our pings do (spec upstream-protocols 8,
// fault 22).
func linkOptions(o upstream.DialOptions) *upstream.DialOptions {
	o.RecvBufferWide = 0 // longer reads of a link gain nothing
	o.UserTimeout = linkUserTimeout
	o.KeepIdle, o.KeepInterval, o.KeepCount = linkKeepIdle, linkKeepEvery, linkKeepCount
	return &o
}

// middleOptions returns the options of a loop's links.
func (e *Engine) middleOptions(l *loop, set *config.Settings, dial *upstream.DialOptions) middle.Options {
	migrate := map[config.Migrate]middle.Migrate{
		config.MigrateIdle: middle.Idle, config.MigrateAlways: middle.Always, config.MigrateNever: middle.Never,
	}[set.Migrate]
	filter := map[config.Filter]middle.Filter{
		config.FilterFirst: middle.FilterFirst, config.FilterAlways: middle.FilterOn, config.FilterOff: middle.FilterOff,
	}[set.FilterErrors]
	o := middle.Options{
		Index: uint8(l.index), Dial: dial, Proxied: len(set.UpstreamProxies) > 0, Families: set.MiddleFamilies(),
		Migrate: migrate, Filter: filter, Budget: e.loopBudget(set), Hard: set.QueueLimit, Stale: e.force, Report: e.reporter(l.index, l.reactor),
		Process: rpc.ProcessID{PID: uint16(os.Getpid()), Start: uint32(time.Now().Unix())},
	}
	if set.Middle() { // else the links that are left serve their streams and go
		o.Warm = middle.Warm()
	}
	return o
}

// loopBudget is how many bytes may wait for clients on one loop.
func (e *Engine) loopBudget(set *config.Settings) int {
	memory := e.memory.Load()
	if memory <= 0 {
		return 0 // the router's own default
	}
	loops := max(set.Loops, 1)
	if set.Loops == 0 {
		loops = len(reactor.CPUs())
	}
	return int(min(memory/int64(queueShare*loops), math.MaxInt32))
}

// reporter logs links that failed, not more often than is readable.
func (e *Engine) reporter(i int, r upstream.Loop) func(middle.Report) {
	log := e.part(logs.Middle)
	var next int64
	var silent int
	return func(f middle.Report) {
		if r.Now() < next {
			silent++
			return
		}
		next = r.Now() + reportTime
		args := []any{
			slog.Int("loop", i), slog.Int("dc", int(f.DC)), slog.String("addr", f.Addr.String()),
			slog.String("stage", f.Stage.String()), slog.String("reason", f.Why.String()), slog.Int("more", silent),
		}
		if f.Skew != 0 {
			args = append(args, slog.Int("clock_skew_seconds", int(f.Skew)))
		}
		if f.Hint {
			args = append(args, slog.String("hint", "the middle proxy went silent after our handshake: it may see us under another address or port; check --public-ip, and NAT that changes ports"))
		}
		silent = 0
		log.Warn("a link to a middle proxy failed", args...)
	}
}

// readyTargets asks the loops for the addresses of their ready links.
func (e *Engine) readyTargets() (all []netip.AddrPort) {
	for _, l := range e.loops {
		if l.middle != nil {
			_ = l.reactor.Call(func() { all = l.middle.Ready(all) })
		}
	}
	return all
}
