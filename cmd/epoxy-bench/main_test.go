package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"epoxy/bench/load"
	"epoxy/upstream/faketg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call runs the program.
func call(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, &o, &e)
	return code, o.String(), e.String()
}

func serve(t *testing.T, f faketg.Faults) string {
	t.Helper()
	tg, err := load.NewTelegram([]string{"127.0.0.1:0"}, 1, f, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tg.Close)
	return tg.Addrs[0].String()
}

func TestLoadPrintsATable(t *testing.T) {
	code, out, errs := call(t, "load", "bulk", "--server", serve(t, faketg.Faults{}), "--bytes", "1M", "--direction", "both", "--clients", "3")
	if code != 0 || errs != "" || !strings.Contains(out, " 3 MB ") || strings.Contains(out, "FAILED") {
		t.Errorf("code %d, %s\n%s", code, errs, out)
	}
}

func TestLoadPrintsJSON(t *testing.T) {
	code, out, errs := call(t, "load", "handshake", "--server", serve(t, faketg.Faults{}), "--json", "--total", "20", "--loops", "2")
	var r load.Report
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || len(r.Steps) != 1 || r.Steps[0].Opened != 20 {
		t.Errorf("code %d, %s, %v\n%s", code, errs, err, out)
	}
}

func TestLoadFailsWithTheClients(t *testing.T) {
	code, out, _ := call(t, "load", "idle", "--server", serve(t, faketg.Faults{Refuse: true}), "--clients", "3", "--settle", "0s")
	if code != 1 || !strings.Contains(out, "FAILED: 3 clients") || !strings.Contains(out, "peer_reset") {
		t.Errorf("code %d\n%s", code, out)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"serve", `"serve" is no command`},
		{"load", "load needs a scenario"},
		{"load storm", `scenario "storm" is none of`},
		{"load small --clients many", "invalid argument"},
		{"load small --clients 0", "clients must be above 0"},
		{"load small --protocol tls", "tls needs an ee secret"},
		{"load small --protocol udp", `protocol "udp" is none of`},
		{"load small --secret 00", "--secret"},
		{"load small --source here", `--source "here" is no address`},
		{"load small --server 127.0.0.1", "--server"},
		{"load bulk --direction left", `--direction "left" is none of`},
		{"load strangers --at here", "--at"},
		{"load strangers --slow 0 --probes 0", "neither strangers nor probes"},
		{"load bulk --bytes much", "is no size"},
		{"telegram --loops 0", "--loops 0 must be above 0"},
	} {
		code, _, errs := call(t, strings.Fields(c.args)...)
		if code != 2 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, errs)
		}
	}
}

func TestSecretChoosesTheProtocol(t *testing.T) {
	const key = "000102030405060708090a0b0c0d0e0f"
	for text, want := range map[string]load.Protocol{
		"": load.Direct, key: load.Classic, "dd" + key: load.Secure, "ee" + key + "66726f6e742e6578616d706c65": load.TLS,
	} {
		o := orders{secret: text}
		if err := o.choose(); err != nil || o.config.Protocol != want {
			t.Errorf("%q: %v, %v", text, o.config.Protocol, err)
		}
	}
}

func TestTelegramSaysWhatItSaw(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"telegram", "--listen", "127.0.0.1:0", "--loops", "2", "--dc", "4"}, out, io.Discard)
		_ = out.Close()
	}()
	line := make([]byte, 100)
	n, err := in.Read(line)
	addr, ok := strings.CutPrefix(strings.TrimSpace(string(line[:n])), "listening ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line[:n], err)
	}
	if code, text, _ := call(t, "load", "handshake", "--server", addr, "--total", "5", "--dc", "-4"); code != 0 {
		t.Errorf("code %d\n%s", code, text)
	}
	if code, text, _ := call(t, "load", "handshake", "--server", addr, "--total", "5", "--dc", "2"); code != 1 {
		t.Errorf("another datacenter: code %d\n%s", code, text)
	}
	cancel()
	rest, err := io.ReadAll(in)
	if code := <-done; code != 0 || err != nil || !strings.Contains(string(rest), "accepted 10,") || !strings.Contains(string(rest), "datacenter -4: 5\n") {
		t.Errorf("code %d, %v\n%s", code, err, rest)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{"0": 0, "17": 17, "100k": 100_000, "1.5M": 1_500_000, "2Gi": 2 << 30, "1GB": 1_000_000_000} {
		var s size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %d, %v", text, s, err)
		}
	}
}

// TestHelpTeaches checks that every command explains itself and shows how it is used.
func TestHelpTeaches(t *testing.T) {
	for _, args := range []string{"", "telegram", "probe", "load handshake", "load idle", "load small", "load bulk", "load stall", "load strangers"} {
		code, out, _ := call(t, append(strings.Fields(args), "--help")...)
		if code != 0 || !strings.Contains(out, "  epoxy-bench ") {
			t.Errorf("%s: code %d\n%s", args, code, out)
		}
	}
}
