package main

import (
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"epoxy/bench/probe"
)

// answer listens, and says text to whoever sent 3 bytes.
func answer(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				if n, _ := io.CopyN(io.Discard, c, 3); n == 3 {
					_, _ = io.WriteString(c, text)
				}
			})
		}
	})
	return l.Addr().String()
}

func TestProbeCompares(t *testing.T) {
	a, b := answer(t, "HTTP/1.1 400 A\r\n\r\n"), answer(t, "HTTP/1.1 400 B\r\n\r\n")
	args := func(target string, more ...string) []string {
		return append([]string{"probe", "--reference", a, "--target", target, "--only", "^(fin|prefix-3)$", "--repeat", "1"}, more...)
	}
	code, out, errs := call(t, args(a)...)
	if code != 0 || errs != "" || !strings.Contains(out, "\n0 of 2 probes tell") {
		t.Errorf("itself: code %d, %s\n%s", code, errs, out)
	}
	code, out, errs = call(t, args(b)...)
	if code != 1 || !strings.Contains(errs, "can be told") || !strings.Contains(out, "DIFFERENT: bytes") || !strings.Contains(out, "\n1 of 2 probes tell") {
		t.Errorf("another: code %d, %s\n%s", code, errs, out)
	}
	code, out, _ = call(t, args(b, "--json")...)
	var r probe.Report
	if err := json.Unmarshal([]byte(out), &r); code != 1 || err != nil || r.Different != 1 || r.Results[1].Name != "prefix-3" || r.Results[1].Differences[0].What != probe.DiffBytes {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}

func TestProbeLists(t *testing.T) {
	code, out, _ := call(t, "probe", "--list", "--slow")
	if code != 0 || !strings.Contains(out, "slow-silence  ") || strings.Contains(out, "replay") || strings.Count(out, "\n") < 100 {
		t.Errorf("code %d\n%s", code, out)
	}
	code, out, _ = call(t, "probe", "--list", "--json", "--only", "replay", "--secret", "ee000102030405060708090a0b0c0d0e0f66726f6e742e6578616d706c65")
	var all []probe.Probe
	if err := json.Unmarshal([]byte(out), &all); code != 0 || err != nil || len(all) != 6 {
		t.Errorf("code %d, %v\n%s", code, err, out)
	}
}

func TestProbeMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"probe", "needs --target and --reference"},
		{"probe now", `no argument "now"`},
		{"probe --only (", "--only"},
		{"probe --repeat 0", "--repeat 0 must be above 0"},
		{"probe --parallel 0", "--parallel 0 must be above 0"},
		{"probe --slack -1s", "must not be negative"},
		{"probe --secret 00", "--secret"},
		{"probe --client-address here", `--client-address "here" is no address`},
		{"probe --target 127.0.0.1:1 --reference 127.0.0.1", "--reference"},
		{"probe --target 127.0.0.1:1 --reference 127.0.0.1:1", "unreachable: reference 127.0.0.1:1"},
	} {
		code, _, errs := call(t, strings.Fields(c.args)...)
		if code != 2 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, errs)
		}
	}
}
