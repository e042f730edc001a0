package engine_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/upstream/faketg"
)

// web is a site by crypto/tls and net/http.
type web struct {
	*site
	roots *x509.CertPool
}

const page = "what everybody may read\n"

// newWeb runs a site with a certificate of its own until the test ends. The certificate names enough to be of a usual size.
func newWeb(t *testing.T, signer crypto.Signer, conf *tls.Config) *web {
	t.Helper()
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"example.com"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	for i := range 40 {
		about.DNSNames = append(about.DNSNames, fmt.Sprintf("number%d.of.the.names.example", i))
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	w := &web{site: newSite(t), roots: x509.NewCertPool()}
	w.roots.AddCert(leaf)
	conf.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: signer}}
	conf.NextProtos = []string{"http/1.1"}
	srv := &http.Server{
		Handler:  http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, page) }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(tls.NewListener(w.TCPListener, conf))
	}()
	t.Cleanup(func() { _ = srv.Close(); <-served })
	return w
}

// learn reads an answer to hello as the scout does.
func learn(t *testing.T, flight, hello []byte) faketls.Answer {
	t.Helper()
	h, _, err := faketls.ParseHello(hello, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := faketls.Learn(flight, h.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// own asks the site itself with a hello like a client's.
func (w *web) own(t *testing.T) faketls.Answer {
	t.Helper()
	hello := wrongHello(t)
	c := stranger(t, w.Addr().String(), hello)
	var flight []byte
	one := make([]byte, 16<<10)
	for {
		_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)) // the site waits for us then
		n, err := c.Read(one)
		flight = append(flight, one[:n]...)
		if err != nil {
			return learn(t, flight, hello)
		}
	}
}

// visits looks at the page through the proxy, as a browser does that trusts the site.
func (w *web) visits(t *testing.T, addr string, version uint16) {
	t.Helper()
	tr := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.roots, ServerName: "example.com"},
		DialContext:     (&net.Dialer{}).DialContext,
	}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get("https://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != page || resp.TLS.Version != version {
		t.Errorf("TLS %x, %q, %v", resp.TLS.Version, body, err)
	}
}

// A measured front's clients are answered as the front answers: suite, group, order of extensions and bytes of its first
// flight are those that it showed; and browsers get the front's own certificate and page.
func TestFrontProfiles(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, dc := telegram(t, faketg.Faults{})
	cases := []*struct {
		name   string
		signer crypto.Signer
		conf   *tls.Config
		group  faketls.Group // GroupNone: the site cannot be imitated
		web    *web
		proxy  *house
	}{
		{name: "RSA", signer: rsaKey, conf: &tls.Config{}, group: faketls.X25519MLKEM768},
		{name: "ECDSA", signer: ecKey, conf: &tls.Config{}, group: faketls.X25519MLKEM768},
		{name: "x25519 alone", signer: ecKey, conf: &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, group: faketls.X25519},
		{name: "TLS 1.2", signer: rsaKey, conf: &tls.Config{MaxVersion: tls.VersionTLS12}},
	}
	for _, c := range cases { // all are measured at the same time
		c.web = newWeb(t, c.signer, c.conf)
		set := fronted(c.web.site)
		set.FrontMeasure, set.DC = time.Hour, settings(dc).DC
		c.proxy = start(t, set)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w, h := c.web, c.proxy
			version := uint16(tls.VersionTLS13)
			if c.group == faketls.GroupNone {
				version = tls.VersionTLS12
			}
			w.visits(t, h.addr, version)
			mustPing(t, dial(t, h.addr, ways[3], 2), 64) // measured or not
			eventually(t, func() bool { return !h.FrontStatus()[0].Measured.IsZero() }, func() string {
				return "the front is not measured: " + h.FrontStatus()[0].Err
			})
			if c.group == faketls.GroupNone {
				if st := h.FrontStatus()[0]; st.TLS13 || !st.TLS12 || len(st.Warnings) == 0 {
					t.Errorf("%+v", st)
				}
			} else {
				w.imitated(t, h, c.group)
			}
			w.visits(t, h.addr, version)
			mustPing(t, dial(t, h.addr, ways[3], 2), 64)
			if n := h.snapshot().Sum().Handshakes[codec.TLS]; n != 2 {
				t.Errorf("%d clients, not 2", n)
			}
		})
	}
}

// imitated wants h, which has measured the site, to answer as the site itself does.
func (w *web) imitated(t *testing.T, h *house, group faketls.Group) {
	t.Helper()
	st, own := h.FrontStatus()[0], w.own(t)
	if diff := own.Sum - st.FirstFlight; diff < -slack || diff > slack || st.FirstFlight < faketls.MinAppData {
		t.Errorf("measured %d bytes, the front sends %d", st.FirstFlight, own.Sum)
	}
	var last faketls.Answer
	alike := func() bool {
		hello := greet(t, nil)
		last = learn(t, wantFlight(t, stranger(t, h.addr, hello), hello), hello)
		return last.Suite == own.Suite && last.Group == group && own.Group == group && last.VersionsFirst == own.VersionsFirst &&
			last.Sum >= st.FirstFlight && last.Sum <= st.FirstFlight+slack && last.Records == 1
	}
	what := func() string {
		return fmt.Sprintf("clients get %+v, the front says %+v and was measured as %+v", last, own, st)
	}
	eventually(t, alike, what) // the loops hear of it a moment later
	for range 5 {
		if !alike() {
			t.Error(what())
		}
	}
}

// slack is how much ECDSA signatures vary in length.
const slack = 4
