package split

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"epoxy/codec"
	wire "epoxy/codec/split"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// patience is how long a test waits for what must come.
const patience = 20 * time.Second

// inlineLoop runs what is posted at once, one at a time.
type inlineLoop struct {
	*upstreamtest.Loop
	mu sync.Mutex
}

func (l *inlineLoop) Post(fn func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	return nil
}

// serve runs a server with one loop until the test ends.
func serve(t *testing.T, creds *Creds) *Server {
	t.Helper()
	s, err := NewServer(ServerOptions{
		Addr: "127.0.0.1:0", Creds: creds, Loops: []Loop{&inlineLoop{Loop: upstreamtest.NewLoop(1)}},
		Routers: []upstream.Router{&far{}}, Linked: func(int, upstream.Request) bool { return true },
		Ready: func() bool { return true }, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Stop)
	return s
}

var goodHello = wire.Hello{Min: 1, Max: 9, Streams: 10, Credit: creditDown, Name: "test"}

// speak sends p and reads until the server ends the connection.
func speak(t *testing.T, s *Server, p []byte) []byte {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = c.Write(p) }()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection stays open")
	}
	return got
}

// A connection that does not begin as a link, and a link that breaks the rules, ends.
func TestServerEnds(t *testing.T) {
	s := serve(t, nil)
	hello := goodHello.Append(nil)
	after := func(p ...byte) []byte { return append(append([]byte(nil), hello...), p...) }
	open := (&wire.Open{Transport: codec.Padded}).Append(nil, 1)
	long, late, flood := wire.Hello{Min: 1, Max: 1}, wire.Hello{Min: 2, Max: 3}, after()
	for i := range maxPings + 1 {
		flood = wire.AppendPing(flood, wire.TypePing, uint64(i))
	}
	for name, p := range map[string][]byte{
		"garbage":             []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"no hello":            wire.AppendPing(nil, wire.TypePing, 1),
		"a long hello":        wire.AppendHeader(nil, wire.TypeHello, 0, 0, wire.MaxHello+1),
		"a bad hello":         append(wire.AppendHeader(nil, wire.TypeHello, 0, 0, 3), 1, 2, 3),
		"a later version":     late.Append(nil),
		"a second hello":      after(long.Append(nil)...),
		"a long frame":        after(wire.AppendHeader(nil, wire.TypeData, 0, 1, wire.MaxPayload+1)...),
		"a stream in control": after(wire.AppendHeader(nil, wire.TypePing, 0, 1, 8)...),
		"a status of a front": after(wire.AppendStatus(nil, 1)...),
		"an open twice":       after(append(append([]byte(nil), open...), open...)...),
		"a bad open":          after(append(wire.AppendHeader(nil, wire.TypeOpen, 0, 1, 3), 1, 2, 3)...),
		"a ping flood":        flood,
	} {
		t.Run(name, func(t *testing.T) { speak(t, s, p) })
	}
	end := time.Now().Add(patience)
	for s.Streams() > 0 || len(s.Status()) != 1 || s.Status()[0].Links > 0 {
		if time.Now().After(end) {
			t.Fatalf("%d streams, %+v", s.Streams(), s.Status())
		}
		s.backs[0].loop.(*inlineLoop).mu.Lock()
		s.backs[0].Timer(nil) // paced ends
		s.backs[0].loop.(*inlineLoop).mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	if n := s.Refused(); n != 5 {
		t.Errorf("%d refused", n)
	}
}

// A link is greeted, told that Telegram is there, and its pings are answered; types of the future do no harm.
func TestServerGreets(t *testing.T) {
	s := serve(t, nil)
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	p := append(goodHello.Append(nil), append(wire.AppendHeader(nil, 0x60, 0xff, 0, 4), "news"...)...)
	if _, err := c.Write(wire.AppendPing(p, wire.TypePing, 77)); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for seen, room := map[wire.Type]bool{}, make([]byte, 4096); !seen[wire.TypeStatus] || !seen[wire.TypePong]; {
		n, err := c.Read(room)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, room[:n]...)
		for {
			f, n, err := wire.Next(got)
			if err == codec.ErrShort {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch f.Type {
			case wire.TypeHello:
				if h, err := wire.ParseHello(f.Payload); err != nil || !h.Fits() || h.Credit != creditUp || h.Instance != s.hello.Instance || len(seen) > 0 {
					t.Errorf("%+v, %v", h, err)
				}
			case wire.TypePong:
				if n, err := wire.ParsePing(f.Payload); err != nil || n != 77 {
					t.Errorf("pong of %d, %v", n, err)
				}
			default: //exhaustive:ignore
			}
			seen[f.Type] = true
			got = got[n:]
		}
	}
}

// makeCerts returns the directory of a front's and a back's certificates.
func makeCerts(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certs")
	if _, err := MakeCerts(dir, []string{FrontName}, []string{BackName, "127.0.0.1"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func creds(t *testing.T, file string, names ...string) *Creds {
	t.Helper()
	c, err := NewCreds(Files{Cert: file}, names)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Who has no certificate, another ALPN or an older TLS gets nothing of the protocol; who has what it takes does.
func TestServerTLS(t *testing.T) {
	dir := makeCerts(t)
	s := serve(t, creds(t, filepath.Join(dir, BackName+".pem"), "other", FrontName))
	front := creds(t, filepath.Join(dir, FrontName+".pem"), BackName)
	for name, c := range map[string]struct {
		change func(*tls.Config)
		good   bool
	}{
		"right":          {func(*tls.Config) {}, true},
		"no certificate": {func(c *tls.Config) { c.Certificates = nil }, false},
		"another ALPN":   {func(c *tls.Config) { c.NextProtos = []string{"h2"} }, false},
		"no ALPN":        {func(c *tls.Config) { c.NextProtos, c.VerifyConnection = nil, nil }, false},
		"TLS 1.2":        {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := front.client()
			c.change(config)
			raw, err := net.Dial("tcp", s.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			_ = raw.SetDeadline(time.Now().Add(patience))
			conn := tls.Client(raw, config)
			_, werr := conn.Write(goodHello.Append(nil))
			n, rerr := conn.Read(make([]byte, 100))
			if good := werr == nil && n > 0; good != c.good {
				t.Errorf("wrote %v, read %d, %v", werr, n, rerr)
			}
		})
	}
}

// Certificates are private files; what is there stays, what is new is signed by the same authority; what cannot be read is told.
func TestMakeCerts(t *testing.T) {
	dir := makeCerts(t)
	before, err := os.ReadFile(filepath.Join(dir, FrontName+".pem"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := MakeCerts(dir, []string{FrontName, "rome"}, nil, time.Now())
	if err != nil || len(made) != 1 || made[0] != "rome.pem" {
		t.Fatalf("%v, %v", made, err)
	}
	after, _ := os.ReadFile(filepath.Join(dir, FrontName+".pem"))
	if string(before) != string(after) {
		t.Error("a certificate was made anew")
	}
	for _, name := range []string{"ca.key", "rome.pem", BackName + ".pem"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	rome := creds(t, filepath.Join(dir, "rome.pem"), BackName)
	if err := rome.Load(Files{Cert: filepath.Join(dir, "nowhere.pem")}); err == nil || rome.now.Load() == nil {
		t.Error("a file that is not there is fine, or took away what was")
	}
	if _, err := NewCreds(Files{Cert: filepath.Join(dir, "rome.pem"), CA: filepath.Join(dir, "ca.key")}, nil); !errors.Is(err, errNoCA) {
		t.Errorf("an authority without certificate: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "ca.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := MakeCerts(dir, []string{"oslo"}, nil, time.Now()); err == nil {
		t.Error("without the authority's key there is a certificate")
	}
}

// Plain links are for this machine and private networks.
func TestPrivate(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "10.1.2.3:1": true, "192.168.0.1:1": true, "[fd00::1]:1": true, "[fe80::1%lo]:1": true,
		"203.0.113.7:1": false, "[2001:db8::1]:1": false, "8.8.8.8:1": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if Private(a) != want {
			t.Errorf("%s: %v", addr, !want)
		}
	}
	if !Private(&net.UnixAddr{Name: "/run/x", Net: "unix"}) {
		t.Error("a unix socket")
	}
}

// A server on a unix socket takes over what a dead one left, and not what a living one has.
func TestServerUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	o := ServerOptions{Addr: "unix:" + path, Ready: func() bool { return true }, Log: slog.New(slog.DiscardHandler)}
	s, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if _, err := NewServer(o); err == nil {
		t.Error("two servers on one socket")
	}
	s.listener.(*net.UnixListener).SetUnlinkOnClose(false)
	s.Stop()
	again, err := NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	again.Stop()
}
