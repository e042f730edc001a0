package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"epoxy/engine/config"
)

// unit returns the settings of deploy/epoxy.service by section and name; a list adds up.
func unit(t *testing.T) (text string, all map[string][]string) {
	t.Helper()
	raw, err := os.ReadFile("../../deploy/epoxy.service")
	if err != nil {
		t.Fatal(err)
	}
	all, section := map[string][]string{}, ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]") + "."
		case !ok:
			t.Errorf("%q is no setting", line)
		default:
			all[section+name] = append(all[section+name], value)
		}
	}
	return string(raw), all
}

func TestUnit(t *testing.T) {
	_, all := unit(t)
	for name, want := range map[string]string{
		"Type": "notify", "User": "epoxy", "AmbientCapabilities": "CAP_NET_BIND_SERVICE", "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
		"StateDirectory": "epoxy", "StateDirectoryMode": "0700", "ProtectSystem": "strict", "NoNewPrivileges": "yes", "PrivateTmp": "yes",
		"RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX AF_NETLINK", "MemoryDenyWriteExecute": "yes", "LimitCORE": "0",
		"ExecReload": "/bin/kill -HUP $MAINPID", "Restart": "on-failure",
	} {
		if got := strings.Join(all["Service."+name], " "); got != want {
			t.Errorf("%s=%s, want %s", name, got, want)
		}
	}
	if got := strings.Join(all["Service.SystemCallFilter"], " "); !strings.HasPrefix(got, "@system-service ~@privileged") {
		t.Errorf("SystemCallFilter=%s", got)
	}
	if n, err := strconv.Atoi(all["Service.LimitNOFILE"][0]); err != nil || n < 1<<20 {
		t.Errorf("LimitNOFILE=%s", all["Service.LimitNOFILE"])
	}
	if d, err := time.ParseDuration(all["Service.TimeoutStopSec"][0]); err != nil || d <= config.Default().Drain {
		t.Errorf("TimeoutStopSec=%s does not let sessions finish for --drain %s", all["Service.TimeoutStopSec"], config.Default().Drain)
	}
	if d, err := time.ParseDuration(all["Service.WatchdogSec"][0]); err != nil || d < 5*time.Second {
		t.Errorf("WatchdogSec=%s", all["Service.WatchdogSec"])
	}
	w := newWorld(t) // the command line is one of ours
	words := strings.Fields(all["Service.ExecStart"][0])
	if _, _, err := w.load(append(words[2:], "--config=", "--secret", testKey)); err != nil || words[1] != "run" {
		t.Errorf("ExecStart=%s: %v", strings.Join(words, " "), err)
	}
}

func TestUnitVerifies(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, all := unit(t)
	self, err := os.Executable() // it has to be there, whatever it is
	if err != nil {
		t.Fatal(err)
	}
	text = strings.Replace(text, strings.Fields(all["Service.ExecStart"][0])[0], self, 1)
	path := filepath.Join(t.TempDir(), "epoxy.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "verify", "--man=no", path).CombinedOutput()
	if strings.Contains(string(out), "Failed to initialize manager") || strings.Contains(string(out), "Failed to setup working directory") {
		t.Skipf("systemd-analyze cannot work here: %s", out)
	}
	if err != nil || strings.Contains(string(out), "epoxy.service") {
		t.Errorf("%v: %s", err, out)
	}
}
