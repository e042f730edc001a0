package reactor_test

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"epoxy/codec"
	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// recvBuffer returns what SO_RCVBUF says of the socket bound to local, half of the kernel's figure, or 0.
func recvBuffer(local netip.AddrPort) int {
	for fd := 3; fd < 512; fd++ {
		at, err := unix.Getsockname(fd)
		a, ok := at.(*unix.SockaddrInet4)
		if err != nil || !ok || netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port)) != local {
			continue
		}
		if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
			return n / 2
		}
	}
	return 0
}

// A socket whose bytes are taken as they come gets the wide receive buffer; one whose bytes go to somebody who is slower
// keeps the small one.
func TestRecvBufferWide(t *testing.T) {
	const small, wide = 64 << 10, 128 << 10
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() { // peers who send without end and never read
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for p := make([]byte, 1<<20); err == nil; {
					_, err = c.Write(p)
				}
			}()
		}
	}()
	r := start(t, reactor.Options{ReadMin: 4 << 10})
	to := upstream.Target{
		Addr: server.Addr().(*net.TCPAddr).AddrPort(),
		Opts: &upstream.DialOptions{RecvBuffer: small, RecvBufferWide: wide},
	}
	dial := func(h upstream.Handler) (s upstream.Socket, local netip.AddrPort) {
		on(t, r, func() {
			var why codec.Reason
			if s, why = r.Dial(to, h); why != codec.ReasonNone {
				t.Fatal(why)
			}
			local = s.Local()
		})
		return s, local
	}
	deaf, _ := dial(&funcs{})
	on(t, r, func() { deaf.Write(make([]byte, 64<<20)) }) // more than both kernels take: all that follows waits
	fed := 0
	slow, slowAt := dial(&funcs{data: func(s upstream.Socket, p []byte) {
		deaf.Write(p)
		if fed += len(p); fed > 4<<20 {
			s.Pause()
		}
	}})
	fast, fastAt := dial(&funcs{data: func(upstream.Socket, []byte) {}})
	until(t, r, "a wide buffer", func() bool { return recvBuffer(fastAt) == wide })
	until(t, r, "4 MiB for the slow one", func() bool { return fed > 4<<20 })
	if n := recvBuffer(slowAt); n != small {
		t.Errorf("who is slow has a receive buffer of %d bytes", n)
	}
	on(t, r, func() {
		for _, s := range []upstream.Socket{deaf, slow, fast} {
			s.Abort(codec.ReasonShutdown)
		}
	})
}
