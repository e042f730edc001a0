package secret

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

var testKey = codec.Key{0xd0, 0xd6, 0xe1, 0x11, 0xba, 0xda, 0x55, 0x11, 0xfc, 0xce, 0x95, 0x84, 0xde, 0xad, 0xbe, 0xef}

type vector struct{ Name, Text, Kind, Key, Domain string }

func load(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Secrets []vector }
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Secrets) == 0 {
		t.Fatal("no vectors")
	}
	return v.Secrets
}

// B27: upper-case hex means the same bytes (vector HEX32-upper).
func TestVectors(t *testing.T) {
	kinds := map[string]Kind{"simple": Plain, "padded": Padded, "tls": FakeTLS}
	for _, v := range load(t) {
		s, err := Parse(v.Text)
		if v.Kind == "error" {
			if err == nil {
				t.Errorf("%s: parsed as %v", v.Name, s)
			}
			continue
		}
		if err != nil || s.Kind != kinds[v.Kind] || hex.EncodeToString(s.Key[:]) != v.Key || s.Domain != v.Domain {
			t.Errorf("%s: %v, %v", v.Name, s, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	key := hex.EncodeToString(testKey[:])
	domain := func(d string) string { return "ee" + key + hex.EncodeToString([]byte(d)) }
	for _, c := range []struct {
		text string
		want error
	}{
		{"", ErrEmpty},
		{key[:30], ErrLength},
		{key[:31], ErrPrefix}, // read as base64
		{"aa" + key, ErrPrefix},
		{key + key, ErrPrefix},
		{"dd" + key + "00", ErrLength},
		{"ee" + key, ErrNoDomain},
		{"!" + key, ErrEncoding},
		{key + "\n", ErrEncoding},
		{" " + key, ErrEncoding},
		{"3dDW4RG62lUR_M6VhN6tvu8===", ErrEncoding},
		{"3dDW4RG62lUR_M6VhN6t+u8", ErrEncoding}, // both alphabets
		{strings.Repeat("a", 1025), ErrLength},
		{domain(strings.Repeat("a", 183)), ErrDomainLong},
		{domain(strings.Repeat("a", 182)), nil},
		{domain("a"), nil},
		{domain("WWW.Example_1-x.org"), nil},
		{domain("a\x00b"), ErrDomain},
		{domain("a..b"), ErrDomain},
		{domain(".a"), ErrDomain},
		{domain("a."), ErrDomain},
		{domain("a b"), ErrDomain},
		{domain("a/b"), ErrDomain},
		{domain("a:443"), ErrDomain},
		{domain("\xc3\xbc.de"), ErrDomain},
		{domain("\xff\xfe"), ErrDomain},
	} {
		s, err := Parse(c.text)
		if !errors.Is(err, c.want) {
			t.Errorf("%.80q: error %v, want %v", c.text, err, c.want)
		}
		if err != nil && (s != Secret{}) {
			t.Errorf("%.80q: an error and a secret", c.text)
		}
		if err != nil && strings.Contains(err.Error(), key[:4]) {
			t.Errorf("%.80q: the error shows the secret", c.text)
		}
	}
}

func TestPrint(t *testing.T) {
	s := Secret{Key: testKey}
	tls := s.As(FakeTLS, "WWW.example.org")
	for _, c := range []struct {
		s                   Secret
		hex, base64, masked string
	}{
		{s, "d0d6e111bada5511fcce9584deadbeef", "0NbhEbraVRH8zpWE3q2-7w", "plain:d0d6..."},
		{s.As(Padded, "x"), "ddd0d6e111bada5511fcce9584deadbeef", "3dDW4RG62lUR_M6VhN6tvu8", "dd:d0d6..."},
		{
			tls, "eed0d6e111bada5511fcce9584deadbeef7777772e6578616d706c652e6f7267",
			"7tDW4RG62lUR_M6VhN6tvu93d3cuZXhhbXBsZS5vcmc", "ee:d0d6...:www.example.org",
		},
	} {
		if c.s.Hex() != c.hex || c.s.Text() != c.hex || c.s.Base64() != c.base64 || c.s.Masked() != c.masked {
			t.Errorf("%v: %s, %s", c.s, c.s.Hex(), c.s.Base64())
		}
	}
	if got := tls.As(Plain, ""); got != s {
		t.Errorf("back to plain: %v", got)
	}
	if got := tls.As(FakeTLS, ""); got != tls {
		t.Errorf("an empty domain: %v", got)
	}
	// A key whose base64url is made of hex digits only needs the "==".
	const digitsText = "abcdefabcdefabcdefabcA"
	digits, err := Parse(digitsText + "==")
	if err != nil || digits.Base64() != digitsText+"==" {
		t.Errorf("%s: %v", digits.Base64(), err)
	}
	if got, err := Parse(digits.Base64()); err != nil || got != digits {
		t.Errorf("%s: %v, %v", digits.Base64(), got, err)
	}
}

func TestNothingLeaks(t *testing.T) {
	s := Secret{Key: testKey, Kind: FakeTLS, Domain: "example.org"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s)
	if err := json.NewEncoder(&log).Encode(map[string]any{"secret": s, "more": []Secret{s}}); err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %v %+v", s, s, s, s, s, &s, struct{ S Secret }{s}) + log.String()
	for _, leak := range []string{"d0d6e", "214", "d6 e1", "0xd6", "0NbhEb"} {
		if strings.Contains(shown, leak) {
			t.Errorf("%q is in %s", leak, shown)
		}
	}
	if n := strings.Count(shown, "ee:d0d6...:example.org"); n != 11 {
		t.Errorf("masked %d times in %s", n, shown)
	}
}

func TestGenerate(t *testing.T) {
	if s, err := Generate(testKey, Padded, "ignored"); err != nil || s != (Secret{Key: testKey, Kind: Padded}) {
		t.Errorf("%v, %v", s, err)
	}
	if s, err := Generate(testKey, FakeTLS, "Example.org"); err != nil || s.Domain != "example.org" {
		t.Errorf("%v, %v", s, err)
	}
	for domain, want := range map[string]error{"": ErrNoDomain, "a.b": ErrDomainShort, "a b.c": ErrDomain} {
		if _, err := Generate(testKey, FakeTLS, domain); err != want {
			t.Errorf("%q: %v, want %v", domain, err, want)
		}
	}
}

func TestEqual(t *testing.T) {
	s := Secret{Key: testKey, Kind: FakeTLS, Domain: "a.org"}
	other := s
	other.Key[15] ^= 1
	if !s.Equal(s) || s.Equal(other) || s.Equal(s.As(Padded, "")) || s.Equal(s.As(FakeTLS, "b.org")) {
		t.Error("Equal is wrong")
	}
}

// A42: 16 bytes, deterministic, another one for another domain, salt or secret.
func TestDeriveSNI(t *testing.T) {
	base := codec.Key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got := DeriveSNI([]byte("salt"), base, "example.com")
	if want := "186971fa945e66081503f79347a04438"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	if DeriveSNI([]byte("salt"), base, "example.com") != got {
		t.Error("not deterministic")
	}
	if DeriveSNI([]byte("salt"), base, "example.org") == got || DeriveSNI([]byte("pepper"), base, "example.com") == got ||
		DeriveSNI([]byte("salt"), testKey, "example.com") == got {
		t.Error("domain, salt or secret does not matter")
	}
}

func TestIsPublicDefault(t *testing.T) {
	for _, text := range []string{
		"00000000000000000000000000000000", "0123456789abcdef0123456789abcdef",
		"abababababababababababababababab", "d0d6e111bada5511fcce9584deadbeef",
	} {
		if s, err := Parse(text); err != nil || !IsPublicDefault(s.Key) {
			t.Errorf("%s is not public: %v", text, err)
		}
	}
	if IsPublicDefault(codec.Key{15: 3}) || IsPublicDefault(codec.Key{1: 1, 3: 1, 5: 1}) {
		t.Error("another key is public")
	}
}

func drawSecret(t *rapid.T) Secret {
	s := Secret{Key: codec.Key(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))}
	kind := rapid.SampledFrom([]Kind{Plain, Padded, FakeTLS}).Draw(t, "kind")
	domain := rapid.StringMatching(`[a-z0-9_-]{1,40}(\.[a-z0-9_-]{1,40}){0,3}`).Draw(t, "domain")
	return s.As(kind, domain)
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSecret(t)
		for _, text := range []string{s.Hex(), strings.ToUpper(s.Hex()), s.Base64(), s.Text()} {
			if got, err := Parse(text); err != nil || got != s || !got.Equal(s) {
				t.Fatalf("%s: %v, %v", text, got, err)
			}
		}
		if _, err := Generate(s.Key, s.Kind, s.Domain); err != nil && !errors.Is(err, ErrDomainShort) {
			t.Fatal(err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, v := range load(f) {
		f.Add(v.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		for _, again := range []string{s.Hex(), s.Base64()} {
			if got, err := Parse(again); err != nil || got != s {
				t.Errorf("%s: %v, %v", again, got, err)
			}
		}
	})
}
