package promlint

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const patience = 40 * time.Second

// settings have all that makes lines of their own: ports with fronts of their own for one domain and without, secrets with limits,
// a way out with two proxies, lists, and middle proxies.
const settings = `
domain = "www.example.com"
state_dir = "%[1]s/state"
admin = "unix:%[1]s/admin.sock"
upstream = "middle"
tag = "ad7a0000000000000000000000000001"
telegram_secret = "%[1]s/none"
telegram_config = "%[1]s/none"
public_ip = "127.0.0.1"
upstream_proxy = ["socks5://127.0.0.1:1", "socks5://127.0.0.1:2"]
front = ["127.0.0.1:3", "other.example=127.0.0.1:4"]
front_measure = 0
list = ["bad block-drop %[1]s/bad.netset"]
policy = ["max_connections client_ip 100", "in_table port open"]

[[port]]
name = "one"
listen = "127.0.0.1:0"

[[port]]
name = "two"
listen = "unix:%[1]s/two.sock"
front = "127.0.0.1:5"

[[port]]
name = "three"
listen = "unix:%[1]s/three.sock"
front = "none"
max_clients = 7

[[secret]]
name = "alice"
secret = "00112233445566778899aabbccddeeff"
quota = "1G"
expires = 2090-01-31

[[secret]]
name = "B.o-b_2"
secret = "ff112233445566778899aabbccddeeff"
max_clients = 5
max_addresses = 3
`

// excused reports whether a finding stands: VictoriaMetrics/metrics writes the well-known names of the Go runtime and the process,
// without words about them. To have them from it means a switch for its whole package, and empty words.
func excused(p promlint.Problem) bool {
	return p.Text == "no help text" && (strings.HasPrefix(p.Metric, "go_") || strings.HasPrefix(p.Metric, "process_"))
}

// The whole page is read by Prometheus' parser, has each series once, and promlint finds nothing in it.
func TestPage(t *testing.T) {
	page := scrape(t)
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatalf("Prometheus does not read the page: %v", err)
	}
	if len(families) < 100 {
		t.Errorf("%d metrics are few", len(families))
	}
	series := map[string]bool{}
	for name, f := range families {
		ours := strings.HasPrefix(name, "epoxy_")
		if ours && (f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED || len(f.GetMetric()) == 0) {
			t.Errorf("%s: help %q, type %v, %d lines", name, f.GetHelp(), f.GetType(), len(f.GetMetric()))
		}
		for _, m := range f.GetMetric() {
			if id := name + fmt.Sprint(m.GetLabel()); series[id] {
				t.Errorf("%s is on the page twice", id)
			} else {
				series[id] = true
			}
		}
	}
	for _, want := range []string{"alice", "B.o-b_2"} {
		if !slices.ContainsFunc(families["epoxy_secret_clients"].GetMetric(), func(m *dto.Metric) bool { return m.GetLabel()[0].GetValue() == want }) {
			t.Errorf("no secret %q", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !excused(p) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// scrape runs the program and returns its page.
func scrape(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lint") // short: a unix socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range map[string]string{"epoxy.toml": fmt.Sprintf(settings, dir), "bad.netset": "192.0.2.0/24\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "epoxy")
	build := exec.Command("go", "build", "-o", program, "./cmd/epoxy")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	var said strings.Builder
	run := exec.Command(program, "run", "--config", filepath.Join(dir, "epoxy.toml"))
	run.Stdout, run.Stderr = &said, &said
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	defer func() { _ = run.Process.Kill() }() // gone already when it ended
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		page, err := get(filepath.Join(dir, "admin.sock"))
		if err == nil {
			return page
		}
		select {
		case <-ended:
			t.Fatalf("epoxy ended: %s", &said)
		default:
		}
		if time.Now().After(limit) {
			t.Fatalf("no page: %v", err)
		}
	}
}

func get(door string) (string, error) {
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", door)
		},
	}}
	res, err := c.Get("http://door/metrics")
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, page)
	}
	return string(page), err
}
