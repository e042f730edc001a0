package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The command makes what is missing, says which files, and refuses names that are none.
func TestLinkCerts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	for _, c := range []struct {
		args  []string
		code  int
		files string
	}{
		{[]string{}, exitUsage, ""},
		{[]string{dir, "more"}, exitUsage, ""},
		{[]string{dir, "--front", "../up"}, exitUsage, ""},
		{[]string{dir, "--back", "ca"}, exitUsage, ""},
		{[]string{dir}, exitOK, "ca.pem ca.key epoxy-front.pem epoxy-back.pem"},
		{[]string{dir}, exitOK, ""},
		{[]string{dir, "--front", "paris", "--back", "berlin", "--back", "10.0.0.1"}, exitOK, "paris.pem berlin.pem 10.0.0.1.pem"},
	} {
		var out, errs strings.Builder
		a := &app{out: &out, errs: &errs, getenv: func(string) string { return "" }}
		if code := a.main(append([]string{"link-certs"}, c.args...)); code != c.code {
			t.Errorf("%v: exit code %d, %s", c.args, code, &errs)
		}
		for _, name := range strings.Fields(c.files) {
			if !strings.Contains(out.String(), filepath.Join(dir, name)+"\n") {
				t.Errorf("%v: %s is not told: %s", c.args, name, &out)
			}
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
		if c.code == exitOK && c.files == "" && !strings.Contains(out.String(), "already") {
			t.Errorf("%v: %s", c.args, &out)
		}
	}
}
