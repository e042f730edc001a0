package engine_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// A11: clients come over IPv6, over IPv4 to a dual-stack port, and over a unix socket.
func TestListeners(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	set := settings(dc)
	path := filepath.Join(t.TempDir(), "epoxy.sock")
	set.Listen = []config.Listen{listen("six", "[::1]:0"), listen("dual", ":0"), listen("unix", "unix:"+path)}
	h := start(t, set)
	six, dual := h.Addrs()[0], h.Addrs()[1]
	_, port, err := net.SplitHostPort(dual)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{six, "127.0.0.1:" + port, "[::1]:" + port, path} {
		for _, w := range ways {
			mustPing(t, dial(t, addr, w, 2), 64)
		}
	}
}

// silent sends p and asserts what a prober sees on a port without a front: nothing, and no end.
func silent(t *testing.T, addr string, p []byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	stillSilent(t, c)
	return c
}

func stillSilent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(150 * time.Millisecond))
	n, err := c.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a prober saw %d bytes, %v", n, err)
	}
}

// The rows of the bad-input table that need no front, as a prober sees them over TCP: silence, then FIN for FIN.
func TestStrangersOverTCP(t *testing.T) {
	h := proxy(t)
	other := codec.Key{9}
	hello := func(key codec.Key, unix int64, shape faketls.Shape) []byte {
		c := faketls.ClientHello{Domain: "example.com", Secret: key, Unix: uint32(unix), Shares: shares, Shape: shape}
		p, err := c.Append(nil, random)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	noise := make([]byte, 300)
	random(noise)
	noise[0] = 0x42
	now := time.Now().Unix()
	for name, p := range map[string][]byte{
		"row 2 eight bytes": []byte("12345678"), "row 3 HTTP": []byte("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n" + strings.Repeat(" ", 64)),
		"row 4 noise": noise, "row 41 PROXY v2": append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), noise...),
		"row 42 SSH":              []byte("SSH-2.0-OpenSSH_9.2p1\r\n" + strings.Repeat("x", 64)),
		"row 16 wrong secret":     hello(other, now, faketls.Browser),
		"row 17 an hour old":      hello(key, now-3600, faketls.Browser),
		"row 18 an hour ahead":    hello(key, now+3600, faketls.Browser),
		"row 29 trailing bytes":   append(hello(key, now, faketls.Browser), 1),
		"row 30 truncated hello":  hello(key, now, faketls.Browser)[:700],
		"row 32 malformed suites": func() []byte { p := hello(key, now, faketls.Browser); p[77] ^= 1; return p }(),
	} {
		t.Run(name, func(t *testing.T) {
			c := silent(t, h.addr, p).(*net.TCPConn)
			_, _ = c.Write(noise)
			if err := c.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if n := wantEnd(t, c); n != 0 {
				t.Fatalf("%d bytes came back before the FIN", n)
			}
		})
	}
	if n := h.tg.Seen().Accepted; n != 0 {
		t.Fatalf("strangers cost %d connections to Telegram", n)
	}
}

// A09, rows 9 and 19 over TCP: the second of two equal openings is met with silence, on whatever loop it lands.
func TestReplayOverTCP(t *testing.T) {
	h := proxy(t)
	for _, w := range ways {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		tap := &tapped{Conn: conn}
		c := &client{Conn: tap, proto: w.proto, tag: w.tag, buf: make([]byte, 64<<10)}
		if err := c.open(2, key); err != nil {
			t.Fatal(err)
		}
		mustPing(t, c, 64)
		_ = c.Close()
		for range 4 {
			silent(t, h.addr, tap.first)
		}
	}
}

// tapped keeps the first write.
type tapped struct {
	net.Conn
	first []byte
}

func (c *tapped) Write(p []byte) (int, error) {
	if c.first == nil {
		c.first = bytes.Clone(p)
	}
	return c.Conn.Write(p)
}

// B10 over TCP: hellos of 173 to 1988 bytes, a byte per segment, in two records.
func TestHellosOverTCP(t *testing.T) {
	h := proxy(t)
	for _, c := range []struct {
		name    string
		shape   faketls.Shape
		records []int
		segment int
	}{
		{"browser", faketls.Browser, nil, 1 << 20}, {"517 bytes", faketls.Classic517, nil, 1 << 20},
		{"small", faketls.Small, nil, 1 << 20}, {"two records", faketls.Browser, []int{100}, 1 << 20},
		{"two segments", faketls.Browser, nil, 1448}, {"a byte a segment", faketls.Small, nil, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := faketls.ClientHello{Domain: "example.com", Secret: key, Unix: uint32(time.Now().Unix()),
				Shares: shares, Shape: c.shape, Records: c.records}
			hello, err := spec.Append(nil, random)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			_ = conn.SetDeadline(time.Now().Add(patience))
			_ = conn.(*net.TCPConn).SetNoDelay(true)
			for p := hello; len(p) > 0; {
				n := min(c.segment, len(p))
				if _, err := conn.Write(p[:n]); err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
			var flight []byte
			for {
				one := make([]byte, 16<<10)
				n, err := conn.Read(one)
				flight = append(flight, one[:n]...)
				if used, bad := faketls.CheckFlight(flight, &key, hello[11:43]); bad == nil && used == len(flight) {
					return
				} else if bad != codec.ErrShort || err != nil {
					t.Fatalf("after %d bytes: %v, %v", len(flight), bad, err)
				}
			}
		})
	}
}

// Spec client-protocols 13.3: a first message in a later segment than the init, while the datacenter is being
// dialled, is served when the dial ends.
func TestMessageDuringDial(t *testing.T) {
	h := proxy(t)
	for _, w := range ways {
		for range 20 {
			c := dial(t, h.addr, w, 2)
			mustPing(t, c, 64)
			_ = c.Close()
		}
	}
}

// A05 and rows 11 to 14 end to end: direct mode carries a bad packet as it is, the datacenter closes, and the
// client hears the close. (Where packets are parsed, codec/frame refuses them by their header.)
func TestBadPackets(t *testing.T) {
	h := proxy(t)
	for name, c := range map[string]struct {
		w     way
		plain []byte
	}{
		"too large, intermediate": {ways[1], []byte{0, 4, 0x10, 0}}, // 1 MiB + 1 KiB
		"too large, abridged":     {ways[0], []byte{0x7f, 0, 1, 4}},
		"zero":                    {ways[0], []byte{0}},
		"not of four":             {ways[1], []byte{6, 0, 0, 0, 1, 2, 3, 4, 5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			cl := dial(t, h.addr, c.w, 2)
			mustPing(t, cl, 64)
			p := bytes.Clone(c.plain)
			cl.up.XOR(p, p)
			if err := cl.raw(p); err != nil {
				t.Fatal(err)
			}
			if n := wantEnd(t, cl); n != 0 {
				t.Fatalf("%d bytes before the end", n)
			}
		})
	}
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonUpstreamClosed] == 4 })
}

// B13 B15: whatever DC a client names, it is served; the datacenter is told the client's own number.
func TestUnknownDC(t *testing.T) {
	srv, dc := telegram(t, faketg.Faults{})
	_, cdn := telegram(t, faketg.Faults{})
	set := settings(dc)
	set.DC[203] = append(set.DC[203], cdn)
	h := start(t, set)
	h.tg = srv
	for _, id := range []codec.DC{2, -2, 0, 99, -32768, 10002, 201} {
		mustPing(t, dial(t, h.addr, ways[2], id), 64)
		if srv.Seen().DCs[id] != 1 {
			t.Errorf("the datacenter did not see a client for DC %d", id)
		}
	}
	for _, id := range []codec.DC{203, -203} {
		mustPing(t, dial(t, h.addr, ways[3], id), 64)
		if srv.Seen().DCs[id] != 0 {
			t.Errorf("DC %d has an address of its own and was sent to the default", id)
		}
	}
	if n := h.snapshot().Sum().UnknownDC; n != 5 {
		t.Errorf("%d unknown DCs counted, not 5", n)
	}
}

// A client that sends FIN after its request still gets the whole answer (half-close through the proxy).
func TestHalfClose(t *testing.T) {
	h := proxy(t)
	for _, w := range ways {
		c := dial(t, h.addr, w, 2)
		const total = 8 << 20
		if err := c.send(faketg.Command{Op: faketg.OpSource, ID: 7, Value: total, Size: 32 << 10}.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := readSource(c, 7, total); err != nil {
			t.Fatalf("%v: %v", w, err)
		}
		if _, err := c.receive(); err != io.EOF {
			t.Fatalf("%v: after the last byte: %v", w, err)
		}
	}
}

// readSource reads total pattern bytes and checks each.
func readSource(c *client, id uint32, total uint64) error {
	for off := uint64(0); off < total; {
		p, err := c.receive()
		if err != nil {
			return err
		}
		cmd, n, err := faketg.ParseHead(p)
		if err != nil || cmd.Op != faketg.OpData || cmd.Value != off || !faketg.CheckPattern(p[n:n+int(cmd.Size)], id, off) {
			return errors.New("wrong bytes in the source's answer")
		}
		off += uint64(cmd.Size)
	}
	return nil
}
