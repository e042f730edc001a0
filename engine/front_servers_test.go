package engine_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// realFront is a web server of the kinds that stand behind proxies; addr is empty for none.
type realFront struct{ name, addr string }

const nginxText = `daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  ssl_protocols TLSv1.2 TLSv1.3;
  server { listen %[2]s ssl http2; ssl_certificate %[1]s/pem; ssl_certificate_key %[1]s/pem; location / { return 200 hello; } }
}
`

const haproxyText = `defaults
 mode http
 timeout client 9s
 timeout connect 9s
 timeout server 9s
frontend web
 bind %[2]s ssl crt %[1]s/pem alpn h2,http/1.1
 http-request return status 200 content-type text/plain string hello
`

// realFronts runs no front, Go's, nginx and haproxy, as far as they are installed, until the test ends.
func realFronts(t *testing.T) []realFront {
	t.Helper()
	site := httptest.NewUnstartedServer(http.NotFoundHandler())
	site.EnableHTTP2, site.Config.ErrorLog = true, log.New(io.Discard, "", 0) // it would tell of every visit that ends early
	site.StartTLS()
	t.Cleanup(site.Close)
	all := []realFront{{name: "none"}, {"crypto/tls", site.Listener.Addr().String()}}
	dir := t.TempDir()
	writePEM(t, filepath.Join(dir, "pem"))
	for _, p := range []struct {
		name, text string
		args       []string
	}{
		{"nginx", nginxText, []string{"-p", dir, "-e", "stderr", "-c"}}, {"haproxy", haproxyText, []string{"-db", "-f"}},
	} {
		path, err := exec.LookPath(p.name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + p.name)
		}
		if err != nil {
			t.Logf("%s is not installed: its profile is left out", p.name)
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		_ = l.Close()
		conf := filepath.Join(dir, p.name+".conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, p.text, dir, addr), 0o600); err != nil {
			t.Fatal(err)
		}
		background(t, addr, path, append(p.args, conf)...)
		all = append(all, realFront{p.name, addr})
	}
	return all
}

// background runs a server until the test ends, and returns when it listens on addr.
func background(t *testing.T, addr, path string, args ...string) {
	t.Helper()
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	eventually(t, func() bool {
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", path, &said)
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, func() string { return path + " does not listen" })
}

// writePEM writes a self-signed certificate of a usual size, and its key, into one file.
func writePEM(t *testing.T, path string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"example.com"},
	}
	for i := range 40 {
		about.DNSNames = append(about.DNSNames, fmt.Sprintf("number%d.of.the.names.example", i))
	}
	cert, err := x509.CreateCertificate(rand.Reader, &about, &about, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
