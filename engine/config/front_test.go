package config

import (
	"strings"
	"testing"
)

func TestParseFront(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:8443":                 "127.0.0.1:8443",
		"[::1]:443":                      "[::1]:443",
		"[::ffff:10.0.0.1]:443":          "10.0.0.1:443",
		"Web.Example.com.:443":           "web.example.com:443",
		"www.Example.com=127.0.0.1:8443": "www.example.com=127.0.0.1:8443",
		"www.example.com=none":           "www.example.com=none",
		"none":                           "none",
		"unix:/run/web.sock":             "unix:/run/web.sock",
		"www.example.com=unix:@web":      "www.example.com=unix:@web",
	} {
		f, err := ParseFront(text)
		if err != nil || f.String() != want {
			t.Errorf("%q: %v %v, want %s", text, f, err, want)
			continue
		}
		if again, err := ParseFront(f.String()); err != nil || again != f {
			t.Errorf("%q comes back as %v %v", f, again, err)
		}
	}
	for _, text := range []string{
		"", "web.example.com", ":443", "web.example.com:0", "web.example.com:65536", "0.0.0.0:443", "[::]:443", "ff02::1:443",
		"unix:web.sock", "unix:", "a b:443", "www example=127.0.0.1:1", "https://web.example.com", "::1:443", "a=b=c:1",
	} {
		if f, err := ParseFront(text); err == nil {
			t.Errorf("%q was taken as %v", text, f)
		}
	}
}

// What does not fit together is named with its flag and its cure.
func TestFrontMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"--front=127.0.0.1:443 --listen=127.0.0.1:443":                   "is this proxy itself",
		"--front=unix:/a --listen=unix:/a":                               "is this proxy itself",
		"--front=127.0.0.1:1 --front=127.0.0.1:2":                        "another front is for everybody",
		"--front=www.example.com=none --front=www.example.com=1.1.1.1:1": "the same domain",
		"--front=127.0.0.1:1 --allow=secure":                             "add tls to --allow",
		"--sni-salt=x":                                                   "write --allow tls",
		"--front-measure=1s":                                             "write 10m or more",
		"--front-silence=0":                                              "is no time at all",
		"--proxy-protocol=10.0.0.1/8":                                    "the network is 10.0.0.0/8",
		"--handshake-mss=20":                                             "88 to 1460",
		"--replay-memory=1K":                                             "1 MiB to 64 GiB",
		"--queue-limit=64K":                                              "128 KiB to 1 GiB",
	} {
		if _, err := load(t, strings.Fields(args), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// A front for all ports is for those that look like TLS.
func TestFrontWhereTLS(t *testing.T) {
	s, err := load(t, strings.Fields("--front=127.0.0.1:8443 --listen=a=:443 --listen=b=:444?allow=secure"), nil)
	if err != nil || len(s.Listen[0].Fronts) != 1 || len(s.Listen[1].Fronts) != 0 {
		t.Errorf("%v: %v", err, s.Listen)
	}
}
