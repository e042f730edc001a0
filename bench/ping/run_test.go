package ping

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
)

// Every datacenter and protocol answers through Epoxy, and the site in the hello does not matter.
func TestAnswers(t *testing.T) {
	dc := telegram(t, 0)
	p := proxy(t, map[codec.DC][]netip.AddrPort{2: {dc}, 203: {dc}}, everyone...)
	p.Secret.Domain = "other.example"
	all := Run(t.Context(), p, Options{DCs: []codec.DC{2, -2, 203}, Protocols: everyone, Count: 2, Timeout: patience})
	want(t, all, alike("ok"))
	if len(all) != 2*3*4 || all[0].Round != 1 || all[23].Round != 2 || all[4].DC != -2 || all[1].Transport != codec.Intermediate {
		t.Fatalf("%d results, %+v", len(all), all)
	}
	for _, r := range all {
		names := []string{StepDial, StepOpening, StepAnswer}
		if r.Protocol == codec.TLS {
			names = []string{StepDial, StepTLS, StepOpening, StepAnswer}
		}
		var got []string
		for _, s := range r.Steps {
			got = append(got, s.Name)
		}
		if strings.Join(got, " ") != strings.Join(names, " ") || r.Took() <= 0 || r.Ahead.Abs() > time.Second {
			t.Errorf("%s: steps %v, %v, clock %v", r.Protocol, got, r.Took(), r.Ahead)
		}
	}
}

// The zero Options ask what the link's apps would.
func TestDefaults(t *testing.T) {
	for kind, n := range map[secret.Kind]int{secret.Plain: 10, secret.Padded: 5, secret.FakeTLS: 5} {
		p := target(nobody(t))
		p.Secret = p.Secret.As(kind, "")
		all := Run(t.Context(), p, Options{})
		if len(all) != n || all[0].Protocol != ProtocolOf(kind) || all[0].DC != 1 || all[n-1].DC != 5 {
			t.Errorf("%s: %+v", kind, all)
		}
		want(t, all, alike("dial refused"))
	}
}

func TestWrongSecret(t *testing.T) {
	t.Parallel()
	p := proxy(t, map[codec.DC][]netip.AddrPort{2: {telegram(t, 0)}}, everyone...)
	p.Secret.Key[3]++
	all := Run(t.Context(), p, Options{DCs: []codec.DC{2}, Protocols: everyone, Timeout: impatient})
	want(t, all, map[codec.Protocol]string{
		codec.Classic: "answer answer_silent", codec.Secure: "answer answer_silent", codec.TLS: "tls hello_silent",
	})
	hints(t, all, "the secret is wrong")
}

// One protocol alone leaves the choice between causes; beside one that works there is none.
func TestNotAllowed(t *testing.T) {
	t.Parallel()
	p := proxy(t, map[codec.DC][]netip.AddrPort{2: {telegram(t, 0)}}, codec.TLS)
	all := Run(t.Context(), p, Options{DCs: []codec.DC{2}, Protocols: []codec.Protocol{codec.Secure}, Timeout: impatient})
	want(t, all, alike("answer answer_silent"))
	hints(t, all, "secure is not allowed at this port")
	all = Run(t.Context(), p, Options{DCs: []codec.DC{2}, Protocols: everyone, Timeout: 3 * time.Second})
	want(t, all, map[codec.Protocol]string{codec.Classic: "answer not_allowed", codec.Secure: "answer not_allowed", codec.TLS: "ok"})
	hints(t, only(all, func(r *Result) bool { return !r.OK }), "the secret is right")
}

func TestWrongClock(t *testing.T) {
	t.Parallel()
	p := proxy(t, map[codec.DC][]netip.AddrPort{2: {telegram(t, 0)}}, everyone...)
	o := Options{DCs: []codec.DC{2}, Timeout: impatient, Skew: -time.Hour}
	all := Run(t.Context(), p, o)
	want(t, all, alike("tls hello_silent"))
	hints(t, all, "this machine's clock is wrong (it says "+time.Now().Add(o.Skew).UTC().Format("2006-01-02 "))
	o.Protocols, o.Timeout = []codec.Protocol{codec.Secure, codec.TLS}, 3*time.Second
	all = Run(t.Context(), p, o)
	want(t, all, map[codec.Protocol]string{codec.Secure: "ok", codec.TLS: "tls not_allowed"})
	hints(t, all[1:], "the secret is right, as other protocols work, so tls is not allowed at this port, or this machine's clock")
}

func TestDatacenterDown(t *testing.T) {
	dcs := map[codec.DC][]netip.AddrPort{2: {telegram(t, 0)}, 4: {nobody(t)}}
	p := proxy(t, dcs, everyone...)
	all := Run(t.Context(), p, Options{DCs: []codec.DC{2, 4}, Protocols: everyone, Timeout: patience})
	want(t, only(all, func(r *Result) bool { return r.DC == 2 }), alike("ok"))
	down := only(all, func(r *Result) bool { return r.DC == 4 })
	want(t, down, alike("answer dc_down"))
	hints(t, down, "as other pings show, so the proxy does not reach the datacenter")
	all = Run(t.Context(), p, Options{DCs: []codec.DC{4}, Timeout: patience}) // the flight alone proves the secret
	want(t, all, alike("answer answer_closed"))
	hints(t, all, "the secret is right, so the proxy does not reach the datacenter")
}

func TestTransportError(t *testing.T) {
	dc := telegram(t, 2)
	p := proxy(t, map[codec.DC][]netip.AddrPort{2: {dc}, 4: {dc}}, everyone...)
	all := Run(t.Context(), p, Options{DCs: []codec.DC{4}, Protocols: everyone, Timeout: patience})
	want(t, all, alike("answer -444"))
	hints(t, all, "ended at another datacenter")
}

// A web site that knows TLS, in place of a proxy.
func TestWebServer(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"example.com"}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(nil, form, form, public, private)
	if err != nil {
		t.Fatal(err)
	}
	site := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: private}}}
	at := serve(t, func(c net.Conn) {
		_ = tls.Server(c, site).Handshake()
		c.Close()
	})
	all := Run(t.Context(), target(at), Options{DCs: []codec.DC{2}, Timeout: patience})
	want(t, all, alike("tls hello_foreign"))
	hints(t, all, "this is a web site")
}

// What else may stand at a port, or not.
func TestOthers(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = c.Read(make([]byte, 64<<10))
			_, _ = c.Write([]byte(text))
			_ = c.(*net.TCPConn).CloseWrite()
			deaf(c)
		}
	}
	noise := make([]byte, 2*maxFlight)
	random(noise)
	noise[0] = 0x42
	for _, c := range []struct {
		name      string
		handle    func(net.Conn)
		timeout   time.Duration
		bare, tls string
	}{
		{"silent", deaf, impatient, "answer_silent", "hello_silent"},
		{"closes", say(""), patience, "answer_closed", "hello_closed"},
		{"plain web", say("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"), patience, "answer_foreign", "hello_not_tls"},
		{"alert", say("\x15\x03\x01\x00\x02\x02\x28"), patience, "answer_foreign", "hello_foreign"},
		{"noise", say(string(noise)), patience, "answer_garbage", "hello_not_tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := target(serve(t, c.handle))
			all := Run(t.Context(), p, Options{DCs: []codec.DC{2}, Protocols: everyone, Timeout: c.timeout})
			want(t, all, map[codec.Protocol]string{
				codec.Classic: "answer " + c.bare, codec.Secure: "answer " + c.bare, codec.TLS: "tls " + c.tls,
			})
		})
	}
}

func TestDial(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	}
	fail := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) { return nil, err }
	}
	for word, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"no_name":      fail(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true}}),
		"dial_timeout": hang,
		"dial_failed":  fail(&net.OpError{Op: "dial", Err: &net.AddrError{Err: "no route"}}),
	} {
		all := Run(t.Context(), Target{Host: "a.example", Port: 1, Secret: fakeTLS}, Options{DCs: []codec.DC{2}, Dial: dial, Timeout: time.Millisecond})
		want(t, all, alike("dial "+word))
		hints(t, all, "")
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	at := serve(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		cancel()
		deaf(c)
	})
	all := Run(ctx, target(at), Options{Timeout: patience})
	for i := range all {
		if _, e := all[i].Failed(); e == nil || e.Fault != Interrupted {
			t.Errorf("%s", faulty(&all[i]))
		}
	}
}

// hints checks that every failure's sentence holds text, both halves, and no secret.
func hints(t *testing.T, all []Result, text string) {
	t.Helper()
	for i := range all {
		_, e := all[i].Failed()
		if e == nil {
			t.Errorf("DC %d, %s answers", all[i].DC, all[i].Protocol)
			continue
		}
		if !strings.Contains(e.Error(), text) || e.Seen == "" || e.Hint == "" {
			t.Errorf("%q does not say %q", e, text)
		}
		for _, piece := range []string{all[i].Protocol.String() + "-", "d0d6", "0xd0", "208 214"} {
			if strings.Contains(e.Error(), piece) {
				t.Errorf("%q shows %q", e, piece)
			}
		}
	}
}
