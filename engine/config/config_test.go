package config

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"epoxy/codec"
)

// load reads args and environ into settings and validates.
func load(t *testing.T, args, environ []string) (*Settings, error) {
	t.Helper()
	s := Default()
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	fs.SetOutput(io.Discard)
	Register(fs, s)
	if err := fs.Parse(args); err != nil {
		t.Fatalf("parsing %q: %v", args, err)
	}
	FromEnv(fs, environ)
	return s, s.Validate()
}

func TestDefaultsAreValid(t *testing.T) {
	s, err := load(t, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Listen, s.Allow, s.Upstream, s.Prefer, s.Pin, s.Poller, s.Admin, s.DefaultDC, s.LogLevel, s.LogFormat); got !=
		"[port1=:1443] secure,tls auto prefer-v4 auto hybrid 127.0.0.1:8888 2 INFO text" {
		t.Errorf("defaults are %s", got)
	}
}

// Every flag takes its value to its field, and so does its variable.
func TestEveryFlag(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range []struct {
		flag, text, want string
		get              func(*Settings) any
	}{
		{"config", "/etc/epoxy.toml", "/etc/epoxy.toml", func(s *Settings) any { return s.File }},
		{"listen", "a=0.0.0.0:443", "[a=0.0.0.0:443]", func(s *Settings) any { return s.Listen }},
		{"secret", "bob=dd" + testKey, "bob dd", func(s *Settings) any { return s.Secrets[0].Name + " " + s.Secrets[0].Secret.Kind.String() }},
		{"domain", "Example.com", "example.com", func(s *Settings) any { return s.Domain }},
		{"allow", "classic,secure", "classic,secure", func(s *Settings) any { return s.Allow }},
		{"front", "WWW.example.com=Web.Example.org:8443", "[www.example.com=web.example.org:8443]", func(s *Settings) any { return s.Fronts }},
		{"front-proxy-protocol", "v2", "v2", func(s *Settings) any { return s.FrontProxy }},
		{"front-silence", "9s", "9s", func(s *Settings) any { return s.FrontSilence }},
		{"front-idle", "61s", "1m1s", func(s *Settings) any { return s.FrontIdle }},
		{"front-time", "11m", "11m0s", func(s *Settings) any { return s.FrontTime }},
		{"front-max", "77", "77", func(s *Settings) any { return s.FrontMax }},
		{"front-measure", "1h", "1h0m0s", func(s *Settings) any { return s.FrontMeasure }},
		{"front-delay", "off", "off", func(s *Settings) any { return s.FrontDelay }},
		{"record-sizing", "drs", "drs", func(s *Settings) any { return s.Records }},
		{"split-hello", "true", "true", func(s *Settings) any { return s.SplitHello }},
		{"handshake-mss", "92", "92", func(s *Settings) any { return s.HandshakeMSS }},
		{"proxy-protocol", "10.0.0.0/8,::1", "[10.0.0.0/8 ::1/128]", func(s *Settings) any { return s.ProxyFrom }},
		{"proxy-protocol-timeout", "1s", "1s", func(s *Settings) any { return s.ProxyTimeout }},
		{"sni-salt", "pepper", "pepper", func(s *Settings) any { return s.SNISalt }},
		{"replay-memory", "1G", "1073741824", func(s *Settings) any { return s.ReplayMemory }},
		{"list", "bad block-drop /etc/bad.netset", "[bad block-drop /etc/bad.netset]", func(s *Settings) any { return s.Lists }},
		{"list-refresh", "2h", "2h0m0s", func(s *Settings) any { return s.ListRefresh }},
		{"table-max", "5000", "5000", func(s *Settings) any { return s.TableMax }},
		{"queue-limit", "4M", "4194304", func(s *Settings) any { return s.QueueLimit }},
		{"upstream", "direct", "direct", func(s *Settings) any { return s.Upstream }},
		{"dc", "2=1.2.3.4:443,5.6.7.8:80", "map[2:[1.2.3.4:443 5.6.7.8:80]]", func(s *Settings) any { return s.DC }},
		{"default-dc", "4", "4", func(s *Settings) any { return s.DefaultDC }},
		{"prefer", "only-v6", "only-v6", func(s *Settings) any { return s.Prefer }},
		{"tag", "0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcdef", func(s *Settings) any { return showTag(s.Tag) }},
		{"tag-optional", "true", "true true", func(s *Settings) any { return fmt.Sprint(s.TagOptional, s.Fallback()) }},
		{"telegram-secret", "/etc/secret", "/etc/secret", func(s *Settings) any { return s.TelegramSecret }},
		{"telegram-config", "http://127.0.0.1/c", "http://127.0.0.1/c", func(s *Settings) any { return s.TelegramConfig }},
		{"telegram-config-v6", "file:///c6", "file:///c6", func(s *Settings) any { return s.TelegramConfigV6 }},
		{"public-ip", "203.0.113.7", "203.0.113.7", func(s *Settings) any { return s.PublicV4 }},
		{"public-ip-lookup", "http://a.example/", "[http://a.example/]", func(s *Settings) any { return s.PublicLookup }},
		{"migrate", "never", "never", func(s *Settings) any { return s.Migrate }},
		{"filter-errors", "always", "always", func(s *Settings) any { return s.FilterErrors }},
		{"middle-v6", "on", "true", func(s *Settings) any { return s.MiddleV6 }},
		{"policy", "max_connections port,client_ip 2", "[max_connections client_ip,port 2]", func(s *Settings) any { return s.Policy }},
		{"accept-rate", "1000/s", "1000", func(s *Settings) any { return s.AcceptRate }},
		{"accept-rate-network", "10", "10", func(s *Settings) any { return s.AcceptRateNetwork }},
		{"secret-drain", "0", "0s", func(s *Settings) any { return s.SecretDrain }},
		{"address-window", "5m", "5m0s", func(s *Settings) any { return s.AddressWindow }},
		{"memory", "4G", "4294967296", func(s *Settings) any { return s.Memory }},
		{"loops", "3", "3", func(s *Settings) any { return s.Loops }},
		{"pin", "on", "on", func(s *Settings) any { return s.Pin }},
		{"poller", "gnet", "gnet", func(s *Settings) any { return s.Poller }},
		{"max-clients", "1000", "1000", func(s *Settings) any { return s.MaxClients }},
		{"handshake-timeout", "11s", "11s", func(s *Settings) any { return s.HandshakeTimeout }},
		{"first-byte-timeout", "61s", "1m1s", func(s *Settings) any { return s.FirstByteTimeout }},
		{"idle-timeout", "21m", "21m0s", func(s *Settings) any { return s.IdleTimeout }},
		{"stall-timeout", "16s", "16s", func(s *Settings) any { return s.StallTimeout }},
		{"compact-after", "31s", "31s", func(s *Settings) any { return s.CompactAfter }},
		{"drain", "0", "0s", func(s *Settings) any { return s.Drain }},
		{"clock-window", "300", "5m0s", func(s *Settings) any { return s.ClockWindow }},
		{"state-dir", "/tmp/x", "/tmp/x", func(s *Settings) any { return s.StateDir }},
		{"admin", "unix:/run/a", "unix:/run/a", func(s *Settings) any { return s.Admin }},
		{"admin-token", "0123456789abcdef", "true ...", func(s *Settings) any { return fmt.Sprint(s.AdminToken == "0123456789abcdef", " ", s.AdminToken) }},
		{"admin-mode", "0660", "-rw-rw----", func(s *Settings) any { return s.AdminMode }},
		{"log-level", "debug", "DEBUG", func(s *Settings) any { return s.LogLevel }},
		{"log-sample", "7", "7", func(s *Settings) any { return s.LogSample }},
		{"log-addresses", "full", "full", func(s *Settings) any { return s.LogAddresses }},
		{"user", "nobody:www-data", "nobody:www-data", func(s *Settings) any { return s.User }},
		{"log-format", "json", "json", func(s *Settings) any { return s.LogFormat }},
		{"bind-v4", "10.0.0.1", "10.0.0.1", func(s *Settings) any { return s.BindV4 }},
		{"bind-v6", "2001:db8::1", "2001:db8::1", func(s *Settings) any { return s.BindV6 }},
		{"interface", "eth0", "eth0", func(s *Settings) any { return s.Interface }},
		{"fwmark", "0x10", "16", func(s *Settings) any { return s.Mark }},
		{"backlog", "511", "511", func(s *Settings) any { return s.Backlog }},
		{"defer-accept", "5s", "5s", func(s *Settings) any { return s.DeferAccept }},
		{"notsent-lowat", "64K", "65536", func(s *Settings) any { return s.NotSentLowat }},
		{"user-timeout", "90s", "1m30s", func(s *Settings) any { return s.UserTimeout }},
		{"keepalive", "off", "off", func(s *Settings) any { return s.Keepalive }},
		{"upstream-rcvbuf", "0", "0", func(s *Settings) any { return s.UpstreamRcvbuf }},
		{"upstream-proxy", "socks5://a:b@127.0.0.1:1080", "[socks5://...@127.0.0.1:1080]", func(s *Settings) any { return s.UpstreamProxies }},
		{"back", "127.0.0.1:9", "[127.0.0.1:9]", func(s *Settings) any { return s.Backs }},
		{"back-cert", "a", "a", func(s *Settings) any { return s.BackFiles.Cert }},
		{"back-key", "b", "b", func(s *Settings) any { return s.BackFiles.Key }},
		{"back-ca", "c", "c", func(s *Settings) any { return s.BackFiles.CA }},
		{"back-name", "berlin", "berlin", func(s *Settings) any { return s.BackName }},
		{"serve-back", "127.0.0.1:9", "127.0.0.1:9", func(s *Settings) any { return s.ServeBack }},
		{"serve-back-cert", "a", "a", func(s *Settings) any { return s.ServeBackFiles.Cert }},
		{"serve-back-key", "b", "b", func(s *Settings) any { return s.ServeBackFiles.Key }},
		{"serve-back-ca", "c", "c", func(s *Settings) any { return s.ServeBackFiles.CA }},
		{"serve-back-allow", "paris", "[paris]", func(s *Settings) any { return s.ServeBackAllow }},
		{"serve-back-streams", "7", "7", func(s *Settings) any { return s.ServeBackStreams }},
		{"serve-back-opens", "8", "8", func(s *Settings) any { return s.ServeBackOpens }},
		{"link-insecure-vpn", "true", "true", func(s *Settings) any { return s.LinkInsecure }},
		{"watch", "true", "true", func(s *Settings) any { return s.Watch }},
		{"show-secrets", "true", "true", func(s *Settings) any { return s.ShowSecrets }},
		{"public-host", "p.example.com", "p.example.com", func(s *Settings) any { return s.PublicHost }},
		{"public-port", "443", "443", func(s *Settings) any { return s.PublicPort }},
	} {
		var more []string
		switch c.flag {
		case "tag-optional": // means nothing without a tag
			more = []string{"--tag=" + testTag}
		case "back": // means nothing without the way
			more = []string{"--upstream=back"}
		case "back-key", "back-ca", "serve-back-key", "serve-back-ca": // mean nothing without a certificate
			more = []string{"--" + c.flag[:strings.LastIndexByte(c.flag, '-')] + "-cert=x"}
		case "watch": // means nothing without a file
			more = []string{"--config=/etc/epoxy.toml"}
		case "sni-salt": // is for fake-TLS alone
			more = []string{"--allow=tls"}
		}
		byFlag, err1 := load(t, append(more, "--"+c.flag+"="+c.text), nil)
		byEnv, err2 := load(t, more, []string{Variable(c.flag) + "=" + c.text})
		if err := errors.Join(err1, err2); err != nil {
			t.Errorf("--%s %s: %v", c.flag, c.text, err)
			continue
		}
		if got := fmt.Sprint(c.get(byFlag)); got != c.want {
			t.Errorf("--%s %s gives %s, want %s", c.flag, c.text, got, c.want)
		}
		if got := fmt.Sprint(c.get(byEnv)); got != c.want {
			t.Errorf("%s=%s gives %s, want %s", Variable(c.flag), c.text, got, c.want)
		}
		tested[c.flag] = true
	}
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	Register(fs, Default())
	fs.VisitAll(func(f *pflag.Flag) {
		if !tested[f.Name] {
			t.Errorf("--%s is not in this table", f.Name)
		}
		if f.Usage == "" || f.Value.Type() == "" {
			t.Errorf("--%s has no help", f.Name)
		}
	})
}

// A flag beats its variable, a variable beats the default; lists are replaced, not added to.
func TestPrecedence(t *testing.T) {
	env := []string{
		"PATH=/bin", "EPOXY_LISTEN=0.0.0.0:1,[::]:2\n unix:/x ,", "EPOXY_LOOPS=7", "EPOXY_DRAIN=", "EPOXY_SHOW_SECRETS=yes",
		"EPOXY_DC=2=1.2.3.4:443,5.6.7.8:443,-2=9.9.9.9:80\n3=[::1]:1",
	}
	s, err := load(t, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Listen, s.Loops, s.Drain, s.ShowSecrets, s.DC); got !=
		"[port1=0.0.0.0:1 port2=[::]:2 port3=unix:/x] 7 30s true map[-2:[9.9.9.9:80] 2:[1.2.3.4:443 5.6.7.8:443] 3:[[::1]:1]]" {
		t.Errorf("from the environment: %s", got)
	}
	s, err = load(t, []string{"--listen", ":5", "--listen", "b=127.0.0.1:6", "--loops=2", "--show-secrets=false", "--dc", "4=1.1.1.1:1"}, env)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Listen, s.Loops, s.ShowSecrets, s.DC); got != "[port1=:5 b=127.0.0.1:6] 2 false map[4:[1.1.1.1:1]]" {
		t.Errorf("from flags: %s", got)
	}
}

func TestUnknownVariables(t *testing.T) {
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	Register(fs, Default())
	got := FromEnv(fs, []string{"EPOXY_LISTN=:443", "EPOXY_DOMAIN=a.example", "EPOXY_A", "HOME=/"})
	if want := []string{"EPOXY_A", "EPOXY_LISTN"}; !slices.Equal(got, want) {
		t.Errorf("unknown are %v, want %v", got, want)
	}
}

// Each wrong flag is told with its name, its value and a cure, whether it came by flag or variable.
func TestWrongValues(t *testing.T) {
	for flag, text := range map[string]string{
		"listen": "443", "allow": "dd", "domain": "a b c d", "upstream": "sideways", "dc": "2=example.com:443", "default-dc": "0", "prefer": "v4",
		"loops": "many", "pin": "maybe", "max-clients": "-1", "handshake-timeout": "0", "first-byte-timeout": "0s", "idle-timeout": "x",
		"stall-timeout": "-5s", "compact-after": "soon", "drain": "1y", "clock-window": "0", "admin": "0.0.0.0:8888", "admin-mode": "1777", "log-level": "loud",
		"log-format": "xml", "bind-v4": "::1", "bind-v6": "10.0.0.1", "interface": "not an interface", "fwmark": "-1", "backlog": "0",
		"defer-accept": "1500ms", "notsent-lowat": "big", "user-timeout": "?", "keepalive": "60s", "upstream-rcvbuf": "1G",
		"tag": "abc", "tag-optional": "perhaps", "telegram-secret": "ftp://a/b", "telegram-config": "https:///x", "telegram-config-v6": "file://x",
		"public-ip": "0.0.0.0", "public-ip-lookup": "ident.me", "migrate": "soon", "filter-errors": "on", "middle-v6": "ok", "memory": "1M",
		"show-secrets": "perhaps", "public-host": "a:1", "public-port": "65536",
	} {
		for where, err := range map[string]error{
			"--" + flag:    second(load(t, []string{"--" + flag + "=" + text}, nil)),
			Variable(flag): second(load(t, nil, []string{Variable(flag) + "=" + text})),
		} {
			m, ok := errors.AsType[*Mistake](err)
			if !ok || m.Where != where || m.Problem == "" || !strings.HasPrefix(err.Error(), where+" \"") {
				t.Errorf("%s=%s: %v", where, text, err)
				continue
			}
			if m.Cure == "" && !strings.Contains(m.Problem, "from ") {
				t.Errorf("no cure in %v", err)
			}
		}
	}
}

func second(_ *Settings, err error) error { return err }

// What does not fit together is told, all of it at once.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		args string
		want []string // one part of each line
	}{
		{"--upstream direct --tag " + testTag, []string{`--tag "` + testTag + `": is never used with --upstream direct`}},
		{"--upstream middle --tag-optional", []string{"--tag-optional: there is no tag; add --tag"}},
		{"--middle-v6 --prefer only-v4", []string{"--middle-v6: is never used with --prefer only-v4"}},
		{"--upstream middle --prefer only-v6", []string{`--prefer "only-v6": middle proxies are used over IPv4 only; add --middle-v6`}},
		{"--prefer only-v6 --tag " + testTag, []string{`add --middle-v6`}},
		{"--listen a=:1 --listen a=:2", []string{`--listen "a=:2": another port has this name`}},
		{"--listen :1 --listen 0.0.0.0:1", []string{`--listen "0.0.0.0:1": is the same place as :1`}},
		{"--listen port2=:1 --listen :2", []string{"another port has this name"}},
		{"--secret a=" + testKey + " --secret a=dd" + strings.Repeat("ab", 16), []string{`--secret "a": another secret has this name`}},
		{"--secret a=" + testKey + " --secret b=dd" + testKey, []string{`--secret "b": has the same key as secret a`}},
		{"--allow tls --secret a=dd" + testKey, []string{`--secret "a": its links need secure, which --allow tls leaves out`}},
		{"--allow classic --secret ee" + testKey + hex.EncodeToString([]byte("a.example")), []string{`--secret "secret1": its links need tls`}},
		{"--bind-v4 10.0.0.1 --prefer only-v6", []string{"--bind-v4 \"10.0.0.1\": is never used"}},
		{"--bind-v6 ::1 --prefer only-v4", []string{"--bind-v6 \"::1\": is never used"}},
		{"--dc 2=1.2.3.4:443 --prefer only-v6", []string{`--dc "2": has no address`}},
		{"--listen 127.0.0.1:8888", []string{`--admin "127.0.0.1:8888": clients connect there`}},
		{"--listen x --loops y --admin 1.1.1.1:1 --tag-optional", []string{"--listen", "--loops", "--tag-optional", "--admin"}},
	} {
		_, err := load(t, strings.Fields(c.args), nil)
		lines := strings.Split(fmt.Sprint(err), "\n")
		if len(lines) != len(c.want) {
			t.Errorf("%s gives %d mistakes: %v", c.args, len(lines), err)
			continue
		}
		for i, line := range lines {
			if !strings.Contains(line, c.want[i]) {
				t.Errorf("%s: line %d is %q, want %q", c.args, i, line, c.want[i])
			}
		}
	}
	s, err := load(t, []string{"--secret=" + testKey, "--allow=classic", "--listen=:443", "--listen=127.0.0.1:443"}, nil)
	if err != nil || s.Secrets[0].Name != "secret1" || !s.Allow.Has(codec.Classic) {
		t.Errorf("good settings: %v", err)
	}
}

// No mistake and no print of the settings holds a byte of a secret, in any spelling.
func TestSecretsAreNotTold(t *testing.T) {
	raw, _ := hex.DecodeString(testKey)
	bad := []string{testKey + "z", "dd" + testKey + "00", "ee" + testKey, "a=" + testKey[:30], base64.StdEncoding.EncodeToString(raw[:15]), "=" + testKey, "x y=" + testKey}
	texts := []string{}
	for _, b := range bad {
		s, err := load(t, []string{"--secret", b}, nil)
		if err == nil {
			t.Errorf("a bad secret of %d characters is taken", len(b))
		}
		_, envErr := load(t, nil, []string{"EPOXY_SECRET=" + b})
		texts = append(texts, fmt.Sprint(err, envErr), fmt.Sprintf("%+v %#v", s.mistakes, err))
	}
	s, err := load(t, []string{"--secret", "n=" + testKey, "--secret", "n=dd" + testKey, "--allow", "tls"}, nil)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("settings", "settings", s, "err", err)
	slog.New(slog.NewTextHandler(&log, nil)).Info("settings", "settings", s.Secrets, "err", err)
	texts = append(texts, fmt.Sprint(err), fmt.Sprintf("%v %+v %#v", s.Secrets, s.Secrets, s.Secrets), log.String())
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	s.Secrets = append(s.Secrets, s.Secrets...)
	Register(fs, s)
	texts = append(texts, fs.FlagUsages(), fs.Lookup("secret").Value.String())
	for _, text := range texts {
		for _, leak := range leaks(raw) {
			if strings.Contains(text, leak) {
				t.Fatalf("a secret shows in %q", text)
			}
		}
	}
}

// leaks returns pieces of a key that must not show, in hex, base64 and as Go prints bytes.
func leaks(key []byte) []string {
	var out []string
	text := hex.EncodeToString(key)
	for i := 0; i+8 <= len(text); i += 4 {
		out = append(out, text[i:i+8], strings.ToUpper(text[i:i+8]))
	}
	for skip := range 3 {
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			out = append(out, e.EncodeToString(key[skip:])[:8])
		}
	}
	return append(out, strings.Trim(fmt.Sprintf("%d", key[2:6]), "[]"), fmt.Sprintf("%#v", key[2:5])[8:20])
}

func TestDefaultStateDir(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		uid  int
		want string
	}{
		{map[string]string{"STATE_DIRECTORY": "/s", "HOME": "/h"}, 0, "/s"},
		{map[string]string{"HOME": "/root"}, 0, "/var/lib/epoxy"},
		{map[string]string{"HOME": "/h", "XDG_STATE_HOME": "/x"}, 1000, "/x/epoxy"},
		{map[string]string{"HOME": "/h"}, 1000, "/h/.local/state/epoxy"},
		{nil, 1000, ""},
	} {
		if got := DefaultStateDir(func(name string) string { return c.env[name] }, c.uid); got != c.want {
			t.Errorf("%v for %d is %q, want %q", c.env, c.uid, got, c.want)
		}
	}
}
