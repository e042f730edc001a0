package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"epoxy/engine/config"
)

// write puts text into a new file and returns its path.
func write(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "epoxy.toml")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
	return path
}

const someFile = "max_clients = 10\nidle_timeout = \"3m\"\ndomain = \"file.example\"\n[[secret]]\nname = \"bob\"\nsecret = \"" + testKey + "\"\n"

// A changed file gives changed settings, the same flags and variables the same ones, and no two results share anything.
func TestLoadAgain(t *testing.T) {
	w := newWorld(t)
	w.environ = []string{"EPOXY_IDLE_TIMEOUT=4m", "EPOXY_LISTN=:1"}
	path := write(t, 0o600, someFile)
	args := []string{"--config", path, "--domain=flag.example", "--listen", ":4431"}
	first, warnings, err := w.load(args)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || warnings[0].value != "EPOXY_LISTN" {
		t.Errorf("warnings are %v", warnings)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(someFile, "10", "11", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	second, _, err := w.load(args)
	if err != nil {
		t.Fatal(err)
	}
	if first.MaxClients != 10 || second.MaxClients != 11 {
		t.Errorf("max_clients is %d, then %d", first.MaxClients, second.MaxClients)
	}
	for _, s := range []*config.Settings{first, second} {
		if s.IdleTimeout.String() != "4m0s" || s.Domain != "flag.example" || len(s.Listen) != 1 || s.Listen[0].Addr.Port() != 4431 || len(s.Secrets) != 1 || s.Secrets[0].Name != "bob" {
			t.Errorf("settings are %v %v %v %v", s.IdleTimeout, s.Domain, s.Listen, s.Secrets)
		}
	}
	if changes := config.Diff(first, second); len(changes) != 1 || changes[0].What != "max-clients" {
		t.Errorf("changes are %v", changes)
	}
	if err := os.WriteFile(path, []byte("max_clients = 'x'"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, _, err := w.load(args); err == nil || s != nil || !strings.Contains(err.Error(), "epoxy.toml:1") {
		t.Errorf("a wrong file gives %v, %v", s, err)
	}
}

// What run was called with is what load gets.
func TestTyped(t *testing.T) {
	for _, args := range [][]string{{"run", "--listen", ":1", "--secret", "run"}, {"--listen", ":1", "run", "--secret", "run"}} {
		w := newWorld(t)
		w.args = args
		if got := strings.Join(w.typed(w.root()), " "); got != "--listen :1 --secret run" {
			t.Errorf("%q: typed %q", args, got)
		}
	}
}

// A flag wins over its variable, that over the file, the file over the default, in every command that has settings.
func TestConfigPrecedence(t *testing.T) {
	path := write(t, 0o600, someFile)
	for _, c := range []struct {
		environ []string
		args    string
		want    []string
	}{
		{nil, "--config " + path, []string{"max_clients = 10  # epoxy.toml:1", `idle_timeout = "3m"  # epoxy.toml:2`, `drain = "30s"  # default`}},
		{[]string{"EPOXY_CONFIG=" + path}, "", []string{"max_clients = 10  # epoxy.toml:1"}},
		{[]string{"EPOXY_CONFIG=/nowhere"}, "--config=" + path, []string{"max_clients = 10  # epoxy.toml:1"}},
		{[]string{"EPOXY_MAX_CLIENTS=8"}, "--config " + path, []string{"max_clients = 8  # EPOXY_MAX_CLIENTS"}},
		{[]string{"EPOXY_MAX_CLIENTS=8"}, "--max-clients 7 --config " + path, []string{"max_clients = 7  # --max-clients"}},
		{nil, "", []string{"max_clients = 0  # default", "[[port]]  # default", "There is no secret"}},
	} {
		w := newWorld(t)
		w.environ = c.environ
		if code := w.do(append([]string{"config", "show"}, strings.Fields(c.args)...)...); code != exitOK {
			t.Errorf("%v %s: exit %d, %s", c.environ, c.args, code, w.errs)
		}
		for _, want := range c.want {
			if !strings.Contains(w.out.String(), want) {
				t.Errorf("%v %s: no %q in\n%s", c.environ, c.args, want, w.out)
			}
		}
	}
	w := newWorld(t)
	w.environ = []string{"EPOXY_MAX_CLIENTS=x"}
	if code := w.do("link", "--public-host", "h.example", "--config", path, "--max-clients=3"); code != exitOK || !strings.Contains(w.out.String(), "https://t.me/proxy?server=h.example&port=1443&secret=ee"+testKey) {
		t.Errorf("link: exit %d, %s %s", code, w.out, w.errs)
	}
}

// A file that cannot be read and one with mistakes end every command with code 2 and all that is wrong.
func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		path string
		want []string
	}{
		{filepath.Join(t.TempDir(), "none.toml"), []string{"none.toml\" cannot be read: no such file"}},
		{t.TempDir(), []string{"is a directory"}},
		{write(t, 0o600, "max_clients = 'x'\nloop = 1\n[[secret]]\nsecret = 'xx"+testKey+"'"), []string{`epoxy.toml:1: max_clients "x"`, `epoxy.toml:2 "loop": is not a setting; is loops meant?`, "epoxy.toml:3: secret: is no secret"}},
		{write(t, 0o600, "max_clients 3"), []string{"epoxy.toml:1: is not TOML"}},
	} {
		for _, cmd := range []string{"run", "link", "config check", "config show"} {
			w := newWorld(t)
			if code := w.do(append(strings.Fields(cmd), "--config", c.path)...); code != exitUsage {
				t.Errorf("%s --config %s: exit %d, %s", cmd, c.path, code, w.out)
			}
			for _, want := range c.want {
				if cmd == "link" && strings.Contains(want, "max_clients") {
					continue // none of its business
				}
				if !strings.Contains(w.errs.String(), want) {
					t.Errorf("%s --config %s: no %q in %s", cmd, c.path, want, w.errs)
				}
			}
			if leaks(w.errs.String(), unhex(t, testKey)) != "" {
				t.Errorf("%s shows the secret: %s", cmd, w.errs)
			}
		}
	}
}

func TestConfigCheck(t *testing.T) {
	for _, c := range []struct {
		mode os.FileMode
		text string
		warn bool
	}{
		{0o600, someFile, false},
		{0o640, someFile, true},
		{0o604, someFile, true},
		{0o644, "max_clients = 10\n", false}, // nothing secret in it
		{0o644, "admin_token = \"0123456789abcdef\"\n", true},
		{0o644, "[[port]]\nlisten = \":1\"\nallow = \"tls\"\nsni_salt = \"pepper\"\n", true},
	} {
		w := newWorld(t)
		path := write(t, c.mode, c.text)
		if code := w.do("config", "check", "--config", path); code != exitOK || w.out.String() != "ok\n" {
			t.Errorf("%s: exit %d, %q %s", c.text, code, w.out, w.errs)
		}
		if told := strings.Contains(w.errs.String(), "others may read the secrets in the settings file; chmod 600 it: "+path); told != c.warn {
			t.Errorf("%04o %s: says %q", c.mode, c.text, w.errs)
		}
	}
}

// The doctor reads the file, too, and tells who else may.
func TestCheckReadsFile(t *testing.T) {
	for text, want := range map[string]string{
		someFile:            "others may read the secrets in the settings file",
		"max_clients = 'x'": "epoxy.toml:1: max_clients",
	} {
		w := newWorld(t)
		w.do("check", "--offline", "--config", write(t, 0o644, text))
		if !strings.Contains(w.out.String(), want) {
			t.Errorf("no %q in %s %s", want, w.out, w.errs)
		}
	}
	w := newWorld(t)
	if code := w.do("check", "--config", "/nowhere/epoxy.toml"); code != exitUsage || !strings.Contains(w.errs.String(), "cannot be read") {
		t.Errorf("without its file: exit %d, %s", code, w.errs)
	}
}

func TestConfigReference(t *testing.T) {
	w := newWorld(t)
	if code := w.do("config", "reference"); code != exitOK || w.out.String() != config.Reference() {
		t.Errorf("exit %d, %d bytes", code, len(w.out.String()))
	}
}

// The example of a real install is right as soon as its placeholders are replaced, not before, and so is every setting
// that stands in a comment.
func TestExampleFile(t *testing.T) {
	text, err := os.ReadFile("../../deploy/epoxy.toml")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	if code := w.do("config", "check", "--config", write(t, 0o600, string(text))); code != exitUsage || strings.Count(w.errs.String(), "is no secret") != 3 {
		t.Errorf("with its placeholders: exit %d, %s", code, w.errs)
	}
	n := byte('a')
	replaced := regexp.MustCompile(`REPLACE: 32 hex digits`).ReplaceAllStringFunc(string(text), func(string) string {
		n++
		return strings.Repeat(string(n%6+'a'), 32)
	})
	uncommented := regexp.MustCompile(`(?m)^# (\w+ = )`).ReplaceAllString(replaced, "$1")
	if strings.Count(uncommented, "\n# ") >= strings.Count(replaced, "\n# ") {
		t.Fatal("no setting stands in a comment")
	}
	for _, text := range []string{replaced, uncommented} {
		w := newWorld(t)
		s, warnings, err := w.load([]string{"--config", write(t, 0o600, text)})
		if err != nil || len(warnings) != 0 {
			t.Fatalf("%v %v", warnings, err)
		}
		if len(s.Listen) != 2 || len(s.Secrets) != 3 || s.Listen[0].Addr.Port() != 443 || s.Secrets[1].Quota == 0 || s.Secrets[2].Expires.IsZero() {
			t.Errorf("it has %v, %v", s.Listen, s.Secrets)
		}
	}
}
