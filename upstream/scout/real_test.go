package scout

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"epoxy/codec/faketls"
	"epoxy/codec/proxyproto"
)

// program finds a web server, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if path := "/usr/sbin/" + name; exec.Command(path, "-v").Run() == nil {
		return path
	}
	t.Skipf("%s is not installed: measuring it is not tested", name)
	return ""
}

// freePort returns an address on loopback where nobody listens.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// writePEM writes the certificate and its key into one file.
func writePEM(t *testing.T, path string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	body := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, der := range c.Certificate {
		body = append(body, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a server until the test ends, and returns when it listens on addr.
func run(t *testing.T, addr, path string, args ...string) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v\n%s", path, err, &out)
		case <-t.Context().Done():
			t.Fatal("no answer")
		case <-tick.C:
		}
	}
}

// measured measures one real front and checks that its profile answers as it does.
func measured(t *testing.T, target string, proxy byte) finding {
	t.Helper()
	o, _ := options(newWeb(), Site{Domain: domain, Target: target, Proxy: proxy})
	o.Dial = nil
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.newProbe(s.sites[0]).measure(t.Context())
	if err != nil || f.Profile == nil {
		t.Fatalf("%+v, %v", f, err)
	}
	network, header := "tcp", []byte(nil)
	if strings.HasPrefix(target, "/") {
		network = "unix"
	}
	if proxy == 2 {
		header = proxyproto.AppendV2(nil, netip.AddrPort{}, netip.AddrPort{})
	}
	checkProfile(t, new(net.Dialer).DialContext, network, target, header, *f.Profile)
	return f
}

// Go's server over real sockets, TCP and unix.
func TestGo(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "web")
			}
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			serve := serveTLS(config(t, 2000, 0), 0, 60000)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go serve(conn)
				}
			}()
			f := measured(t, l.Addr().String(), 0)
			if f.Profile.Group != faketls.X25519MLKEM768 || !f.Profile.Ramp || !f.TLS12 || len(f.Warnings) > 0 {
				t.Errorf("%+v, %+v", f, f.Profile)
			}
		})
	}
}

// nginx, with its own order of suites and the client's, behind a PROXY header and on a unix socket.
func TestNginx(t *testing.T) {
	t.Parallel()
	nginx, dir := program(t, "nginx"), t.TempDir()
	writePEM(t, filepath.Join(dir, "pem"), certificate(t, 2000, 0))
	if err := os.WriteFile(filepath.Join(dir, "index.html"), make([]byte, 60000), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, ordered := freePort(t), freePort(t)
	server := func(listen, more string) string {
		return fmt.Sprintf("server { listen %s; ssl_certificate %[2]s/pem; ssl_certificate_key %[2]s/pem; root %[2]s; %s }\n", listen, dir, more)
	}
	conf := fmt.Sprintf("daemon off; master_process off; pid %[1]s/pid; error_log stderr; events {}\nhttp { access_log off; ssl_protocols TLSv1.2 TLSv1.3;\n"+
		"client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;\n", dir) +
		server(plain+" ssl http2", "") +
		server(ordered+" ssl proxy_protocol", "ssl_prefer_server_ciphers on;") +
		server("unix:"+dir+"/web ssl", "") + "}\n"
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, plain, nginx, "-p", dir, "-c", filepath.Join(dir, "conf"), "-e", "stderr")
	for _, c := range []struct {
		target string
		proxy  byte
		suite  uint16
		alpn   string
	}{
		{plain, 0, 0, "h2"}, {ordered, 2, 0x1302, "http/1.1"}, {filepath.Join(dir, "web"), 0, 0, "http/1.1"},
	} {
		t.Run(c.target, func(t *testing.T) {
			t.Parallel()
			f := measured(t, c.target, c.proxy)
			if p := f.Profile; p.Suite != c.suite || !p.VersionsFirst || p.Ramp || f.ALPN != c.alpn || !f.TLS12 || f.Records != 4 || len(f.Warnings) > 0 {
				t.Errorf("%+v, %+v", f, p)
			}
		})
	}
}

// haproxy answers too, and says so with its own order.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	haproxy, dir, addr := program(t, "haproxy"), t.TempDir(), freePort(t)
	writePEM(t, filepath.Join(dir, "pem"), certificate(t, 2000, 0))
	conf := fmt.Sprintf("defaults\n mode http\n timeout client 9s\n timeout connect 9s\n timeout server 9s\n"+
		"frontend web\n bind %s ssl crt %s/pem alpn h2,http/1.1\n http-request return status 200 content-type text/plain string hello\n", addr, dir)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, addr, haproxy, "-db", "-f", filepath.Join(dir, "conf"))
	f := measured(t, addr, 0)
	if p := f.Profile; !p.VersionsFirst || p.Ramp || f.ALPN != "h2" || !f.TLS12 || len(f.Warnings) > 0 {
		t.Errorf("%+v, %+v", f, p)
	}
}
