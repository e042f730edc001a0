package scout

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// domain is what the fronts of the tests have certificates for.
const domain = "www.example.org"

// web is a network without sockets: sites by address, addresses by name.
type web struct {
	mu    sync.Mutex
	sites map[string]func(net.Conn) // takes the server's end and closes it
	names map[string][]string
	asked map[string]int // hosts resolved and addresses dialled
}

func newWeb() *web {
	return &web{sites: map[string]func(net.Conn){}, names: map[string][]string{}, asked: map[string]int{}}
}

func (w *web) site(addr string, serve func(net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sites[addr] = serve
}

func (w *web) name(host string, addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names[host] = addrs
}

func (w *web) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[what]
}

func (w *web) dial(_ context.Context, _, addr string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[addr]++
	serve := w.sites[addr]
	if serve == nil {
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	go serve(theirs)
	return ours, nil
}

// errDNS is the answer for a name that is not there; the name "slow" never answers.
var errDNS = errors.New("no such host")

func (w *web) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	w.asked[host]++
	names, ok := w.names[host]
	w.mu.Unlock()
	if !ok {
		return nil, errDNS
	}
	if names == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var addrs []netip.Addr
	for _, a := range names {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

// certificate makes one for domain, of about size bytes (subject and issuer are the same), with chain others of the same size behind it.
func certificate(t testing.TB, size, chain int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{domain},
		Subject: pkix.Name{OrganizationalUnit: []string{strings.Repeat("x", max(0, size-300)/2)}}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Certificate{PrivateKey: key}
	for range 1 + chain {
		c.Certificate = append(c.Certificate, der)
	}
	return c
}

// serveTLS answers as a site with config does, after a while, with a page of so many bytes.
func serveTLS(config *tls.Config, wait time.Duration, page int) func(net.Conn) {
	return func(raw net.Conn) {
		defer raw.Close()
		if wait > 0 {
			time.Sleep(wait)
		}
		conn := tls.Server(raw, config)
		if conn.Handshake() != nil {
			return
		}
		defer conn.Close()
		for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
		}
		_, _ = conn.Write(make([]byte, page)) // what the visitor sees of it is up to the test
	}
}

// serveRaw reads what comes first and answers with these bytes; hang leaves the connection open.
func serveRaw(answer string, hang bool) func(net.Conn) {
	return func(conn net.Conn) {
		defer conn.Close()
		if _, err := conn.Read(make([]byte, 4096)); err != nil {
			return
		}
		_, _ = io.WriteString(conn, answer) // the scout may be gone
		if hang {
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// journal is a log to look into.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), s)
}

// options are for a web, without jitter.
func options(w *web, sites ...Site) (Options, *journal) {
	j := new(journal)
	return Options{
		Sites: sites, Dial: w.dial, Resolver: w.resolve, Jitter: func() float64 { return 0.5 },
		Log: slog.New(slog.NewTextHandler(j, nil)),
	}, j
}

// start makes a Scout and runs it for the rest of the test; stop ends it earlier.
func start(t *testing.T, o Options) (s *Scout, stop func()) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return s, stop
}

// after lets d pass and everything come to rest.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bubble runs fn with a clock of its own.
func bubble(t *testing.T, name string, fn func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, fn) })
}
