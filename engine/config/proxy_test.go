package config

import (
	"fmt"
	"strings"
	"testing"

	"epoxy/upstream/egress"
)

func TestParseProxy(t *testing.T) {
	long := strings.Repeat("x", 256)
	for text, want := range map[string]string{
		"socks5://127.0.0.1:1080":           "socks5 127.0.0.1:1080   ",
		"SOCKS5://[2001:db8::1]:1080/":      "socks5 [2001:db8::1]:1080   ",
		"socks5://[::ffff:192.0.2.1]:1":     "socks5 192.0.2.1:1   ",
		"socks5://localhost:9050":           "socks5 127.0.0.1:9050   ",
		"http://10.0.0.1:3128":              "http 10.0.0.1:3128   ",
		"socks5://al:s%2Cc%40t@192.0.2.1:1": "socks5 192.0.2.1:1  al s,c@t",
		"http://al@192.0.2.1:1":             "http 192.0.2.1:1  al ",
		"http://al:a:b@192.0.2.1:1":         "http 192.0.2.1:1  al a:b",
		"socks5:///run/proxy.sock":          "socks5 invalid AddrPort /run/proxy.sock  ",
		"socks5://al:pw@/run/proxy.sock":    "socks5 invalid AddrPort /run/proxy.sock al pw",
	} {
		p, err := parseProxy(text)
		if got := fmt.Sprint(p.Kind, " ", p.Addr, " ", p.Path, " ", p.User, " ", p.Password); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "neither a socks5 nor", "127.0.0.1:1080": "not a URL", "socks4://127.0.0.1:1": "neither a socks5 nor", "https://127.0.0.1:1": "neither a socks5 nor",
		"socks5://proxy.example:1080": "names are not looked up", "socks5://127.0.0.1": "no IP address with a port", "socks5://": "no IP address",
		"socks5://:1080": "no IP address", "socks5:///": "no IP address", "socks5:x": "no IP address", "socks5://127.0.0.1:0": "nobody can connect to",
		"socks5://0.0.0.0:1": "nobody can connect to", "socks5://127.0.0.1:1/x": "behind the address", "http://127.0.0.1:1/?a": "behind the address",
		"socks5://u@127.0.0.1:1": "1 to 255 bytes each", "socks5://:p@127.0.0.1:1": "1 to 255 bytes each", "socks5://" + long + ":p@127.0.0.1:1": "1 to 255 bytes each",
		"http://:p@127.0.0.1:1": "without a colon", "http://a%3ab:p@127.0.0.1:1": "without a colon", "http://a:" + long + "@127.0.0.1:1": "longer than 255",
		"socks5:///" + long: "107 bytes", "socks5://%zz@127.0.0.1:1": "not a URL",
	} {
		p, err := parseProxy(text)
		if p != (egress.Proxy{}) || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q is %v, %v; want %q", text, p, err, want)
		}
	}
}

// The flag is a list, its help has no default to show, and no mistake tells a password.
func TestUpstreamProxy(t *testing.T) {
	s, err := load(t, nil, []string{"EPOXY_UPSTREAM_PROXY=socks5://bob:hunter2@127.0.0.1:1080,http://127.0.0.1:3128"})
	if err != nil || len(s.UpstreamProxies) != 2 || s.UpstreamProxies[0].Password != "hunter2" || s.UpstreamProxies[1].Kind != egress.HTTP {
		t.Fatalf("%v, %v", s.UpstreamProxies, err)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", s.UpstreamProxies[0], s.UpstreamProxies, s.UpstreamProxies, s.UpstreamProxies[0]); strings.Contains(text, "bob") || strings.Contains(text, "hunter2") {
		t.Error(text)
	}
	for _, text := range []string{
		"socks5://bob:hunter2@proxy.example:1080", "ftp://bob:hunter2@127.0.0.1:1", "socks5://bob:hunter2@127.0.0.1:1/x", "bob:hunter2@127.0.0.1:1",
		"socks5://bob:hunter2@127.0.0.1:70000", "socks5://bob:hunter2@ /", "socks5://bob:hunter2@" + strings.Repeat("/x", 99),
	} {
		_, err := load(t, []string{"--upstream-proxy", text}, nil)
		if err == nil || strings.Contains(err.Error(), "bob") || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "--upstream-proxy: ") {
			t.Errorf("%s: %v", text, err)
		}
	}
	var many []string
	for range egress.MaxProxies + 1 {
		many = append(many, "--upstream-proxy", "socks5://127.0.0.1:1")
	}
	if s, err := load(t, many, nil); err == nil || len(s.UpstreamProxies) != egress.MaxProxies {
		t.Errorf("%d proxies, %v", len(s.UpstreamProxies), err)
	}
	for args, good := range map[string]bool{
		"--upstream-proxy http://127.0.0.1:1":                                                                                 true,
		"--upstream-proxy http://127.0.0.1:1 --upstream middle":                                                               false,
		"--upstream-proxy http://127.0.0.1:1 --tag " + testTag:                                                                false,
		"--upstream-proxy http://127.0.0.1:1 --upstream-proxy socks5://127.0.0.1:1 --tag " + testTag + " --tag-optional=true": true,
	} {
		if _, err := load(t, strings.Fields(args), nil); (err == nil) != good {
			t.Errorf("%s: %v", args, err)
		}
	}
}
