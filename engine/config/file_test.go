package config

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// fromFile returns the settings of args, environ and the file epoxy.toml with this text.
func fromFile(text string, environ []string, args ...string) (*Settings, error) {
	s := Default()
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	Register(fs, s)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	FromEnv(fs, environ)
	FromFile(fs, s, "/etc/epoxy/epoxy.toml", []byte(text))
	return s, s.Validate()
}

const example = `
max_clients = 1_000
handshake-timeout = "9s"
allow = ["tls", "secure"]
domain = "www.example.com"
split_hello = true
dc = ["2=127.0.0.1:443,[::1]:443", "4=127.0.0.1:444"]

[[port]]
name = "main"
listen = "127.0.0.1:443"
front = ["127.0.0.1:8443", "shop.example.com=none"]

[[port]]
listen = "127.0.0.1:444"
allow = "secure"
secrets = ["bob"]
split-hello = false
max_clients = 10
tag = "` + testTag + `"

[[secret]]
name = "alice"
secret = "` + testKey + `"
quota = "100G"
quota_reset = "monthly"
expires = 2027-01-31
max_addresses = 3

[[secret]]
name = "bob"
secret = "00112233445566778899aabbccddeeff"
enabled = false
`

// A file fills what neither flag nor variable said, ports and secrets with their own settings over the program's.
func TestFile(t *testing.T) {
	s, err := fromFile(example, []string{"EPOXY_HANDSHAKE_TIMEOUT=8s"}, "--max-clients=7")
	if err != nil {
		t.Fatal(err)
	}
	if s.MaxClients != 7 || s.HandshakeTimeout != 8*time.Second || s.Domain != "www.example.com" || len(s.DC) != 2 || len(s.DC[2]) != 2 {
		t.Errorf("settings are %d %v %q %v", s.MaxClients, s.HandshakeTimeout, s.Domain, s.DC)
	}
	if len(s.Listen) != 2 || len(s.Secrets) != 2 {
		t.Fatalf("%d ports, %d secrets", len(s.Listen), len(s.Secrets))
	}
	main, second := s.Listen[0], s.Listen[1]
	if main.String() != "main=127.0.0.1:443" || main.Allow.String() != "secure,tls" || len(main.Fronts) != 2 || !main.SplitHello || main.Tag != nil {
		t.Errorf("the first port is %v %+v", main, *main.PortSettings)
	}
	if second.Name != "port2" || second.Allow.String() != "secure" || len(second.Fronts) != 0 || second.SplitHello || second.PortMax != 10 ||
		second.Tag == nil || len(second.Secrets) != 1 || second.Domain != "www.example.com" {
		t.Errorf("the second port is %v %+v", second, *second.PortSettings)
	}
	alice, bob := s.Secrets[0], s.Secrets[1]
	if alice.Name != "alice" || alice.Quota != 100<<30 || alice.QuotaReset != ResetMonthly || alice.MaxAddresses != 3 || alice.Disabled ||
		!alice.Expires.Equal(time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)) || !bob.Disabled {
		t.Errorf("secrets are %+v %+v", alice.SecretSettings, bob.SecretSettings)
	}
	if !s.Tagged() || !s.Middle() {
		t.Error("a port's tag does not count")
	}
}

// Flags and variables for ports and secrets take the place of the file's.
func TestFileBelowFlags(t *testing.T) {
	s, err := fromFile(example, []string{"EPOXY_SECRET=carol=ffeeddccbbaa99887766554433221100?quota=1G&max-clients=2"}, "--listen=web=:8443?allow=tls,secure&max-clients=3")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Listen) != 1 || s.Listen[0].String() != "web=:8443" || s.Listen[0].PortMax != 3 || s.Listen[0].Allow.String() != "secure,tls" {
		t.Errorf("ports are %v", s.Listen)
	}
	if len(s.Secrets) != 1 || s.Secrets[0].Name != "carol" || s.Secrets[0].Quota != 1<<30 || s.Secrets[0].MaxClients != 2 {
		t.Errorf("secrets are %v", s.Secrets)
	}
}

// Every mistake is told with file and line, its cure, and never with a secret.
func TestFileMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"max_clints = 3":                                  `epoxy.toml:1 "max_clints": is not a setting; is max-clients meant?`,
		"\nmax_clients = 'many'":                          `epoxy.toml:2: max_clients "many": is not a number`,
		"max_clients = 3\nmax-clients = 4":                "epoxy.toml:2 \"max-clients\": stands here twice",
		"a = [":                                           "epoxy.toml",
		"\n\nmax_clients =\n":                             "is not TOML",
		"[port]\nlisten = ':443'":                         "write [[port]]",
		"[[ports]]\nlisten = ':443'":                      "is port meant?",
		"[[port]]\nname = 'a'":                            `epoxy.toml:1 "[[port]]": has no listen`,
		"[[port]]\nlisten = ':443'\nfrnt = '127.0.0.1:1'": `epoxy.toml:3: frnt: a port has no setting "frnt"; is front meant?`,
		"[[port]]\nlisten = ':443'\nfront = 'x'":          `epoxy.toml:3: front "x": is not a host`,
		"[[port]]\nlisten = 'x'":                          `epoxy.toml:1: listen "x": has no port`,
		"[[port]]\nlisten = ':443'\nsecrets = ['nobody']\n[[secret]]\nsecret = '" + testKey + "'": `serves a secret called "nobody"`,
		"[[secret]]\nsecret = 'zz" + testKey + "'":                                                "epoxy.toml:1: secret: is no secret",
		"[[secret]]\nsecret = '" + testKey + "'\nquota = -1":                                      "epoxy.toml:3: quota \"-1\": is not a number of bytes",
		"[[secret]]\nsecret = '" + testKey + "'\nexpires = 'soon'":                                "write 2027-01-31",
		"dc = { a = 1 }": "has a table",
	} {
		_, err := fromFile(text, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), testKey) {
			t.Errorf("%q: the error shows the secret: %v", text, err)
		}
		for m := range strings.SplitSeq(err.Error(), "\n") {
			if m == "" {
				t.Errorf("%q: an empty mistake in %v", text, err)
			}
		}
	}
	_, err := fromFile("max_clients = 'a'\nloops = 'b'\n", nil, "--pin=c")
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 3 {
		t.Errorf("not all mistakes are told: %v", err)
	}
}

// Any file is read to its end without a panic, and what is right and has no secret comes back from Show.
func FuzzFile(f *testing.F) {
	f.Add(example)
	f.Add("[[port]]\nlisten = ':443'\n[port.x]\na = 1")
	f.Add("a.b.c = [[1], {x = 2}]\n\"\" = ''")
	f.Add("state_dir = 'a'\n[[port]]\nlisten = 'unix:@x'\nfront = 'a.example=none'")
	f.Fuzz(func(t *testing.T, text string) {
		show, s, err := shown(text, nil)
		if err == nil && len(s.Secrets) == 0 && !strings.Contains(show, hiddenText) && !strings.Contains(show, "...@") {
			comeBack(t, show, s)
		}
	})
}
