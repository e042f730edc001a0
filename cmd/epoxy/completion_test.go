package main

import (
	"os/exec"
	"strings"
	"testing"
)

// A shell gets words, files where a flag takes files, and nothing where it could only guess.
func TestCompletion(t *testing.T) {
	for args, want := range map[string]string{
		"run --pin ":                   "auto on off :4",
		"config check --log-level ":    "debug info warn error :4",
		"link --config ":               ":0",
		"run --state-dir ":             ":16",
		"run --domain ":                ":4",
		"run ":                         ":4",
		"config s":                     "show :4",
		"config show --front-proxy-pr": "--front-proxy-protocol :4",
	} {
		w := newWorld(t)
		if code := w.do(append([]string{"__complete"}, strings.Split(args, " ")...)...); code != exitOK {
			t.Errorf("%s: exit %d, %s", args, code, w.errs)
		}
		var words []string
		for line := range strings.Lines(w.out.String()) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s<TAB> gives %q, want %q", args, got, want)
		}
	}
}

// The scripts are scripts, as far as the shells that are installed say.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			w := newWorld(t)
			if code := w.do("completion", shell); code != exitOK || !strings.Contains(w.out.String(), "__complete") {
				t.Fatalf("exit %d, %d bytes, %s", code, len(w.out.String()), w.errs)
			}
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skip(shell + " is not installed")
			}
			cmd := exec.CommandContext(t.Context(), path, "-n")
			cmd.Stdin = strings.NewReader(w.out.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
