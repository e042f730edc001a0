package secret

import (
	"net/url"
	"testing"

	"pgregory.net/rapid"
)

func TestLink(t *testing.T) {
	s := Secret{Key: testKey, Kind: Padded}
	tg, tme := s.Link("2001:db8::1", 443)
	const params = "proxy?server=2001:db8::1&port=443&secret=ddd0d6e111bada5511fcce9584deadbeef"
	if tg != "tg://"+params || tme != "https://t.me/"+params {
		t.Errorf("%s, %s", tg, tme)
	}
}

func TestParseLink(t *testing.T) {
	const secret = "&secret=ddd0d6e111bada5511fcce9584deadbeef"
	for _, text := range []string{
		"tg://proxy?server=a.org&port=443" + secret,
		"TG://Proxy?server=a.org&port=443" + secret,
		"tg:proxy?server=a.org&port=443" + secret,
		"https://t.me/proxy?port=443" + secret + "&server=a.org",
		"https://telegram.me/proxy?server=a.org&port=443" + secret,
		"telegram.me/proxy?server=a.org&port=443" + secret,
		"t.me/proxy?more=1&server=%61.org&port=443" + secret + "#tail",
		"https://t.me/proxy?server=a.org&port=443&secret=3dDW4RG62lUR%2FM6VhN6tvu8",
		"https://t.me/proxy?server=a.org&port=443&secret=3dDW4RG62lUR/M6VhN6tvu8=",
	} {
		host, port, s, err := ParseLink(text)
		if err != nil || host != "a.org" || port != 443 || s != (Secret{Key: testKey, Kind: Padded}) {
			t.Errorf("%s: %s, %d, %v, %v", text, host, port, s, err)
		}
	}
	for text, want := range map[string]error{
		"":                                                 ErrLink,
		"ddd0d6e111bada5511fcce95":                         ErrLink,
		"https://example.org/proxy":                        ErrLink,
		"tg://socks?server=a&port=443" + secret:            ErrLink,
		"tg://proxy?server=%6&port=443" + secret:           ErrLink,
		"tg://proxy?server=%zz&port=443" + secret:          ErrLink,
		"tg://proxy?port=443" + secret:                     ErrServer,
		"tg://proxy?server=a" + secret:                     ErrPort,
		"tg://proxy?server=a&port=0" + secret:              ErrPort,
		"tg://proxy?server=a&port=65536" + secret:          ErrPort,
		"tg://proxy?server=a&port=-1" + secret:             ErrPort,
		"tg://proxy?server=a&port=443":                     ErrEmpty,
		"tg://proxy?server=a&port=443&secret=dd00":         ErrLength,
		"tg://proxy?server=a&port=443&secret=%0a" + secret: nil, // the last one counts
	} {
		if _, _, _, err := ParseLink(text); err != want {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestLinkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSecret(t)
		host := rapid.StringN(1, 60, 200).Draw(t, "host")
		port := rapid.IntRange(1, 65535).Draw(t, "port")
		tg, tme := s.Link(host, port)
		for _, text := range []string{tg, tme} {
			gotHost, gotPort, got, err := ParseLink(text)
			if err != nil || gotHost != host || gotPort != port || got != s {
				t.Fatalf("%s: %q, %d, %v, %v", text, gotHost, gotPort, got, err)
			}
			u, err := url.Parse(text) // the standard library reads the same
			if err != nil || u.Query().Get("server") != host || u.Query().Get("secret") != s.Text() {
				t.Fatalf("%s: %v", text, err)
			}
		}
	})
}

func FuzzParseLink(f *testing.F) {
	for _, v := range load(f) {
		f.Add("tg://proxy?server=a.org&port=443&secret=" + v.Text)
		f.Add("https://t.me/proxy?server=%3a%3a1&port=1&secret=" + v.Text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, port, s, err := ParseLink(text)
		if err != nil {
			return
		}
		tg, _ := s.Link(host, port)
		gotHost, gotPort, got, err := ParseLink(tg)
		if len(tg) <= maxLinkSize && (err != nil || gotHost != host || gotPort != port || got != s) {
			t.Errorf("%s: %q, %d, %v, %v", tg, gotHost, gotPort, got, err)
		}
	})
}
