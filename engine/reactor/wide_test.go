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

// A socket whose bytes are taken as they come gets the wide receive buffer, and the small one again when its bytes go to
// somebody who is slower.
func TestRecvBufferWide(t *testing.T) {
	const small, wide = 64 << 10, 128 << 10
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() { // two peers: who sends without end, and who never reads
		for range 2 {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				p := make([]byte, 1<<20)
				for {
					if _, err := c.Write(p); err != nil {
						return
					}
				}
			}()
		}
	}()
	r := start(t, reactor.Options{ReadMin: 4 << 10})
	to := upstream.Target{
		Addr: server.Addr().(*net.TCPAddr).AddrPort(),
		Opts: &upstream.DialOptions{RecvBuffer: small, RecvBufferWide: wide},
	}
	var slow upstream.Socket
	forward := false
	source := &funcs{data: func(_ upstream.Socket, p []byte) {
		if forward {
			slow.Write(p)
		}
	}}
	var fast upstream.Socket
	on(t, r, func() {
		var why codec.Reason
		if slow, why = r.Dial(upstream.Target{Addr: to.Addr}, &funcs{}); why != codec.ReasonNone {
			t.Fatal(why)
		}
		slow.Pause()
		if fast, why = r.Dial(to, source); why != codec.ReasonNone {
			t.Fatal(why)
		}
	})
	var local netip.AddrPort
	on(t, r, func() { local = fast.Local() })
	until(t, r, "a wide buffer", func() bool { return recvBuffer(local) == wide })
	on(t, r, func() { forward = true })
	until(t, r, "a small buffer again", func() bool {
		if slow.Queued() > 1<<20 {
			fast.Pause()
		}
		return recvBuffer(local) == small
	})
	on(t, r, func() { fast.Abort(codec.ReasonShutdown); slow.Abort(codec.ReasonShutdown) })
}
