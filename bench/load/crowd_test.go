package load

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"epoxy/upstream/faketg"
)

// door is a server that answers whoever says many bytes, and reads the others to their end.
func door(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() {
				defer func() { _ = conn.Close() }()
				if _, err := io.ReadFull(conn, make([]byte, 30)); err == nil {
					_, _ = conn.Write([]byte("no"))
					_, _ = io.Copy(io.Discard, conn)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); wait.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// crowded is a run beside strangers who go to at.
func crowded(t *testing.T, at netip.AddrPort) *Report {
	t.Helper()
	c := straight(serve(t, 1, faketg.Faults{}), Strangers)
	c.Duration, c.Think, c.Strangers, c.Probes, c.StrangersAt = 300*time.Millisecond, time.Millisecond, 5, 1000, at
	report, err := Run(t.Context(), c, quiet)
	if err != nil || !report.OK() || report.Crowd == nil {
		t.Fatalf("%v, faults %v, steps %+v", err, report.Faults, report.Steps)
	}
	return report
}

func TestStrangersAreAnswered(t *testing.T) {
	report := crowded(t, door(t))
	c := report.Crowd
	if c.Answered == 0 || c.Closed+c.Silent+c.Refused+c.Ended > 0 || c.AnswerP50 <= 0 {
		t.Errorf("%+v", c)
	}
	if c.AloneP99 <= 0 || c.BesideP99 <= 0 || c.RSS <= 0 {
		t.Errorf("%+v", c)
	}
	for _, s := range report.Steps {
		if s.Name != "open" && s.Name != "close" && s.Messages == 0 {
			t.Errorf("nothing in step %+v", s)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	if c := crowded(t, at).Crowd; c.Refused == 0 || c.Answered+c.Closed+c.Silent > 0 {
		t.Errorf("%+v", c)
	}
}
