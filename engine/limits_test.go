package engine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/upstream/faketg"
)

// rawEcho is a datacenter that sends every byte back, on the runtime's own sockets: it allocates nothing per byte.
func rawEcho(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := ln.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				_ = c.Close()
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

// No allocation per relayed message in steady state, over real sockets, through reactor, session and stream, bare
// and in TLS: the whole process makes fewer than one per hundred messages.
func TestNoAllocationsOverTCP(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates by itself; the run without it checks this")
	}
	for _, w := range []way{ways[2], ways[3]} {
		set := settings(rawEcho(t))
		set.Memory = 1 << 30 // an automatic limit is looked up every second, which allocates
		h := start(t, set)
		c := dial(t, h.addr, w, 2)
		p := frame.Append(nil, c.tag, make([]byte, 200), nil)
		if c.proto == codec.TLS {
			p = append([]byte{0x17, 3, 3, 0, byte(len(p))}, p...)
		}
		back := make([]byte, len(p))
		// The first answer also brings back the frame that opened the stream to the datacenter.
		first := make([]byte, len(p)+64)
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, first); err != nil {
			t.Fatal(err)
		}
		const messages = 5000
		wantFew(t, w, messages, func() {
			if _, err := c.Write(p); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, back); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// wantFew fails when one message makes allocations, of the whole process. What the process does by the clock allocates a
// little too, so the best of some tries counts: what a message allocates is in each of them.
func wantFew(t *testing.T, w way, messages int, one func()) {
	t.Helper()
	best := ^uint64(0)
	for range 5 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range messages {
			one()
		}
		runtime.ReadMemStats(&after)
		if best = min(best, after.Mallocs-before.Mallocs); best <= uint64(messages/100) {
			return
		}
	}
	t.Errorf("%v: %d allocations for %d messages", w, best, messages)
}

// childLimit is how many descriptors the child of TestDescriptorLimit may have.
const childLimit = 100

// childEnv tells the child where its datacenter is.
const childEnv = "EPOXY_TEST_CHILD_DC"

// B24: a proxy at its descriptor limit keeps the clients it has, refuses others, and recovers. It runs as a child
// process with a limit of its own, and with a --max-clients that does not save it from the limit.
func TestDescriptorLimit(t *testing.T) {
	if dc := os.Getenv(childEnv); dc != "" {
		child(t, dc)
		return
	}
	_, dc := telegram(t, faketg.Faults{})
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", fmt.Sprintf("ulimit -n %d && exec %s -test.run '^TestDescriptorLimit$' -test.v", childLimit, exe))
	cmd.Env = append(os.Environ(), childEnv+"="+dc.String())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
	})
	var addr string
	for lines := bufio.NewScanner(stdout); addr == "" && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "listening %s", &addr)
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	if addr == "" {
		t.Fatal("the child never listened")
	}

	var in []*client
	for range childLimit { // more than fit, two descriptors each
		c, err := open(addr, ways[2], 2, key)
		if err != nil {
			continue
		}
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if err := c.ping(64); err != nil {
			_ = c.Close()
			continue
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		in = append(in, c)
		if len(in) > 4 && len(in)%8 == 0 {
			mustPing(t, in[0], 64)
		}
		if len(in) >= childLimit/2 {
			t.Fatalf("%d direct clients in %d descriptors", len(in), childLimit)
		}
		if refused(addr) {
			break
		}
	}
	if len(in) < 5 {
		t.Fatalf("only %d clients were served", len(in))
	}
	for _, c := range in {
		mustPing(t, c, 64)
	}
	for _, c := range in[1:] {
		_ = c.Close()
	}
	eventually(t, func() bool {
		c, err := open(addr, ways[3], 2, key)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		return c.ping(64) == nil
	}, func() string { return "no new client is served after places became free" })
	mustPing(t, in[0], 64)
}

// refused reports whether a new client is closed without an answer.
func refused(addr string) bool {
	c, err := open(addr, ways[2], 2, key)
	if err != nil {
		return true
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	return c.ping(64) != nil
}

// child is the proxy of TestDescriptorLimit; it lives until its standard input ends.
func child(t *testing.T, dc string) {
	h := start(t, settings(netip.MustParseAddrPort(dc)))
	fmt.Printf("listening %s\n", h.addr)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
