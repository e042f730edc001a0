package engine_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/config"
)

// site is a front on loopback. It does what the test says, one visitor after the other.
type site struct{ *net.TCPListener }

func newSite(t testing.TB) *site {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &site{l}
}

// front is what --front would say.
func (s *site) front() config.Front {
	return config.Front{Addr: s.Addr().(*net.TCPAddr).AddrPort()}
}

// visitor returns the next connection to the site.
func (s *site) visitor(t testing.TB) *net.TCPConn {
	t.Helper()
	v := s.within(t, patience)
	if v == nil {
		t.Fatal("nobody came to the front")
	}
	return v
}

// nobody fails the test when somebody comes within d.
func (s *site) nobody(t testing.TB, d time.Duration) {
	t.Helper()
	if s.within(t, d) != nil {
		t.Fatal("somebody came to the front")
	}
}

// within returns the next connection, nil when none comes within d.
func (s *site) within(t testing.TB, d time.Duration) *net.TCPConn {
	t.Helper()
	if err := s.SetDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	c, err := s.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// fronted are the settings of a port for fake-TLS alone whose strangers go to s, which is not measured.
func fronted(s *site) *config.Settings {
	set := settings()
	set.Allow = config.AllowOf(codec.TLS)
	set.Fronts = []config.Front{s.front()}
	set.FrontMeasure = 0
	return set
}

// stranger connects and sends p.
func stranger(t testing.TB, addr string, p []byte) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	put(t, c, p)
	return c.(*net.TCPConn)
}

func put(t testing.TB, c net.Conn, p []byte) {
	t.Helper()
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}

// wantRead reads exactly want.
func wantRead(t testing.TB, c net.Conn, want []byte) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes (%.16x...), not the %d sent (%.16x...): %v", n, got[:n], len(want), want, err)
	}
}

// wantEOF reads the peer's FIN, and nothing before it.
func wantEOF(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("no FIN but %d bytes, %v", n, err)
	}
}

// wantReset reads until the peer's RST.
func wantReset(t testing.TB, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("no RST but %d bytes, %v", n, err)
	}
}

// talk sends noise from a to b and wants it there next.
func talk(t testing.TB, a, b net.Conn) {
	t.Helper()
	p := make([]byte, 3000)
	random(p)
	put(t, a, p)
	wantRead(t, b, p)
}

// spliced wants the next visitor of s to bring exactly sent, and what s answers to be the first that c reads.
func (s *site) spliced(t testing.TB, c net.Conn, sent []byte) *net.TCPConn {
	t.Helper()
	v := s.visitor(t)
	wantRead(t, v, sent)
	talk(t, v, c)
	return v
}

var wrongKey = codec.Key{9}

// greet builds a hello for example.com with the right secret and time, changed by change.
func greet(t testing.TB, change func(*faketls.ClientHello)) []byte {
	t.Helper()
	if sharesErr != nil {
		t.Fatal(sharesErr)
	}
	c := faketls.ClientHello{Domain: "example.com", Secret: key, Unix: uint32(time.Now().Unix()), Shares: shares}
	if change != nil {
		change(&c)
	}
	p, err := c.Append(nil, random)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wrongHello is one that no secret of ours made.
func wrongHello(t testing.TB) []byte {
	return greet(t, func(c *faketls.ClientHello) { c.Secret = wrongKey })
}

// resign makes the digest of a changed hello right again (spec client-protocols 4.1).
func resign(hello []byte) []byte {
	field := hello[11:43]
	clear(field)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(hello)
	sum := mac.Sum(nil)
	copy(field, sum)
	binary.LittleEndian.PutUint32(field[28:], uint32(time.Now().Unix())^binary.LittleEndian.Uint32(sum[28:]))
	return hello
}

// extensions returns where the length of a hello's extensions stands.
func extensions(hello []byte) int { return 78 + int(binary.BigEndian.Uint16(hello[76:])) + 2 }

// wantFlight reads our answer to hello.
func wantFlight(t testing.TB, c net.Conn, hello []byte) []byte {
	t.Helper()
	var flight []byte
	one := make([]byte, 16<<10)
	for {
		n, err := c.Read(one)
		flight = append(flight, one[:n]...)
		used, bad := faketls.CheckFlight(flight, &key, hello[11:43])
		switch {
		case bad == nil && used == len(flight):
			return flight
		case bad != codec.ErrShort || err != nil:
			t.Fatalf("no flight but %d bytes: %v, %v", len(flight), bad, err)
		}
	}
}

// strangers wants n strangers to have been turned away for this reason, and none for another.
func (h *house) strangers(t testing.TB, why codec.Reason, n uint64) {
	t.Helper()
	for r, count := range h.snapshot().Sum().Strangers {
		if want := n; codec.Reason(r) == why && count != want || codec.Reason(r) != why && count != 0 {
			t.Errorf("%d strangers for %v; want %d for %v", count, codec.Reason(r), want, why)
		}
	}
}
