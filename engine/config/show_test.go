package config

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// shown returns what Show makes of args, environ and a file, and the settings themselves.
func shown(text string, environ []string, args ...string) (string, *Settings, error) {
	s := Default()
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	fs.SortFlags = false
	Register(fs, s)
	if err := fs.Parse(args); err != nil {
		return "", nil, err
	}
	FromEnv(fs, environ)
	FromFile(fs, s, "/etc/epoxy/epoxy.toml", []byte(text))
	if err := s.Validate(); err != nil {
		return "", nil, err
	}
	return Show(fs, s), s, nil
}

// bare returns s without what says where it came from.
func bare(s *Settings) Settings {
	b := *s
	b.source, b.mistakes, b.File = nil, nil, ""
	b.Listen, b.Secrets = append([]Listen(nil), s.Listen...), append([]NamedSecret(nil), s.Secrets...)
	for i := range b.Listen {
		b.Listen[i].own = nil
	}
	for i := range b.Secrets {
		b.Secrets[i].own = nil
	}
	return b
}

// comeBack fails unless what Show printed, with the secrets put back, gives the same settings.
func comeBack(t interface{ Errorf(string, ...any) }, text string, s *Settings, secrets ...string) {
	text = strings.NewReplacer(secrets...).Replace(text)
	again, err := fromFile(text, nil)
	if err != nil {
		t.Errorf("what was shown is refused: %v\n%s", err, text)
		return
	}
	if got, want := bare(again), bare(s); !reflect.DeepEqual(got, want) {
		t.Errorf("what was shown gives\n%+v, want\n%+v\nfrom\n%s", got, want, text)
	}
}

// What is shown is a file that gives the same settings, but for masked secrets.
func TestShowComesBack(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"--listen", "unix:/run/epoxy.sock", "--listen", "b=[::1]:443?allow=tls&front=a.example=none,127.0.0.1:1&split-hello=on&tag=" + testTag},
		{"--dc=2=127.0.0.1:443,[::1]:443", "--dc", "-4=127.0.0.1:444", "--public-ip", "203.0.113.7", "--public-ip=2001:db8::1", "--public-ip-lookup=http://a.example/?b=c"},
		{"--keepalive=off", "--admin=unix:@door", "--admin-mode=0660", "--log-level=error", "--fwmark=0xff", "--memory=512M", "--upstream-rcvbuf=4K", "--idle-timeout=90s", "--prefer=only-v6", "--bind-v6=::1"},
		{"--state-dir=/a \"b\"\\c\td\x7f\u00e4", "--interface=1", "--tag-optional", "--tag=" + testTag, "--handshake-mss=92", "--proxy-protocol=10.0.0.0/8,::1"},
	} {
		text, s, err := shown("", nil, args...)
		if err != nil {
			t.Errorf("%q: %v", args, err)
			continue
		}
		comeBack(t, text, s)
	}
	text, s, err := shown(example, []string{"EPOXY_UPSTREAM_PROXY=socks5://bob:hunter22@127.0.0.1:1080,http://127.0.0.1:81", "EPOXY_ADMIN_TOKEN=correct-horse-battery"})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{testKey, "00112233445566778899aabbccddeeff", "hunter22", "correct-horse"} {
		if strings.Contains(text, secret) {
			t.Errorf("it shows %s:\n%s", secret, text)
		}
	}
	comeBack(t, text, s, `"plain:`+testKey[:4]+`..."`, `"`+testKey+`"`, `"plain:0011..."`, `"00112233445566778899aabbccddeeff"`,
		"socks5://...@", "socks5://bob:hunter22@", `admin_token = "***"`, `admin_token = "correct-horse-battery"`)
	for _, want := range []string{
		"max_clients = 1000  # epoxy.toml:2\n", "handshake_timeout = \"9s\"  # epoxy.toml:3\n", `idle_timeout = "20m"  # default`,
		`dc = ["2=127.0.0.1:443,[::1]:443", "4=127.0.0.1:444"]  # epoxy.toml:7`, `upstream_proxy = ["socks5://...@127.0.0.1:1080", "http://127.0.0.1:81"]  # EPOXY_UPSTREAM_PROXY`,
		"[[port]]  # epoxy.toml:9\nname = \"main\"\n", "[[secret]]  # epoxy.toml:22\nname = \"alice\"\n", "[[secret]]  # epoxy.toml:30\nname = \"bob\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// The user and password of no URL are shown.
func TestShowWithoutPasswords(t *testing.T) {
	text, _, err := shown("", nil, "--telegram-secret=https://eve:hunter22@a.example/b?c=d@e", "--public-ip-lookup=http://hunter22@b.example", "--telegram-config=/a@b")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"https://...@a.example/b?c=d@e"`, `["http://...@b.example"]`, `"/a@b"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, "hunter22") {
		t.Errorf("a password is shown:\n%s", text)
	}
}

// Any text that a setting takes comes back through a file.
func TestQuotedComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := rapid.String().Filter(func(text string) bool { return !strings.ContainsRune(text, 0) }).Draw(t, "dir")
		text, s, err := shown("", nil, "--state-dir="+dir, "--sni-salt="+dir, "--allow=tls")
		if err != nil {
			t.Fatal(err)
		}
		comeBack(t, text, s, `sni_salt = "***"`, "sni_salt = "+quoted(dir))
	})
}

// Every setting is shown, and every one has its place in the reference.
func TestEverySettingIsShown(t *testing.T) {
	text, s, err := shown("", nil, "--secret="+testKey)
	if err != nil {
		t.Fatal(err)
	}
	reference := Reference()
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	Register(fs, Default())
	_, types, _ := strings.Cut(reference, "\n## Types\n")
	types, _, _ = strings.Cut(types, "\n## ")
	explained := func(v *value) {
		for _, word := range regexp.MustCompile(`[A-Z]+`).FindAllString(v.kind, -1) {
			if v.choices == nil && !regexp.MustCompile(`(?m)^\| [^|]*\b`+word+`\b`).MatchString(types) {
				t.Errorf("--%s takes %s, which reference.md does not explain below Types", v.name, word)
			}
		}
	}
	fs.VisitAll(func(f *pflag.Flag) {
		v := ownValue(f)
		explained(v)
		if v.section == "" {
			t.Errorf("--%s has no heading: register it below r.part(...)", f.Name)
		}
		if !v.hidden && v.show == nil {
			t.Errorf("--%s cannot be shown", f.Name)
		}
		want := "\n" + fileKey(f.Name) + " = "
		switch {
		case v.flagOnly:
			return
		case f.Name == "listen":
			want = "\n[[port]]"
		case f.Name == "secret":
			want = "\n[[secret]]"
		}
		if !strings.Contains(text, want) {
			t.Errorf("--%s is not shown", f.Name)
		}
		if !strings.Contains(reference, "| `--"+f.Name+"` | ") {
			t.Errorf("--%s is not in the reference", f.Name)
		}
	})
	for what, w := range map[string]words{"port": s.Listen[0].portWords(s), "secret": s.Secrets[0].secretWords(s)} {
		for name, v := range w {
			explained(v)
			if !v.hidden && v.show == nil {
				t.Errorf("the setting %s of a %s cannot be shown", name, what)
			}
			if !strings.Contains(reference, "| `"+name+"` | ") {
				t.Errorf("the setting %s of a %s is not in the reference", name, what)
			}
		}
	}
	if strings.Contains(reference, "{") || reference != Reference() {
		t.Error("the reference has a hole, or is another each time")
	}
}

// A shell completes the words of a setting, files and directories.
func TestChoices(t *testing.T) {
	fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
	s := Default()
	Register(fs, s)
	fs.Bool("other", false, "")
	for name, want := range map[string]string{"pin": "auto on off", "log-level": "debug info warn error", "max-clients": "", "config": "files", "state-dir": "dirs", "telegram-secret": "files", "other": ""} {
		words, files, dirs := Choices(fs.Lookup(name))
		got := strings.Join(words, " ")
		if files {
			got += "files"
		}
		if dirs {
			got += "dirs"
		}
		if got != want {
			t.Errorf("--%s completes %q, want %q", name, got, want)
		}
	}
	fs.VisitAll(func(f *pflag.Flag) {
		words, _, _ := Choices(f)
		for _, w := range words {
			if _ = f.Value.Set(w); f.Value.String() != w {
				t.Errorf("--%s %s gives %s", f.Name, w, f.Value)
			}
		}
	})
	if len(s.mistakes) != 0 {
		t.Errorf("offered words are refused: %v", s.mistakes)
	}
}
