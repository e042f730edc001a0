package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The settings of web servers that end TLS themselves: a directory and an address go in.
const (
	nginxText = `daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {}
http {
  access_log off;
  client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
  ssl_protocols TLSv1.2 TLSv1.3;
  server { listen %[2]s ssl http2; ssl_certificate %[1]s/pem; ssl_certificate_key %[1]s/pem; location / { return 200 hello; } }
}
`
	haproxyText = `defaults
 mode http
 timeout client 9s
 timeout connect 9s
 timeout server 9s
frontend web
 bind %[2]s ssl crt %[1]s/pem alpn h2,http/1.1
 http-request return status 200 content-type text/plain string hello
`
)

var errUnmeasured = errors.New("the front is not measured")

// frontRows lets gotd's client come through an Epoxy that answers hellos as a web server does, for each kind of server that is
// installed.
func frontRows(ctx context.Context, rows *table, o options, key []byte) error {
	tg, err := startTelegram(ctx)
	if err != nil {
		return err
	}
	defer tg.stop()
	o.dc = tg.addr

	site := httptest.NewUnstartedServer(http.NotFoundHandler())
	site.EnableHTTP2, site.Config.ErrorLog = true, log.New(io.Discard, "", 0) // it would tell of every visit that ends early
	site.StartTLS()
	defer site.Close()
	if err := o.fronted(ctx, rows, tg, "go tls", site.Listener.Addr().String(), key); err != nil {
		return err
	}
	dir := filepath.Join(o.state, "site")
	if err := writeCertificate(dir); err != nil {
		return err
	}
	for _, s := range []struct {
		name, text string
		args       []string
	}{
		{"nginx", nginxText, []string{"-p", dir, "-e", "stderr", "-c"}}, {"haproxy", haproxyText, []string{"-db", "-f"}},
	} {
		path, err := exec.LookPath(s.name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + s.name) // Debian has it there, and users have no path to it
		}
		if err != nil {
			fmt.Printf("%-12s %-24s %-7s left out: %s is not installed\n", "gotd", tlsKind, s.name, s.name)
			continue
		}
		addr, err := freePort()
		if err != nil {
			return err
		}
		conf := filepath.Join(dir, s.name+".conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, s.text, dir, addr), 0o600); err != nil {
			return err
		}
		web, err := start(path, o.verbose, append(s.args, conf)...)
		if err != nil {
			return err
		}
		err = web.await(ctx, func(ctx context.Context) error { return connects(ctx, addr) })
		if err == nil {
			err = o.fronted(ctx, rows, tg, s.name, addr, key)
		}
		_ = web.stop() // haproxy says that it was ended
		if err != nil {
			return err
		}
	}
	return nil
}

// fronted adds the row of one front, once that is measured.
func (o options) fronted(ctx context.Context, rows *table, tg *fakeTelegram, name, addr string, key []byte) error {
	o.front, o.state = addr, filepath.Join(o.state, strings.ReplaceAll(name, " ", "-"))
	epoxy, err := startEpoxy(ctx, o)
	if err != nil {
		return err
	}
	defer rows.stop(epoxy)
	measured := func(ctx context.Context) error {
		text, err := get(ctx, "http://"+epoxy.admin+"/metrics")
		if err == nil && !strings.Contains(text, "\nepoxy_front_measured{front=\"default\"} 1\n") {
			err = errUnmeasured
		}
		return err
	}
	if err := epoxy.await(ctx, measured); err != nil {
		return err
	}
	for _, k := range secrets(key) {
		if k.name == tlsKind {
			rows.run("gotd", k.name, name, func() (string, error) { return tg.call(ctx, through(epoxy.addr, k.secret)) })
		}
	}
	return nil
}

// writeCertificate makes dir and writes a self-signed certificate of a usual size into it, and its key.
func writeCertificate(dir string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{domain},
	}
	for i := range 40 {
		about.DNSNames = append(about.DNSNames, fmt.Sprintf("number%d.of.the.names.example", i))
	}
	cert, err := x509.CreateCertificate(rand.Reader, &about, &about, &private.PublicKey, private)
	if err != nil {
		return err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "pem"), text, 0o600)
}
