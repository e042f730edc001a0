package split

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// ALPN names the protocol in the handshake of TLS.
const ALPN = "mtl/1"

var (
	errNoCA    = errors.New("split: no certificate of an authority in the file")
	errNoName  = errors.New("split: the other side's certificate has none of the allowed names")
	errNoProto = errors.New("split: the other side does not speak " + ALPN)
)

// Files are where a side's certificate, its key and the private authority stand, in PEM. Key and CA may be in the file of the
// certificate.
type Files struct{ Cert, Key, CA string }

// Creds are what one side shows and wants to see. Load may be called again at any time: links to come use what it read.
type Creds struct {
	names []string // that the other side's certificate must have one of
	now   atomic.Pointer[keys]
}

type keys struct {
	own  tls.Certificate
	pool *x509.CertPool
}

// NewCreds reads the files. names are those of which the other side's certificate must have one.
func NewCreds(f Files, names []string) (*Creds, error) {
	c := &Creds{names: names}
	return c, c.Load(f)
}

// Load reads the files again; after an error everything is as before.
func (c *Creds) Load(f Files) error {
	if f.Key == "" {
		f.Key = f.Cert
	}
	if f.CA == "" {
		f.CA = f.Cert
	}
	own, err := tls.LoadX509KeyPair(f.Cert, f.Key)
	if err != nil {
		return fmt.Errorf("split: certificate %s: %w", f.Cert, err)
	}
	text, err := os.ReadFile(f.CA)
	if err != nil {
		return fmt.Errorf("split: authority: %w", err)
	}
	pool, err := authorities(text)
	if err != nil {
		return fmt.Errorf("%w %s", err, f.CA)
	}
	c.now.Store(&keys{own, pool})
	return nil
}

// authorities returns the certificates in PEM text that may sign others.
func authorities(text []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if b.Type != pemCert {
			continue
		}
		if cert, err := x509.ParseCertificate(b.Bytes); err == nil && cert.IsCA {
			pool.AddCert(cert)
			n++
		}
	}
	if n == 0 {
		return nil, errNoCA
	}
	return pool, nil
}

// config returns what both sides have in common: TLS 1.3 alone, no tickets.
func (c *Creds) config(k *keys) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{ALPN}, SessionTicketsDisabled: true,
		Certificates: []tls.Certificate{k.own},
		VerifyConnection: func(s tls.ConnectionState) error {
			switch {
			case s.NegotiatedProtocol != ALPN:
				return errNoProto
			case c.peer(s) == "":
				return errNoName
			}
			return nil
		},
	}
}

// Expires returns when our certificate does.
func (c *Creds) Expires() time.Time {
	if leaf := c.now.Load().own.Leaf; leaf != nil {
		return leaf.NotAfter
	}
	return time.Time{}
}

// server returns the configuration of a back, which wants a front's certificate.
func (c *Creds) server() *tls.Config {
	k := c.now.Load()
	t := c.config(k)
	t.ClientAuth, t.ClientCAs = tls.RequireAndVerifyClientCert, k.pool
	return t
}

// client returns the configuration of a front, which asks for the first of its names.
func (c *Creds) client() *tls.Config {
	k := c.now.Load()
	t := c.config(k)
	t.RootCAs, t.ServerName = k.pool, c.names[0]
	return t
}

// peer returns the allowed name of a connection's certificate, none when it has none of them.
func (c *Creds) peer(s tls.ConnectionState) string {
	for _, n := range c.names {
		if len(s.PeerCertificates) > 0 && s.PeerCertificates[0].VerifyHostname(n) == nil {
			return n
		}
	}
	return ""
}
