package engine

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/reactor"
	"epoxy/engine/replay"
	"epoxy/engine/session"
	"epoxy/engine/strangers"
	"epoxy/upstream/upstreamtest"
)

// saying returns lines that go to out at level, and a session of a client at 203.0.113.77 that has not spoken.
func saying(t *testing.T, out io.Writer, level slog.Level) (*lines, *session.Session) {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	set := config.Default()
	set.LogSample = 3
	e := &Engine{root: slog.New(logs.New(level, nil).Handler(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})))}
	e.current.Store(set)
	loop := upstreamtest.NewLoop(1_795_000_000)
	port := session.NewPort(session.NewEnv(loop, nil, replay.New(1<<16)), session.Port{
		Name: "port1", Secrets: session.NewSecrets(nil), Timing: &session.Timing{}, ProxyHeader: true,
	})
	peer := netip.MustParseAddrPort("203.0.113.77:5000")
	s := session.New(port, &upstreamtest.Socket{Remote: peer}, peer)
	return &lines{engine: e, reactor: r, log: e.part(logs.Session)}, s
}

func TestQuietLinesCostNothing(t *testing.T) {
	l, s := saying(t, io.Discard, slog.LevelInfo)
	if n := testing.AllocsPerRun(100, func() {
		l.ended(s, codec.ReasonIdle)
		l.stranger(codec.ReasonReplay, strangers.TLS)
	}); n != 0 {
		t.Errorf("%v allocations with the level off", n)
	}
}

func TestLinesAreSampled(t *testing.T) {
	var out bytes.Buffer
	l, s := saying(t, &out, slog.LevelDebug)
	for range 50 {
		l.ended(s, codec.ReasonProxyHeader)
	}
	if n := strings.Count(out.String(), "a session ended"); n != 3 {
		t.Errorf("%d lines, 3 a second are allowed", n)
	}
	full := config.Default()
	full.LogSample, full.LogAddresses = 0, config.AddressesFull
	l.engine.current.Store(full) // a reload
	l.stranger(codec.ReasonReplay, strangers.TLS)
	l.ended(s, codec.ReasonProxyHeader)
	for _, want := range []string{
		`level=DEBUG msg="a session ended" part=session loop=0 port=port1 reason=proxy_header client=203.0.113.0/24 dropped_lines=0`,
		`level=DEBUG msg="a stranger came" part=session loop=0 reason=replay kind=tls dropped_lines=47`,
		`client=203.0.113.77 dropped_lines=0`,
	} {
		if !regexp.MustCompile(regexp.QuoteMeta(want) + "\n").MatchString(out.String()) {
			t.Errorf("no %s in\n%s", want, &out)
		}
	}
}
