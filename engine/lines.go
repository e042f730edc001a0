package engine

import (
	"context"
	"log/slog"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/reactor"
	"epoxy/engine/session"
	"epoxy/engine/strangers"
)

// part returns the logger of a part of the program.
func (e *Engine) part(name string) *slog.Logger { return logs.Of(e.root, name) }

// lines writes about the single clients of one loop, at debug and no more than --log-sample lets it. While that level is off
// a line costs one look at it. The loop owns it.
type lines struct {
	engine  *Engine
	reactor *reactor.Reactor
	log     *slog.Logger
	loop    int
	sample  logs.Sampler
}

// ended tells of a client whose session ends. Strangers had their line when they came.
func (l *lines) ended(s *session.Session, why codec.Reason) {
	if at := s.State(); at != session.Header && at != session.Opening && at != session.Relay {
		return
	}
	dropped, ok := l.may()
	if !ok {
		return
	}
	attrs := [10]slog.Attr{
		slog.Int("loop", l.loop), slog.String("port", s.Port().Name), slog.String("reason", why.String()),
		slog.Any("client", logs.Client{Addr: s.Client().Addr(), Full: l.engine.set().LogAddresses == config.AddressesFull}), slog.Uint64("dropped_lines", dropped),
	}
	n := 5
	if secret := s.Secret(); secret != nil {
		attrs[n] = slog.String("secret", secret.Name)
		n++
	}
	if s.State() == session.Relay {
		up, down := s.Moved()
		n += copy(attrs[n:], []slog.Attr{
			slog.String("protocol", s.Protocol().String()), slog.Int("dc", int(s.DC())),
			slog.Float64("seconds", float64(l.reactor.Now()-s.Since())/1000), slog.Group("bytes", slog.Uint64("up", up), slog.Uint64("down", down)),
		})
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "a session ended", attrs[:n]...)
}

// stranger tells of one that was turned away.
func (l *lines) stranger(why codec.Reason, kind strangers.Kind) {
	dropped, ok := l.may()
	if !ok {
		return
	}
	l.log.LogAttrs(context.Background(), slog.LevelDebug, "a stranger came", slog.Int("loop", l.loop),
		slog.String("reason", why.String()), slog.String("kind", kind.String()), slog.Uint64("dropped_lines", dropped))
}

// on reports whether lines are written at all.
func (l *lines) on() bool { return l.log.Enabled(context.Background(), slog.LevelDebug) }

// may reports whether a line may be written now, and how many were not since the last one.
func (l *lines) may() (dropped uint64, ok bool) {
	if !l.on() {
		return 0, false
	}
	return l.sample.Take(l.reactor.Now(), l.engine.set().LogSample)
}
