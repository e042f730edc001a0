package config

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
)

const testKey = "3f2a9c11d07be45588a1c0ffee123457"

// check runs parse on every text of good, wanting its value, and on every text of bad, wanting a Mistake with its words.
func check[T comparable](t *testing.T, parse func(string) (T, error), good map[string]T, bad map[string]string) {
	t.Helper()
	for text, want := range good {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for text, words := range bad {
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: error %v, want one with %q", text, err, words)
		}
	}
}

func TestParseListen(t *testing.T) {
	check(t, func(text string) (string, error) {
		l, err := ParseListen(text)
		return l.String(), err
	}, map[string]string{
		"0.0.0.0:443":             "=0.0.0.0:443",
		"[::]:443":                "=[::]:443",
		":443":                    "=:443",
		"main=127.0.0.1:0":        "main=127.0.0.1:0",
		"[::ffff:127.0.0.1]:80":   "=127.0.0.1:80",
		"[fe80::1%eth0]:443":      "=[fe80::1%eth0]:443",
		"unix:/run/x.sock":        "=unix:/run/x.sock",
		"unix:/run/a=b":           "=unix:/run/a=b",
		"door=unix:/run/x.sock":   "door=unix:/run/x.sock",
		"unix:@abstract":          "=unix:@abstract",
		"a.b-c_9=255.0.0.1:65535": "a.b-c_9=255.0.0.1:65535",
	}, map[string]string{
		"":                    "has no port",
		"443":                 "has no port",
		"127.0.0.1":           "has no port",
		"127.0.0.1:":          "port is not a number",
		"127.0.0.1:65536":     "port is not a number",
		"127.0.0.1:-1":        "port is not a number",
		"127.0.0.1:https":     "port is not a number",
		"localhost:443":       "not an IP address",
		"::1:443":             "needs brackets",
		"=127.0.0.1:443":      "name before =",
		"bad name=:443":       "name before =",
		"unix:run/x.sock":     "not absolute",
		"unix:@":              "not absolute",
		"unix:":               "not absolute",
		"unix:/" + long(107):  "107 bytes",
		long(33) + "=:443":    "name before =",
		"a=b=127.0.0.1:443":   "not an IP address",
		"tcp://127.0.0.1:443": "not an IP address",
	})
}

func long(n int) string { return strings.Repeat("x", n) }

// Every endpoint prints as what it was parsed from.
func TestEndpointString(t *testing.T) {
	for _, text := range []string{"0.0.0.0:443", "[::]:443", ":443", "[::1]:0", "unix:/run/x.sock", "off", DefaultListen, DefaultAdmin} {
		e, err := parseAdmin(text)
		if err != nil || e.String() != text {
			t.Errorf("%q prints as %q, %v", text, e, err)
		}
	}
}

func TestOverlaps(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":443", ":443", true}, {":443", "0.0.0.0:443", true}, {":443", "[::]:443", true}, {"0.0.0.0:443", "[::]:443", false},
		{":443", "127.0.0.1:443", false}, {":443", ":444", false}, {"127.0.0.1:0", "127.0.0.1:0", false},
		{"unix:/a", "unix:/a", true}, {"unix:/a", "unix:/b", false}, {"unix:/a", ":443", false},
	} {
		a, b := mustEndpoint(c.a), mustEndpoint(c.b)
		if a.overlaps(b) != c.want || b.overlaps(a) != c.want {
			t.Errorf("%s and %s overlap: %v and %v, want %v", c.a, c.b, a.overlaps(b), b.overlaps(a), c.want)
		}
	}
}

func TestParseSecret(t *testing.T) {
	raw, _ := hex.DecodeString(testKey)
	key := codec.Key(raw)
	domain := hex.EncodeToString([]byte("www.example.com"))
	ee := secret.Secret{Key: key, Kind: secret.FakeTLS, Domain: "www.example.com"}
	plain := secret.Secret{Key: key}
	type named struct {
		Name   string
		Secret secret.Secret
	}
	check(t, func(text string) (named, error) {
		n, err := ParseSecret(text)
		return named{n.Name, n.Secret}, err
	}, map[string]named{
		testKey:                          {Secret: plain},
		"alice=" + testKey:               {Name: "alice", Secret: plain},
		strings.ToUpper(testKey):         {Secret: plain},
		"bob=dd" + testKey:               {Name: "bob", Secret: plain.As(secret.Padded, "")},
		"ee" + testKey + domain:          {Secret: ee},
		ee.Base64():                      {Secret: ee},
		plain.Base64() + "==":            {Secret: plain},
		"carol=" + plain.Base64() + "==": {Name: "carol", Secret: plain},
	}, map[string]string{
		"":                           "is no secret: empty",
		"alice=":                     "is no secret", // all of it is taken for base64 with padding
		"=" + testKey:                "name before =",
		"a b=" + testKey:             "name before =",
		testKey[1:]:                  "is no secret",
		"ee" + testKey:               "is no secret",
		"zz" + testKey + "!":         "not shown",
		"alice=" + testKey + testKey: "is no secret",
	})
}

func TestParseAllow(t *testing.T) {
	check(t, ParseAllow, map[string]Allow{
		"tls": AllowOf(codec.TLS), "tls,secure": AllowOf(codec.Secure, codec.TLS), " TLS , classic,tls": AllowOf(codec.Classic, codec.TLS),
	}, map[string]string{"": "does not exist", "tls,": "does not exist", "dd": "classic, secure, tls", "none": "does not exist"})
	all := AllowOf(codec.Classic, codec.Secure, codec.TLS)
	if all.String() != "classic,secure,tls" || Default().Allow.String() != "secure,tls" {
		t.Errorf("prints as %q and %q", all, Default().Allow)
	}
	if all.Has(codec.ProtocolNone) || !all.Has(codec.TLS) || AllowOf(codec.TLS).Has(codec.Secure) {
		t.Error("Has is wrong")
	}
}

// Every word of an enum is parsed to the value that prints as it.
func TestWords(t *testing.T) {
	for i, w := range upstreamWords {
		if got, err := parseWord[Upstream](upstreamWords, w); err != nil || int(got) != i || got.String() != w {
			t.Errorf("%s is %v, %v", w, got, err)
		}
	}
	if PreferV6.String() != "prefer-v6" || OnlyV4.String() != "only-v4" || PinOff.String() != "off" || LogJSON.String() != "json" || Pin(9).String() != "unknown" {
		t.Error("an enum prints wrong")
	}
	if _, err := parseWord[Pin](pinWords, "maybe"); err == nil || !strings.Contains(err.Error(), "auto, on, off") {
		t.Errorf("maybe: %v", err)
	}
	for _, w := range []string{"debug", "info", "warn", "error"} {
		if l, parts, err := parseLevels(strings.ToUpper(w)); err != nil || showLevels(l, parts) != w {
			t.Errorf("level %s is %v, %v", w, l, err)
		}
	}
	if _, _, err := parseLevels("info+2"); err == nil {
		t.Error("info+2 is a level")
	}
}

func TestParseDuration(t *testing.T) {
	check(t, parseDuration, map[string]time.Duration{
		"10s": 10 * time.Second, "20m": 20 * time.Minute, "1h30m": 90 * time.Minute, "500ms": 500 * time.Millisecond, "15": 15 * time.Second, "0": 0,
	}, map[string]string{"": "not a duration", "ten": "not a duration", "10 s": "not a duration", "-1s": "below zero", "169h": "above a week", "99999999": "above a week"})
	for d, want := range map[time.Duration]string{20 * time.Minute: "20m", time.Hour: "1h", 90 * time.Minute: "1h30m", 90 * time.Second: "1m30s", 0: "0", 10 * time.Second: "10s"} {
		if short(d) != want {
			t.Errorf("%v prints as %s, want %s", d, short(d), want)
		}
	}
}

func TestParseNumbers(t *testing.T) {
	check(t, parseSize, map[string]int{"0": 0, "131072": 131072, "128K": 131072, "128KiB": 131072, "1m": 1 << 20, "1024M": 1 << 30, "7B": 7},
		map[string]string{"": "bytes", "K": "bytes", "-1": "bytes", "1G": "bytes", "1025M": "bytes", "1KK": "bytes", "4294967297K": "bytes"})
	check(t, parseInt(0, 10), map[string]int{"0": 0, "10": 10}, map[string]string{"": "from 0 to 10", "11": "from 0 to 10", "-1": "0 to 10", "1.5": "0 to 10"})
	check(t, parseMark, map[string]uint32{"0": 0, "42": 42, "0xff": 255, "4294967295": 1<<32 - 1}, map[string]string{"": "mark", "-1": "mark", "4294967296": "mark"})
	check(t, parseDC, map[string]codec.DC{"2": 2, "-2": -2, "203": 203, "-32768": -32768, "32767": 32767}, map[string]string{"0": "datacenter", "": "datacenter", "32768": "datacenter"})
	check(t, parseBool, map[string]bool{"true": true, "1": true, "no": false, "OFF": false}, map[string]string{"": "neither", "maybe": "neither"})
}

func TestParseRoute(t *testing.T) {
	r, err := parseRoute("-203=149.154.167.50:443,[2001:67c:4e8:f002::a]:8443,[::ffff:1.2.3.4]:1")
	want := []string{"149.154.167.50:443", "[2001:67c:4e8:f002::a]:8443", "1.2.3.4:1"}
	if err != nil || r.id != -203 || len(r.addrs) != len(want) {
		t.Fatalf("%+v, %v", r, err)
	}
	for i := range want {
		if r.addrs[i].String() != want[i] {
			t.Errorf("address %d is %s, want %s", i, r.addrs[i], want[i])
		}
	}
	for text, words := range map[string]string{
		"2": "has no =", "x=1.2.3.4:443": "datacenter id", "2=": "not an IP", "2=example.com:443": "not an IP", "2=1.2.3.4": "not an IP",
		"2=1.2.3.4:0": "nobody can connect", "2=0.0.0.0:443": "nobody can connect", "2=1.2.3.4:443,": "not an IP",
	} {
		if _, err := parseRoute(text); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: error %v, want one with %q", text, err, words)
		}
	}
}

func TestParseKeepalive(t *testing.T) {
	check(t, ParseKeepalive, map[string]Keepalive{
		"60s/30s/4": {time.Minute, 30 * time.Second, 4}, "off": {}, "20m/75/127": {20 * time.Minute, 75 * time.Second, 127},
	}, map[string]string{
		"": "IDLE/INTERVAL/COUNT", "60s": "IDLE", "60s/30s": "IDLE", "60s/30s/0": "IDLE", "60s/30s/128": "IDLE", "500ms/1s/1": "IDLE", "1s/0s/1": "IDLE", "10h/1s/1": "IDLE",
	})
	if k := Default().Keepalive.String(); k != "1m/30s/4" {
		t.Errorf("the default prints as %s", k)
	}
}

func TestParseNames(t *testing.T) {
	check(t, parseDomain, map[string]string{"": "", "WWW.Example.com": "www.example.com", "xn--e1afmkfd.xn--p1ai": "xn--e1afmkfd.xn--p1ai"},
		map[string]string{"a.b": "not a domain", "пример.рф": "not a domain", "http://a.com": "not a domain", "a..com": "not a domain", long(183): "not a domain"})
	check(t, parseHost, map[string]string{"": "", "proxy.example.com": "proxy.example.com", "192.0.2.1": "192.0.2.1", "[2001:DB8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1"},
		map[string]string{"a b": "host name", "1.2.3.4:443": "host name", "https://x.com": "host name"})
	check(t, parseInterface, map[string]string{"": "", "eth0": "eth0", "enp3s0.100": "enp3s0.100"}, map[string]string{"eth 0": "interface", long(16): "interface"})
	check(t, parseFamily(true, "192.0.2.1"), map[string]netip.Addr{"": {}, "10.0.0.1": netip.MustParseAddr("10.0.0.1")}, map[string]string{"::1": "family", "eth0": "family", "10.0.0.1:5": "family"})
	check(t, parseFamily(false, "2001:db8::1"), map[string]netip.Addr{"::1": netip.IPv6Loopback()}, map[string]string{"10.0.0.1": "family", "::ffff:10.0.0.1": "family"})
}
