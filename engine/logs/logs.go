// Package logs gives each part of the program a log level of its own, which may change while it runs.
//
// A part is named once, by Of: its lines carry part=NAME, and the Switch that the handler belongs to says from which
// level on they are written. Asking for a level is one atomic load, so that a line below it costs nothing.
package logs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// key is the attribute that names a part.
const key = "part"

// The parts.
const (
	Engine  = "engine"  // loops, listeners, limits, memory
	Session = "session" // a line for each client that left and each stranger, at debug
	Middle  = "middle"  // links to middle proxies
	Split   = "split"   // links between servers
	Direct  = "direct"  // the direct way, and proxies towards Telegram
	Refresh = "refresh" // Telegram's address book
	Front   = "front"   // what strangers see
	Scout   = "scout"   // names and measurements of fronts
	Replay  = "replay"  // the memory of handshakes
	Lists   = "lists"   // block and allow lists
	Policy  = "policy"  // rules, tables and limits
	Admin   = "admin"   // the operator's door
	Reload  = "reload"  // changes of settings
)

var parts = [...]string{Engine, Session, Middle, Split, Direct, Refresh, Front, Scout, Replay, Lists, Policy, Admin, Reload}

// rest is the slot of all lines that belong to no part, and of the level that parts without one of their own have.
const rest = len(parts)

// Parts returns the names of all parts.
func Parts() []string { return slices.Clone(parts[:]) }

// Of returns the logger of a part.
func Of(log *slog.Logger, part string) *slog.Logger { return log.With(slog.String(key, part)) }

// Switch holds the least level that is written of each part. Its methods may be called from any goroutine.
type Switch struct {
	levels [rest + 1]atomic.Int64 // in force, by part

	mu  sync.Mutex
	own [rest]bool // has a level of its own
}

// New returns a switch at level, but for the parts of own.
func New(level slog.Level, own map[string]slog.Level) *Switch {
	s := &Switch{}
	s.Use(level, own)
	return s
}

// Use sets everything anew. A part that does not exist is passed over.
func (s *Switch) Use(level slog.Level, own map[string]slog.Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.levels[rest].Store(int64(level))
	for i, part := range parts {
		l, ok := own[part]
		if !ok {
			l = level
		}
		s.own[i] = ok
		s.levels[i].Store(int64(l))
	}
}

// Levels returns the level in force of each part, by name; "" is what belongs to none.
func (s *Switch) Levels() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]string{"": name(s.levels[rest].Load())}
	for i, part := range parts {
		all[part] = name(s.levels[i].Load())
	}
	return all
}

// SetLevel sets the level of a part: debug, info, warn or error. Part "" or "all" is every part that has none of its own.
func (s *Switch) SetLevel(part, level string) error {
	l, err := ParseLevel(level)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if part == "" || part == "all" {
		s.levels[rest].Store(int64(l))
		for i := range parts {
			if !s.own[i] {
				s.levels[i].Store(int64(l))
			}
		}
		return nil
	}
	i := slices.Index(parts[:], part)
	if i < 0 {
		return fmt.Errorf("logs: there is no part %q; write one of %s, or all", part, strings.Join(parts[:], ", "))
	}
	s.own[i] = true
	s.levels[i].Store(int64(l))
	return nil
}

// ParseLevel reads debug, info, warn or error.
func ParseLevel(text string) (slog.Level, error) {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if strings.EqualFold(text, l.String()) {
			return l, nil
		}
	}
	return 0, fmt.Errorf("logs: %q is no level; write debug, info, warn or error", text)
}

func name(level int64) string { return strings.ToLower(slog.Level(level).String()) }

// Handler returns one that hands to next what is to be written. next must take every level itself.
func (s *Switch) Handler(next slog.Handler) slog.Handler {
	return &handler{next: next, level: &s.levels[rest], of: s}
}

// handler asks its part's level.
type handler struct {
	next    slog.Handler
	level   *atomic.Int64
	of      *Switch
	grouped bool // what comes now stands in a group and names no part
}

// Enabled reports whether the part's level is reached. It does not allocate.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return int64(level) >= h.level.Load()
}

// Handle hands a line on.
func (h *handler) Handle(ctx context.Context, r slog.Record) error { return h.next.Handle(ctx, r) }

// WithAttrs returns the part's handler when attrs name one.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	to := *h
	if !h.grouped {
		for _, a := range attrs {
			if i := slices.Index(parts[:], a.Value.String()); a.Key == key && i >= 0 {
				to.level = &h.of.levels[i]
			}
		}
	}
	to.next = h.next.WithAttrs(attrs)
	return &to
}

// WithGroup puts what comes into a group.
func (h *handler) WithGroup(name string) slog.Handler {
	to := *h
	to.next, to.grouped = h.next.WithGroup(name), h.grouped || name != ""
	return &to
}
