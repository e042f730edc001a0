package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs handle for each connection until the test ends.
func serve(t *testing.T, handle func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer c.Close(); handle(c.(*net.TCPConn)) })
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// splice is a plain TCP relay to a front.
func splice(t *testing.T, to netip.AddrPort) netip.AddrPort {
	pump := func(dst, src *net.TCPConn) {
		if _, err := io.Copy(dst, src); err != nil {
			_ = dst.SetLinger(0) // RST as RST
			dst.Close()
			return
		}
		_ = dst.CloseWrite()
	}
	return serve(t, func(c *net.TCPConn) {
		f, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
		if err != nil {
			return
		}
		defer f.Close()
		var up sync.WaitGroup
		up.Go(func() { pump(f, c) })
		pump(c, f)
		c.Close()
		up.Wait()
	})
}

// site is a web site with a certificate for key.
func site(t *testing.T, key any, public any) netip.AddrPort {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	page := bytes.Repeat([]byte("a page\n"), 3000)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) }))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func rsaSite(t *testing.T) netip.AddrPort {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return site(t, key, &key.PublicKey)
}

// some are probes of all kinds for which a web site is asked.
const some = "fin|prefix-.*|http1.*|random-6.*|random-2.*|hello-.*|record-.*|share-.*|.*-records|two-.*|trailing.*|sslv2|alert-first|.*-get|.*-resume|.*-leave|tls-mlkem|tls-odd-alpn"

// look runs the probes that only names and returns those with a difference; but the time to the first byte
// is another one on a busy machine.
func look(t *testing.T, reference, target netip.AddrPort, secret *codec.Key, only string) map[string][]Difference {
	t.Helper()
	o := Options{Target: target, Reference: reference, Domain: "example.com", Secret: secret, Repeat: 1,
		Limit: time.Second, ReplayAfter: time.Millisecond, Only: regexp.MustCompile("^(" + only + ")$")}
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := report.Print(&text); err != nil {
		t.Fatal(err)
	}
	found, different := map[string][]Difference{}, 0
	for _, r := range report.Results {
		if r.Differences != nil {
			different++
		}
		if d := slices.DeleteFunc(r.Differences, func(d Difference) bool { return d.What == DiffFirst }); len(d) > 0 {
			found[r.Name] = d
		}
	}
	if different != report.Different {
		t.Errorf("%d results with a difference, the report says %d", different, report.Different)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(text.String())
		}
	})
	return found
}

func TestASiteIsLikeItself(t *testing.T) {
	t.Parallel()
	s := rsaSite(t)
	if found := look(t, s, s, nil, some); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

func TestASpliceIsLikeItsFront(t *testing.T) {
	t.Parallel()
	s := rsaSite(t)
	if found := look(t, s, splice(t, s), nil, some); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

// A fault is a server that does one thing with whatever comes, and where a quiet one shows it.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	record := func(n byte) func(c *net.TCPConn) {
		return func(c *net.TCPConn) {
			_, _ = c.Write(append([]byte{typeData, 3, 3, 0, n}, make([]byte, n)...))
			_, _ = io.Copy(io.Discard, c)
		}
	}
	quiet := func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }
	first := func(n int64, then func(c *net.TCPConn)) func(c *net.TCPConn) {
		return func(c *net.TCPConn) { _, _ = io.CopyN(io.Discard, c, n); then(c) }
	}
	closes := func(*net.TCPConn) {}
	for _, c := range []struct {
		name              string
		reference, target func(c *net.TCPConn)
		probe, other      string // other shows no difference
		want              string
	}{
		{"closes at byte 64", quiet, first(64, closes), "random-64", "random-63", DiffEnd},
		{"an alert", quiet, first(5, func(c *net.TCPConn) { _, _ = c.Write([]byte("\x15\x03\x03\x00\x02\x02\x28")); quiet(c) }), "hello-classic", "prefix-4", DiffAlert},
		{"a reset", first(1, closes), first(1, func(c *net.TCPConn) { _ = c.SetLinger(0) }), "prefix-1", "silence", DiffEnd},
		{"a record's size", first(64, record(100)), first(64, record(101)), "random-64", "random-63", DiffSize},
		{"a record too few", first(64, record(100)), quiet, "random-65", "prefix-9", DiffRecord},
		{"plain text", first(3, func(c *net.TCPConn) { _, _ = c.Write([]byte("HTTP/1.1 400 A\r\n\r\n")) }),
			first(3, func(c *net.TCPConn) { _, _ = c.Write([]byte("HTTP/1.1 400 B\r\n\r\n")) }), "prefix-3", "prefix-2", DiffBytes},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found := look(t, serve(t, c.reference), serve(t, c.target), nil, c.probe+"|"+c.other)
			if len(found) != 1 || !has(found[c.probe], c.want) {
				t.Errorf("%v", found)
			}
		})
	}
}

func TestAnotherCertificateIsFound(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	found := look(t, rsaSite(t), site(t, key, &key.PublicKey), nil, "tls13-get|tls12-get|hello-browser")
	if !has(found["tls13-get"], FactChain) || !has(found["tls12-get"], FactChain) || !has(found["hello-browser"], DiffSize) {
		t.Errorf("%v", found)
	}
}

// proxy answers hellos that key made, once or always, and is silent otherwise.
func proxy(t *testing.T, key *codec.Key, once bool) netip.AddrPort {
	var mu sync.Mutex
	seen := map[[16]byte]bool{}
	random := func(p []byte) { _, _ = rand.Read(p) }
	return serve(t, func(c *net.TCPConn) {
		defer func() { _, _ = io.Copy(io.Discard, c) }()
		wire := make([]byte, faketls.MaxHelloWire)
		n, used := 0, 0
		var h faketls.Hello
		for err := codec.ErrShort; err == codec.ErrShort; {
			more, end := c.Read(wire[n:])
			if n += more; end != nil {
				return
			}
			if h, used, err = faketls.ParseHello(wire[:n], nil); err != nil && err != codec.ErrShort {
				return
			}
		}
		d, profile := faketls.NewDigester(), faketls.Profile{}
		unix, good := d.Check(faketls.NewKey(*key), &h)
		choice, err := profile.Choose(&h)
		if age := time.Since(time.Unix(int64(unix), 0)).Abs(); !good || err != nil || used != n || age > 10*time.Minute {
			return
		}
		mu.Lock()
		again := seen[[16]byte(h.Random)]
		seen[[16]byte(h.Random)] = true
		mu.Unlock()
		if again && once {
			return
		}
		if flight, err := d.AppendFlight(nil, faketls.NewKey(*key), &h, &profile, choice, random); err == nil {
			_, _ = c.Write(flight)
		}
	})
}

func TestSignedProbes(t *testing.T) {
	t.Parallel()
	key := &codec.Key{1, 2, 3}
	quiet := serve(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	const signed = "replay.*|time-.*|good-.*|flip-.*"
	if found := look(t, quiet, proxy(t, key, true), key, signed); len(found) > 0 {
		t.Errorf("a proxy that answers each hello once: %v", found)
	}
	found := look(t, quiet, proxy(t, key, false), key, signed)
	for name, d := range found {
		if !slices.Contains([]string{"replay", "replay-classic", "replay-later", "replay-shifted", "replay-shifted-far"}, name) || !has(d, DiffRecord) {
			t.Errorf("%s: %v", name, d)
		}
	}
	if len(found) != 5 {
		t.Errorf("a proxy that answers replays: %v", found)
	}
	closes := serve(t, func(*net.TCPConn) {})
	if found := look(t, closes, closes, key, "replay"); !has(found["replay"], DiffProbe) {
		t.Errorf("a target that does not know the secret: %v", found)
	}
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	quiet := serve(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	for _, o := range []Options{{Target: quiet, Reference: gone}, {Target: gone, Reference: quiet}} {
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrUnreachable) {
			t.Errorf("%v", err)
		}
	}
	if _, err := Run(t.Context(), Options{Target: quiet, Reference: quiet, Only: regexp.MustCompile("no such")}); !errors.Is(err, ErrNothing) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	progress := func(int, int) { cancel() }
	o := Options{Target: quiet, Reference: quiet, Only: regexp.MustCompile("^(fin|silence|prefix-.*)$"), Limit: time.Hour, Progress: progress}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCatalogue(t *testing.T) {
	names := map[string]bool{}
	all := Catalogue()
	for _, p := range all {
		if names[p.Name] || p.Name == "" || p.About == "" || p.Row < 0 || p.Row > 44 || (p.script == nil) == (p.client == nil) {
			t.Errorf("%+v", p)
		}
		names[p.Name] = true
	}
	o := Options{}
	if fast := o.Select(); len(fast) < 100 || len(fast) >= len(all) {
		t.Errorf("%d of %d probes need neither time nor secret", len(fast), len(all))
	}
	key := codec.Key{1}
	if o = (Options{Slow: true, Secret: &key}); len(o.Select()) != len(all) {
		t.Errorf("%d of %d probes", len(o.Select()), len(all))
	}
}
