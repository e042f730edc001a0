package engine_test

import (
	"bufio"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"epoxy/upstream/egress"
)

// proxyManners say how a proxy towards Telegram behaves.
type proxyManners struct {
	http           bool
	user, password string // empty wants none
	code           byte   // of a SOCKS5 reply; in HTTP 502 for any; 0 is success
	garbage        bool   // says something else
	trickle        bool   // writes byte by byte
	hangUp         bool   // says success and closes
	noBind         bool   // says 0.0.0.0:0
}

// wayOut is a proxy on loopback.
type wayOut struct {
	proxyManners
	addr    netip.AddrPort
	asked   atomic.Int64 // connections
	carried atomic.Int64 // of them, those that reached their target
}

// wayTo runs a proxy until the test ends.
func wayTo(t testing.TB, m proxyManners) *wayOut {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wayOut{proxyManners: m, addr: l.Addr().(*net.TCPAddr).AddrPort()}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.asked.Add(1)
			go w.serve(c)
		}
	}()
	return w
}

// proxy returns what --upstream-proxy would say.
func (w *wayOut) proxy() egress.Proxy {
	p := egress.Proxy{Addr: w.addr, User: w.user, Password: w.password}
	if w.http {
		p.Kind = egress.HTTP
	}
	return p
}

func (w *wayOut) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	if w.garbage {
		_, _ = r.ReadByte()
		_, _ = c.Write([]byte("SSH-2.0-none\r\n"))
		return
	}
	ask := w.socks
	if w.http {
		ask = w.connect
	}
	target, answer := ask(c, r)
	if target == "" {
		return
	}
	far, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	w.say(c, answer(far))
	w.carried.Add(1)
	if w.hangUp {
		return
	}
	go func() {
		_, _ = io.Copy(far, r)
		_ = far.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(c, far)
}

// say writes whole or byte by byte.
func (w *wayOut) say(c net.Conn, p []byte) {
	for step := len(p); len(p) > 0; p = p[step:] {
		if w.trickle {
			step = 1
		}
		_, _ = c.Write(p[:step])
	}
}

// socks reads a request and returns its target, or nothing when it was refused, and what the answer is.
func (w *wayOut) socks(c net.Conn, r *bufio.Reader) (string, func(far net.Conn) []byte) {
	take := func(n int) []byte {
		p := make([]byte, n)
		_, _ = io.ReadFull(r, p)
		return p
	}
	methods := take(int(take(2)[1]))
	if w.user == "" {
		w.say(c, []byte{5, 0})
	} else {
		if methods[len(methods)-1] != 2 {
			w.say(c, []byte{5, 0xff})
			return "", nil
		}
		w.say(c, []byte{5, 2})
		user := string(take(int(take(2)[1])))
		password := string(take(int(take(1)[0])))
		if user != w.user || password != w.password {
			w.say(c, []byte{1, 1})
			return "", nil
		}
		w.say(c, []byte{1, 0})
	}
	code := w.code
	if take(4)[3] != 1 {
		code = 8 // IPv4 alone
	}
	if code != 0 {
		w.say(c, []byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
		return "", nil
	}
	addr, port := netip.AddrFrom4([4]byte(take(4))), take(2)
	target := netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1]))
	return target.String(), func(far net.Conn) []byte {
		own := far.LocalAddr().(*net.TCPAddr).AddrPort()
		if w.noBind {
			own = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		}
		reply := append([]byte{5, 0, 0, 1}, own.Addr().Unmap().AsSlice()...)
		return append(reply, byte(own.Port()>>8), byte(own.Port()))
	}
}

// connect is the same for HTTP.
func (w *wayOut) connect(c net.Conn, r *bufio.Reader) (string, func(far net.Conn) []byte) {
	req, err := http.ReadRequest(r)
	if err != nil || req.Method != http.MethodConnect {
		w.say(c, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		return "", nil
	}
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(w.user+":"+w.password))
	switch {
	case w.user != "" && req.Header.Get("Proxy-Authorization") != want:
		w.say(c, []byte("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"))
		return "", nil
	case w.code != 0:
		w.say(c, []byte("HTTP/1.1 502 Bad Gateway\r\n\r\n"))
		return "", nil
	}
	return req.Host, func(net.Conn) []byte {
		return []byte("HTTP/1.1 200 Connection established\r\nX-Pad: " + strings.Repeat("x", 300) + "\r\n\r\n")
	}
}
