// Package secret parses, prints and links plain, dd and ee secrets.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"epoxy/codec"
)

// Kind is the form of a secret, which tells a client how to speak (spec client-protocols 3.1).
type Kind uint8

// The kinds, and what their bytes look like.
const (
	Plain   Kind = iota // key, 16 bytes: obfuscated2 with any tag
	Padded              // dd | key: obfuscated2 with the padded tag
	FakeTLS             // ee | key | domain: the same inside fake-TLS
)

// String returns "plain", "dd" or "ee".
func (k Kind) String() string {
	switch k {
	case Plain:
		return "plain"
	case Padded:
		return "dd"
	case FakeTLS:
		return "ee"
	}
	return "unknown"
}

// What is wrong with a secret. No text shows any of it.
var (
	ErrEmpty       = errors.New("secret: empty")
	ErrEncoding    = errors.New("secret: neither hex nor base64")
	ErrLength      = errors.New("secret: not 32 hex digits, dd and 32, or ee, 32 and a domain in hex (or these bytes in base64)")
	ErrPrefix      = errors.New("secret: 17 bytes or more that do not start with dd or ee")
	ErrNoDomain    = errors.New("secret: an ee secret without a domain")
	ErrDomainShort = errors.New("secret: a domain of fewer than 4 bytes, which some clients refuse")
	ErrDomainLong  = errors.New("secret: a domain of more than 182 bytes")
	ErrDomain      = errors.New("secret: a domain that is no host name (letters, digits, - _ and single dots)")
)

// Secret is one key and how it is handed out. Print it with Text or a link; every other way of printing it, by fmt,
// encoding/json or log/slog, gives Masked.
type Secret struct {
	Key    codec.Key
	Kind   Kind
	Domain string // of FakeTLS, lower case; else empty
}

// Parse reads a secret in hex of any case, base64url or base64, tried in that order, with or without "=". The
// domain of an ee secret comes out in lower case.
func Parse(text string) (Secret, error) {
	raw, err := decode(text)
	if err != nil {
		return Secret{}, err
	}
	switch {
	case len(raw) < plainSize:
		return Secret{}, ErrLength
	case len(raw) == plainSize:
		return Secret{Key: codec.Key(raw)}, nil
	}
	s := Secret{Key: codec.Key(raw[1:paddedSize])}
	domain := strings.ToLower(string(raw[paddedSize:]))
	switch raw[0] {
	default:
		return Secret{}, ErrPrefix
	case prefixPadded:
		if domain != "" {
			return Secret{}, ErrLength
		}
		s.Kind = Padded
	case prefixFakeTLS:
		if err := CheckDomain(domain); err != nil {
			return Secret{}, err
		}
		s.Kind, s.Domain = FakeTLS, domain
	}
	return s, nil
}

// decode returns the bytes behind any of the encodings.
func decode(text string) ([]byte, error) {
	switch {
	case text == "":
		return nil, ErrEmpty
	case len(text) > maxTextSize:
		return nil, ErrLength
	case strings.ContainsAny(text, "\r\n"): // encoding/base64 would skip them
		return nil, ErrEncoding
	}
	if raw, err := hex.DecodeString(text); err == nil {
		return raw, nil
	}
	bare := strings.TrimSuffix(strings.TrimSuffix(text, "="), "=")
	if raw, err := base64.RawURLEncoding.DecodeString(bare); err == nil {
		return raw, nil
	}
	if raw, err := base64.RawStdEncoding.DecodeString(bare); err == nil {
		return raw, nil
	}
	return nil, ErrEncoding
}

// CheckDomain says what is wrong with the domain of an ee secret: ErrNoDomain, ErrDomainLong, ErrDomain or nothing.
func CheckDomain(domain string) error {
	switch {
	case len(domain) < MinDomain:
		return ErrNoDomain
	case len(domain) > MaxDomain:
		return ErrDomainLong
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || strings.ContainsFunc(label, notHost) {
			return ErrDomain
		}
	}
	return nil
}

// notHost reports that r stands in no label of a host name.
func notHost(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '_')
}

// Generate makes a secret of 16 random bytes. The domain is for FakeTLS, where it has 4..182 bytes, and else ignored.
func Generate(random [codec.KeySize]byte, kind Kind, domain string) (Secret, error) {
	s := Secret{Key: random}.As(kind, domain)
	if kind != FakeTLS {
		return s, nil
	}
	if err := CheckDomain(s.Domain); err != nil {
		return Secret{}, err
	}
	if len(s.Domain) < MinMadeDomain {
		return Secret{}, ErrDomainShort
	}
	return s, nil
}

// As returns the same key in another form. The domain is for FakeTLS, where an empty one keeps that of s; the caller
// has checked it.
func (s Secret) As(kind Kind, domain string) Secret {
	if domain == "" {
		domain = s.Domain
	}
	if kind != FakeTLS {
		domain = ""
	}
	return Secret{Key: s.Key, Kind: kind, Domain: strings.ToLower(domain)}
}

// bytes returns the secret as it stands behind every encoding.
func (s Secret) bytes() []byte {
	switch s.Kind {
	case Padded:
		return append([]byte{prefixPadded}, s.Key[:]...)
	case FakeTLS:
		return append(append([]byte{prefixFakeTLS}, s.Key[:]...), strings.ToLower(s.Domain)...)
	case Plain:
	}
	return s.Key[:]
}

// Text returns what a link carries: hex, which every client reads.
func (s Secret) Text() string { return s.Hex() }

// Hex returns the secret in lower-case hex.
func (s Secret) Hex() string { return hex.EncodeToString(s.bytes()) }

// Base64 returns the secret in base64url. It is bare, except that "==" marks the rare one that is made of hex digits
// only and would be read as such.
func (s Secret) Base64() string {
	text := base64.RawURLEncoding.EncodeToString(s.bytes())
	if _, err := hex.DecodeString(text); err == nil {
		text += "=="
	}
	return text
}

// Masked returns what may be shown: the kind, the first 4 hex digits of the key and the domain.
func (s Secret) Masked() string {
	masked := s.Kind.String() + ":" + hex.EncodeToString(s.Key[:shownHexDigits/2]) + "..."
	if s.Kind == FakeTLS {
		masked += ":" + s.Domain
	}
	return masked
}

// String returns Masked, for %v and %s.
func (s Secret) String() string { return s.Masked() }

// GoString returns Masked, for %#v.
func (s Secret) GoString() string { return s.Masked() }

// MarshalText returns Masked, for encoding/json and log/slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.Masked()), nil }

// Equal reports whether both are the same secret, in a time that does not depend on the keys.
func (s Secret) Equal(other Secret) bool {
	keys := subtle.ConstantTimeCompare(s.Key[:], other.Key[:])
	return keys == 1 && s.Kind == other.Kind && strings.EqualFold(s.Domain, other.Domain)
}

// DeriveSNI returns the key of one domain: the first 16 bytes of SHA256(salt | hex(base) | sni), hex in lower case
// (spec client-protocols 3.1). sni is taken as it is.
func DeriveSNI(salt []byte, base codec.Key, sni string) codec.Key {
	text := make([]byte, 0, len(salt)+2*len(base)+len(sni))
	text = append(text, salt...)
	text = hex.AppendEncode(text, base[:])
	text = append(text, sni...)
	sum := sha256.Sum256(text)
	return codec.Key(sum[:codec.KeySize])
}

// IsPublicDefault reports a key that anybody could guess: one byte 16 times, or one that stands in the examples of
// well-known proxies.
func IsPublicDefault(key codec.Key) bool {
	if strings.Count(string(key[:]), string(key[:1])) == codec.KeySize {
		return true
	}
	switch hex.EncodeToString(key[:]) {
	case "0123456789abcdef0123456789abcdef", // tutorials
		"0123456789abcdeffedcba9876543210",
		"00112233445566778899aabbccddeeff",
		"000102030405060708090a0b0c0d0e0f",
		"00000000000000000000000000000001", // alexbers/mtprotoproxy
		"00000000000000000000000000000002",
		"d0d6e111bada5511fcce9584deadbeef", // seriyps/mtproto_proxy
		"deadbeefdeadbeefdeadbeefdeadbeef":
		return true
	}
	return false
}
