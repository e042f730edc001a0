package split

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The names that certificates have, and the other side wants, when nobody says otherwise.
const (
	FrontName = "epoxy-front"
	BackName  = "epoxy-back"
)

const (
	pemCert = "CERTIFICATE"
	pemKey  = "PRIVATE KEY"

	caFile    = "ca.pem"
	caKeyFile = "ca.key"
	caYears   = 20
	certYears = 10
	clockSlip = time.Hour // that the other side's clock may be behind
)

// MakeCerts writes into dir, which it makes, a private authority (ca.pem, ca.key) and for each front and back NAME.pem: its
// certificate and key and the authority's certificate, all that one server needs. An authority that is there is used again, and
// a NAME.pem that is there is left alone. It returns the files written.
func MakeCerts(dir string, fronts, backs []string, now time.Time) (made []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("split: make certificates: %w", err)
	}
	ca, key, err := readCA(dir)
	if errors.Is(err, os.ErrNotExist) {
		if ca, key, err = makeCA(dir, now); err == nil {
			made = append(made, caFile, caKeyFile)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("split: make certificates: %w", err)
	}
	for i, name := range append(append([]string(nil), fronts...), backs...) {
		usage := x509.ExtKeyUsageClientAuth
		if i >= len(fronts) {
			usage = x509.ExtKeyUsageServerAuth
		}
		wrote, err := makeCert(dir, name, usage, ca, key, now)
		if err != nil {
			return made, fmt.Errorf("split: make certificate %s: %w", name, err)
		}
		if wrote {
			made = append(made, name+".pem")
		}
	}
	return made, nil
}

// template is a certificate from now on.
func template(name string, now time.Time, years int) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSlip), NotAfter: now.AddDate(years, 0, 0), BasicConstraintsValid: true,
	}, nil
}

// makeCA makes and writes an authority, which signs certificates of servers alone.
func makeCA(dir string, now time.Time) (*x509.Certificate, crypto.Signer, error) {
	t, err := template("epoxy private authority", now, caYears)
	if err != nil {
		return nil, nil, err
	}
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	text, err := keyText(key)
	if err != nil {
		return nil, nil, err
	}
	if err := write(dir, caKeyFile, text, 0o600); err != nil {
		return nil, nil, err
	}
	if err := write(dir, caFile, certText(der), 0o644); err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

// readCA reads the authority in dir.
func readCA(dir string) (*x509.Certificate, crypto.Signer, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("the authority's key is not here: %s", err) //nolint:errorlint // it must not look as if nothing were there
	}
	c, _ := pem.Decode(certPEM)
	k, _ := pem.Decode(keyPEM)
	if c == nil || k == nil {
		return nil, nil, errNoCA
	}
	ca, err := x509.ParseCertificate(c.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParsePKCS8PrivateKey(k.Bytes)
	if err != nil {
		return nil, nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, errNoCA
	}
	return ca, signer, nil
}

// makeCert makes and writes NAME.pem unless it is there.
func makeCert(dir, name string, usage x509.ExtKeyUsage, ca *x509.Certificate, signer crypto.Signer, now time.Time) (bool, error) {
	if _, err := os.Stat(filepath.Join(dir, name+".pem")); err == nil {
		return false, nil
	}
	t, err := template(name, now, certYears)
	if err != nil {
		return false, err
	}
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{usage}
	if ip := net.ParseIP(name); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{name}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, err
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca, key.Public(), signer)
	if err != nil {
		return false, err
	}
	text, err := keyText(key)
	if err != nil {
		return false, err
	}
	all := append(append(certText(der), text...), certText(ca.Raw)...)
	return true, write(dir, name+".pem", all, 0o600)
}

func certText(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: pemCert, Bytes: der})
}

func keyText(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemKey, Bytes: der}), nil
}

// write makes a new file.
func write(dir, name string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
