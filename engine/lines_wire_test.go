package engine_test

import (
	"bytes"
	"log/slog"
	"net"
	"regexp"
	"sync"
	"testing"

	"epoxy/codec"
	"epoxy/engine"
	"epoxy/engine/logs"
	"epoxy/upstream/faketg"
)

// locked is a buffer that loops write to.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// One line for each client that left, however it did, and one for a stranger; all without a whole address. With the level set
// back at run time there is none.
func TestLinesOverTCP(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	var out locked
	levels := logs.New(slog.LevelInfo, map[string]slog.Level{logs.Session: slog.LevelDebug})
	e, err := engine.New(set, slog.New(levels.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	said := func(line string) {
		t.Helper()
		eventually(t, func() bool { return regexp.MustCompile(line + "\n").MatchString(out.String()) }, func() string { return "no " + line + " in\n" + out.String() })
	}
	const rest = ` client=127\.0\.0\.0/24 dropped_lines=0 secret=a protocol=%s dc=2 seconds=\d\S* bytes\.up=\d\d\d+ bytes\.down=\d\d\d+`
	for _, w := range ways[2:] {
		tail := regexp.MustCompile("%s").ReplaceAllString(rest, w.proto.String())
		c := dial(t, e.Addrs()[0], w, 2)
		mustPing(t, c, 100)
		c.Close()
		said(`msg="a session ended" part=session loop=\d port=port1 reason=client_closed` + tail)
		c = dial(t, e.Addrs()[0], w, 2)
		mustPing(t, c, 100)
		if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
		said(`msg="a session ended" part=session loop=\d port=port1 reason=client_reset` + tail)
	}
	c := silent(t, e.Addrs()[0], bytes.Repeat([]byte("x"), 64))
	said(`msg="a stranger came" part=session loop=\d reason=\w+ kind=smtp/text dropped_lines=0`)
	c.Close()

	if err := levels.SetLevel(logs.Session, "info"); err != nil {
		t.Fatal(err)
	}
	before := out.String()
	c2 := dial(t, e.Addrs()[0], way{codec.Secure, codec.Padded}, 2)
	mustPing(t, c2, 100)
	c2.Close()
	eventually(t, func() bool { return e.Clients() == 0 }, func() string { return "the client stays" })
	if after := out.String(); after != before {
		t.Errorf("lines of a part that is quiet: %s", after[len(before):])
	}
}
