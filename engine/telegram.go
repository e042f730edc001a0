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

// openBook prepares the address book in middle mode: what the cache or files hold is there at once.
func (e *Engine) openBook() error {
	if !e.set.Middle() {
		return nil
	}
	o := refresh.Options{
		Secret: e.set.TelegramSecret, ConfigV4: e.set.TelegramConfig, StateDir: e.set.StateDir,
		PublicV4: e.set.PublicV4, PublicV6: e.set.PublicV6, LookupV4: e.set.PublicLookup, Log: e.log,
	}
	if e.set.MiddleV6 {
		o.ConfigV6, o.LookupV6 = e.set.TelegramConfigV6, e.set.PublicLookup
	}
	book, err := refresh.New(o)
	if err != nil {
		return fmt.Errorf("engine: Telegram's configuration: %w", err)
	}
	e.book = &telegram{Refresher: book, done: make(chan struct{})}
	return nil
}

// runBook hands every new address book to every loop, from now until Stop.
func (e *Engine) runBook() {
	if e.book == nil {
		return
	}
	use := func(book *dcmap.Snapshot) {
		for _, l := range e.loops {
			_ = l.reactor.Post(func() { l.middle.Use(book) })
		}
	}
	e.book.Subscribe(use)
	if book := e.book.Current(); book != nil {
		use(book)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.book.cancel = cancel
	go func() {
		defer close(e.book.done)
		e.book.Run(ctx)
	}()
}

// stopBook ends what runBook began and waits for it.
func (e *Engine) stopBook() {
	if e.book != nil && e.book.cancel != nil {
		e.book.cancel()
		<-e.book.done
	}
}

// linkOptions returns o as links need it: the kernel finds a dead one as early as our pings do (spec upstream-protocols 8,
// fault 22).
func linkOptions(o upstream.DialOptions) *upstream.DialOptions {
	o.UserTimeout = linkUserTimeout
	o.KeepIdle, o.KeepInterval, o.KeepCount = linkKeepIdle, linkKeepEvery, linkKeepCount
	return &o
}

// newMiddle returns the links' router of a loop, nil in direct mode.
func (e *Engine) newMiddle(i int, r upstream.Loop, dial *upstream.DialOptions) *middle.Router {
	if e.book == nil {
		return nil
	}
	migrate := map[config.Migrate]middle.Migrate{
		config.MigrateIdle: middle.Idle, config.MigrateAlways: middle.Always, config.MigrateNever: middle.Never,
	}[e.set.Migrate]
	filter := map[config.Filter]middle.Filter{
		config.FilterFirst: middle.FilterFirst, config.FilterAlways: middle.FilterOn, config.FilterOff: middle.FilterOff,
	}[e.set.FilterErrors]
	return middle.NewRouter(r, middle.Options{
		Index: uint8(i), Dial: dial, Proxied: len(e.set.UpstreamProxies) > 0, Families: e.set.MiddleFamilies(), Warm: middle.Warm(),
		Migrate: migrate, Filter: filter, Budget: e.loopBudget(), Hard: e.set.QueueLimit, Stale: e.book.Force, Report: e.reporter(i, r),
		Process: rpc.ProcessID{PID: uint16(os.Getpid()), Start: uint32(time.Now().Unix())},
	})
}

// loopBudget is how many bytes may wait for clients on one loop.
func (e *Engine) loopBudget() int {
	if e.memory <= 0 {
		return 0 // the router's own default
	}
	loops := max(e.set.Loops, 1)
	if e.set.Loops == 0 {
		loops = len(reactor.CPUs())
	}
	return int(min(e.memory/int64(queueShare*loops), math.MaxInt32))
}

// reporter logs links that failed, not more often than is readable.
func (e *Engine) reporter(i int, r upstream.Loop) func(middle.Report) {
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
		e.log.Warn("a link to a middle proxy failed", args...)
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
