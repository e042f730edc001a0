package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// nginxText is a web site as small as it gets, with nginx's own timeouts and error pages. One worker: the
// session tickets of one are good for all its clients.
const nginxText = `daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 2048; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen %[2]s ssl http2;
    server_name %[3]s;
    ssl_certificate %[1]s/cert.pem;
    ssl_certificate_key %[1]s/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    default_type text/html;
    root %[1]s/html;
  }
}
`

// haproxyText is a plain TCP relay.
const haproxyText = `global
  maxconn 4096
defaults
  mode tcp
  timeout connect 5s
  timeout client 300s
  timeout server 300s
listen relay
  bind %s
  server site %s
`

// writeSite writes the site and the settings of both programs into dir.
func writeSite(dir string, site, relay netip.AddrPort) error {
	html := filepath.Join(dir, "html")
	if err := os.Mkdir(html, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // nginx's worker is another user when we are root
		return err
	}
	page := "<!doctype html>\n<title>" + domain + "</title>\n" + strings.Repeat("<p>All that can be seen here is a page.</p>\n", 480)
	cert, key, err := certificate()
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"html/index.html": page,
		"cert.pem":        cert,
		"key.pem":         key,
		"nginx.conf":      fmt.Sprintf(nginxText, dir, site, domain),
		"haproxy.cfg":     fmt.Sprintf(haproxyText, relay, site),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// certificate makes a self-signed one with RSA, whose signatures have one length, and its key, both PEM.
func certificate() (cert, key string, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: domain},
		DNSNames:     []string{domain},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	cert = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key = string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	return cert, key, nil
}
