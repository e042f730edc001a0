package browser

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nginxText is a site of one page with HTTP/2, whose log tells the protocol of each request.
const nginxText = `daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events {}
http {
  log_format short "$server_protocol $uri $status";
  access_log %[1]s/access.log short;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  server {
    listen %[2]s ssl http2;
    ssl_certificate %[1]s/cert.pem;
    ssl_certificate_key %[1]s/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/html;
    location / { return 200 "<!doctype html><title>a site</title><p>%[3]s $uri</p>"; }
  }
}
`

// site is an nginx on loopback.
type site struct {
	at  netip.AddrPort
	log string // file of a line for each request
	pin string // SHA-256 of its public key, base64, by which a browser trusts it
}

// newSite runs an nginx until the test ends, or skips the test.
func newSite(t *testing.T) *site {
	t.Helper()
	nginx := program(t, "nginx")
	dir := t.TempDir()
	s := &site{at: freePort(t), log: filepath.Join(dir, "access.log"), pin: writeCertificate(t, dir)}
	conf := filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxText, dir, s.at, marker), 0o600); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, nginx, "-p", dir, "-c", conf, "-e", "stderr")
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", s.at.String()); err == nil {
			_ = c.Close()
			return s
		}
		select {
		case <-ended:
			t.Fatalf("nginx ended: %s", &said)
		case <-tick.C:
		}
	}
}

// lines returns the requests of the log that asked for uri.
func (s *site) lines(t *testing.T, uri string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[1] == uri {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// program finds a program, in sbin too, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	t.Skipf("%s is not installed: a browser at the front is not tested", name)
	return ""
}

// freePort returns an address of loopback that was free a moment ago.
func freePort(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// writeCertificate writes a self-signed certificate of the domain and its key, and returns the hash of the public one.
func writeCertificate(t *testing.T, dir string) (pin string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{domain},
	}
	cert, err := x509.CreateCertificate(rand.Reader, &about, &about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: cert}, "key.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(public)
	return base64.StdEncoding.EncodeToString(sum[:])
}
