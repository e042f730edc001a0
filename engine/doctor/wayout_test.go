package doctor

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"

	"epoxy/upstream/egress"
)

// manners say how a proxy towards Telegram behaves.
type manners struct {
	http           bool
	user, password string // empty wants none
	refuse         bool
	noBind         bool // says 0.0.0.0:0
}

// wayOut runs a proxy on loopback until the test ends.
func wayOut(t *testing.T, m manners) egress.Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	p := egress.Proxy{Addr: netip.MustParseAddrPort(l.Addr().String()), User: m.user, Password: m.password}
	if m.http {
		p.Kind = egress.HTTP
	}
	return p
}

func (m manners) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	var to net.Conn
	if m.http {
		req, err := http.ReadRequest(r)
		if err != nil {
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			return
		}
		if to, err = net.Dial("tcp", req.Host); err != nil {
			return
		}
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
	} else if to = m.socks(c, r); to == nil {
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, r); _ = to.(*net.TCPConn).CloseWrite() }()
	_, _ = io.Copy(c, to)
}

// socks answers as a SOCKS5 proxy, and returns the connection that was asked for.
func (m manners) socks(c net.Conn, r io.Reader) net.Conn {
	read := func(n int) []byte {
		p := make([]byte, n)
		_, _ = io.ReadFull(r, p) // zeros fit nothing
		return p
	}
	read(int(read(2)[1]))
	if m.user == "" {
		_, _ = c.Write([]byte{5, 0})
	} else {
		_, _ = c.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		if password := string(read(int(read(1)[0]))); user != m.user || password != m.password {
			_, _ = c.Write([]byte{1, 1})
			return nil
		}
		_, _ = c.Write([]byte{1, 0})
	}
	ask := read(10) // IPv4 only
	if m.refuse || ask[3] != 1 {
		_, _ = c.Write([]byte{5, 5, 0, 1, 0, 0, 0, 0, 0, 0})
		return nil
	}
	to, err := net.Dial("tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte(ask[4:8])), binary.BigEndian.Uint16(ask[8:])).String())
	if err != nil {
		return nil
	}
	reply := []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	if local := to.LocalAddr().(*net.TCPAddr).AddrPort(); !m.noBind {
		copy(reply[4:], local.Addr().Unmap().AsSlice())
		binary.BigEndian.PutUint16(reply[8:], local.Port())
	}
	_, _ = c.Write(reply)
	return to
}
