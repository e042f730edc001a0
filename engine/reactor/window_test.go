package reactor_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"epoxy/engine/reactor"
	"epoxy/upstream"
)

// helloLen is as long as a browser's.
const helloLen = 1821

// tcpInfo asks the kernel about a client's side.
func tcpInfo(t *testing.T, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info
}

// needBufLock skips where the kernel cannot unlock a buffer.
func needBufLock(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0); errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("this kernel is older than 5.15 and has no SO_BUF_LOCK")
	}
}

// helloTo sends a hello to a listener with options o. It returns the client, its segments, the window that it was
// offered first, and the MSS of our side. got counts all bytes that came.
func helloTo(t *testing.T, o reactor.ListenOptions, got *atomic.Int64) (c net.Conn, segments, window uint32, mss int) {
	t.Helper()
	r := start(t, reactor.Options{})
	l, err := reactor.Listen("127.0.0.1:0", o, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := make(chan int, 1)
	on(t, r, func() {
		err = r.AddListener(l, accept(&funcs{data: func(s upstream.Socket, p []byte) {
			if n := got.Add(int64(len(p))); n == helloLen {
				whole <- s.MSS()
			}
		}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	c = dial(t, "tcp", l.Addr())
	window = tcpInfo(t, c).Snd_wnd
	if _, err := c.Write(make([]byte, helloLen)); err != nil {
		t.Fatal(err)
	}
	mss = recv(t, whole)
	return c, tcpInfo(t, c).Data_segs_out, window, mss
}

// A small first window tears the hello, and is neither the size of our segments nor the end of fast uploads.
func TestHandshakeMSS(t *testing.T) {
	needBufLock(t)
	var got atomic.Int64
	_, segments, _, usual := helloTo(t, reactor.ListenOptions{}, &got)
	if segments != 1 {
		t.Errorf("without the option: %d segments", segments)
	}
	got.Store(0)
	c, segments, window, mss := helloTo(t, reactor.ListenOptions{HandshakeMSS: 600}, &got)
	if segments < 3 || window > 1200 || mss != usual {
		t.Errorf("%d segments in a window of %d, our MSS is %d in place of %d", segments, window, mss, usual)
	}
	chunk := make([]byte, 256<<10)
	for end := time.Now().Add(patience); tcpInfo(t, c).Snd_wnd <= 0xffff; {
		if _, err := c.Write(chunk); err != nil || time.Now().After(end) {
			t.Fatalf("the window stays at %d: %v", tcpInfo(t, c).Snd_wnd, err)
		}
	}
}

// A small MSS tears the hello, and our own segments with it.
func TestListenerMSS(t *testing.T) {
	var got atomic.Int64
	_, segments, _, mss := helloTo(t, reactor.ListenOptions{MSS: 256}, &got)
	if segments < helloLen/256 || mss > 256 {
		t.Errorf("%d segments, our MSS is %d", segments, mss)
	}
}
