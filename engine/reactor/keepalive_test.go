package reactor_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// idleTimes returns the times of the first keep-alive probe of all connected sockets at a local or remote port, with how many
// have each.
func idleTimes(port uint16, remote bool) map[int]int {
	times := map[int]int{}
	for fd := 3; fd < 1024; fd++ {
		at, err := unix.Getpeername(fd)
		if err == nil && !remote {
			at, err = unix.Getsockname(fd)
		}
		if a, ok := at.(*unix.SockaddrInet4); err != nil || !ok || uint16(a.Port) != port {
			continue
		}
		if n, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); err == nil {
			times[n]++
		}
	}
	return times
}

// Clients who come in one moment, and the connections opened for them, are probed in many.
func TestKeepAliveSpread(t *testing.T) {
	const clients = 62
	r := start(t, reactor.Options{})
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{KeepIdle: 60, KeepInterval: 30, KeepCount: 4}, nil)
	if err != nil {
		t.Fatal(err)
	}
	on(t, r, func() { err = r.AddListener(l, accept(&funcs{})) })
	if err != nil {
		t.Fatal(err)
	}
	to := upstream.Target{Addr: l.AddrPort(), Opts: &upstream.DialOptions{KeepIdle: 60, KeepInterval: 30, KeepCount: 4}}
	var dialled []upstream.Socket
	on(t, r, func() {
		for range clients {
			s, why := r.Dial(to, &funcs{})
			if why != codec.ReasonNone {
				t.Fatal(why)
			}
			dialled = append(dialled, s)
		}
	})
	until(t, r, "all clients", func() bool { return r.Stats().Accepts == clients })
	on(t, r, func() {
		for _, remote := range []bool{false, true} {
			times := idleTimes(l.AddrPort().Port(), remote)
			all := 0
			for at, n := range times {
				if all += n; at < 60 || at > 90 || n > 2 {
					t.Errorf("%d sockets are probed after %d s", n, at)
				}
			}
			if all != clients || len(times) != 31 {
				t.Errorf("%d sockets, %d times: %v", all, len(times), times)
			}
		}
		for _, s := range dialled {
			s.Abort(codec.ReasonShutdown)
		}
	})
}
