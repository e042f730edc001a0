package faketls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"slices"
	"testing"

	"epoxy/codec"
)

// pipe is a connection that reads one hello and then the end, and keeps what is written.
type pipe struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (p *pipe) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.out.Write(b) }

// front answers hello with Go's own TLS server: its first flight.
func front(t testing.TB, hello []byte, config *tls.Config) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: make([]string, 60)}
	for i := range template.DNSNames { // a certificate of a usual size
		template.DNSNames[i] = "www.example.org"
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	p := &pipe{in: bytes.NewReader(hello)}
	if err := tls.Server(p, config).Handshake(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return p.out.Bytes()
}

// A real TLS server takes our hellos as genuine; what Learn reads from its answer makes our ServerHello
// the same byte for byte, but for random and key.
func TestLearnRealServer(t *testing.T) {
	captured := loadCaptured(t)
	for _, group := range []Group{X25519, X25519MLKEM768} {
		for name, hello := range map[string][]byte{
			"browser": testHello(t, Browser), "classic": testHello(t, Classic517), "two records": testHello(t, Browser, 600),
			captured[0].Client: captured[0].Hello, captured[1].Client: captured[1].Hello, captured[2].Client: captured[2].Hello,
		} {
			h := mustParse(t, hello)
			if h.MLKEM == nil && group != X25519 {
				continue
			}
			real := front(t, hello, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveID(group)}})
			p, err := Learn(real, h.SessionID)
			if err != nil || p.Group != group || !p.VersionsFirst || !isTLS13(p.Suite) {
				t.Fatalf("%s: %+v, %v", name, p, err)
			}
			ours, _ := answer(t, hello, p.Profile)
			size := HeaderSize + int(binary.BigEndian.Uint16(real[3:]))
			mask := func(p []byte) []byte {
				p = slices.Clone(p[:size+len(ccs)+3])
				clear(p[randomAt:sessionAt])
				clear(p[size-group.answerSize() : size])
				return p
			}
			if !bytes.Equal(mask(ours), mask(real)) {
				t.Errorf("%s, group %x: our answer\n%x\nthe server's\n%x", name, group, mask(ours)[:96], mask(real)[:96])
			}
			sum := len(real) - size - len(ccs)
			for records := real[size+len(ccs):]; len(records) > 0; sum -= HeaderSize {
				records = records[HeaderSize+int(binary.BigEndian.Uint16(records[3:])):]
			}
			if p.AppData != sum || p.Sum != sum || p.Records == 0 || len(ours) != size+len(ccs)+HeaderSize+sum {
				t.Errorf("%s: learned %d bytes of application data, the server sent %d", name, p.AppData, sum)
			}
		}
	}
}

func TestLearn(t *testing.T) {
	for _, v := range loadVectors(t).Flight {
		p, err := Learn(v.Flight, v.SessionID)
		want := Profile{
			Suite: binary.BigEndian.Uint16(v.Suite), Group: Group(binary.BigEndian.Uint16(v.Group)),
			VersionsFirst: v.Name == "x25519-versions-first", AppData: v.AppDataLen,
		}
		if err != nil || p != (Answer{want, v.AppDataLen, 1}) {
			t.Errorf("%s: %+v, %v", v.Name, p, err)
		}
		for n := range v.Flight { // the prefix loop
			if _, err := Learn(v.Flight[:n], v.SessionID); err != codec.ErrShort {
				t.Fatalf("%s, %d bytes: %v", v.Name, n, err)
			}
		}
	}
	v := loadVectors(t).Flight[0]
	flight, session := []byte(v.Flight), []byte(v.SessionID)
	twice := append(slices.Clone(flight), flight[len(flight)-2053:]...)
	if p, err := Learn(append(twice, 0x17, 3, 3, 9, 9, 1), session); err != nil || p.AppData != 4096 || p.Sum != 4096 || p.Records != 2 {
		t.Errorf("two records and a torn one: %+v, %v", p, err)
	}
	shut := replace(flight, 8, 0x46) // TLS 1.2: a ServerHello without extensions, and a certificate behind it
	for name, bad := range map[string]struct {
		answer []byte
		err    error
	}{
		"retry":           {replace(flight, randomAt, []byte(retryRandom)...), ErrRetry},
		"compression":     {replace(flight, 78, 1), errFront},
		"legacy version":  {replace(flight, 10, 2), errFront},
		"session id":      {replace(flight, 50, flight[50]^1), ErrNotMirrored},
		"TLS 1.2 suite":   {replace(flight, 76, 0xc0, 0x2f), errFront},
		"no versions":     {replace(flight, 121, 0, 0x2a), ErrOldTLS},
		"no extensions":   {replace(shut, 7, 0), ErrOldTLS},
		"TLS 1.2 version": {replace(flight, 126, 3), ErrOldTLS},
		"TLS 1.0":         {replace(flight, 2, 1), ErrOldTLS},
		"other group":     {replace(flight, 85, 0, 0x17), errFront},
		"share too short": {replace(flight, 88, 31), errFront},
		"handshake size":  {replace(flight, 8, 0), errFront},
		"no CCS":          {replace(flight, 127, 0x16), errFront},
		"CCS of 2":        {replace(flight, 131, 2), errFront},
		"alert":           {[]byte("\x15\x03\x03\x00\x02\x02\x28"), errFront},
		"http":            {[]byte("HTTP/1.1 400"), errFront},
		"handshake after": {append(slices.Clone(flight), 0x16), errFront},
	} {
		if _, err := Learn(bad.answer, session); err != bad.err {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A front of TLS 1.2, and one that wants a share that no client sends.
func TestLearnUnfit(t *testing.T) {
	hello := testHello(t, Browser)
	session := mustParse(t, hello).SessionID
	if _, err := Learn(front(t, hello, &tls.Config{MaxVersion: tls.VersionTLS12}), session); err != ErrOldTLS {
		t.Errorf("TLS 1.2: %v", err)
	}
	if _, err := Learn(front(t, hello, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}), session); err != ErrRetry {
		t.Errorf("P-384: %v", err)
	}
}

// Apple's order of suites, which a server takes as well.
func TestAES256First(t *testing.T) {
	for _, shape := range []Shape{Browser, Classic517} {
		c := ClientHello{Domain: "www.example.org", Secret: testSecret, Shares: testShares(t), Shape: shape, AES256First: true}
		hello, err := c.Append(nil, source(2))
		if err != nil {
			t.Fatal(err)
		}
		h := mustParse(t, hello)
		if len(hello) < classicSize || !bytes.Equal(h.Suites[2:8], []byte(aes256First)) {
			t.Errorf("suites %x", h.Suites)
		}
		if _, err := Learn(front(t, hello, &tls.Config{}), h.SessionID); err != nil {
			t.Error(err)
		}
	}
}

func FuzzLearn(f *testing.F) {
	for _, v := range loadVectors(f).Flight {
		f.Add([]byte(v.Flight), []byte(v.SessionID))
	}
	f.Add(front(f, testHello(f, Browser), &tls.Config{}), mustParse(f, testHello(f, Browser)).SessionID)
	f.Fuzz(func(t *testing.T, p, session []byte) {
		profile, err := Learn(p, session)
		switch {
		case err != nil && !slices.Contains([]error{codec.ErrShort, errFront, ErrOldTLS, ErrRetry, ErrNotMirrored}, err):
			t.Fatal(err)
		case err != nil && profile != Answer{}:
			t.Fatalf("%+v with %v", profile, err)
		case err == nil && (!isTLS13(profile.Suite) || profile.AppData < MinAppData || profile.AppData > MaxAppData):
			t.Fatalf("%+v", profile)
		}
	})
}
