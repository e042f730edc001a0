package day

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"epoxy/engine/admin"
)

// proxy is a running epoxy.
type proxy struct {
	door   string // of its unix socket
	pid    int
	log    *journal
	ended  chan struct{} // closed when the process ended
	code   int           // its exit code, -1 after a signal, once it ended
	signal func(os.Signal) error
}

// journal is what a process writes, while it writes.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// start runs epoxy with args, its door at door, and waits until it is ready.
func start(t *testing.T, door string, args ...string) *proxy {
	t.Helper()
	cmd := exec.Command(program, append([]string{"run"}, args...)...)
	p := &proxy{door: door, log: new(journal), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr, cmd.Env = p.log, p.log, environ()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.pid, p.signal = cmd.Process.Pid, cmd.Process.Signal
	go func() {
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.signal(syscall.SIGKILL) // gone already when the test went well
		<-p.ended
		if t.Failed() {
			t.Logf("epoxy said:\n%s", p.log)
		}
	})
	eventually(t, func() bool {
		select {
		case <-p.ended:
			t.Fatalf("epoxy ended with %d", p.code)
		default:
		}
		_, err := p.get("/readyz")
		return err == nil
	}, func() string { return "epoxy is not ready" })
	return p
}

// environ is that of the test, without settings.
func environ() (clean []string) {
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "EPOXY_") {
			clean = append(clean, one)
		}
	}
	return clean
}

// get returns a page of the door.
func (p *proxy) get(path string) (string, error) {
	c := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", p.door)
		},
	}}
	res, err := c.Get("http://door" + path)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	page, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = &net.AddrError{Err: res.Status, Addr: path}
	}
	return string(page), err
}

// do carries out an operator's command and returns what it prints.
func (p *proxy) do(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, append(args, "--admin", "unix:"+p.door)...)
	cmd.Env = environ()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("epoxy %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String()
}

// ask is do for an answer in JSON.
func ask[T any](t testing.TB, p *proxy, args ...string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.do(t, append(args, "--json")...)), &v); err != nil {
		t.Fatalf("epoxy %s --json: %v", strings.Join(args, " "), err)
	}
	return v
}

// status returns what epoxy status tells.
func (p *proxy) status(t testing.TB) admin.Status {
	t.Helper()
	return ask[admin.Status](t, p, "status")
}

// secret returns what epoxy secrets list tells of one; its name is empty where there is none.
func (p *proxy) secret(t testing.TB, name string) (none admin.Secret) {
	t.Helper()
	for _, s := range ask[[]admin.Secret](t, p, "secrets", "list") {
		if s.Name == name {
			return s
		}
	}
	return none
}

// metrics returns the numbers of /metrics by name and labels.
func (p *proxy) metrics(t testing.TB) map[string]float64 {
	t.Helper()
	return p.numbers(t, "/metrics", " ")
}

// stats returns the numbers of /stats by the official names.
func (p *proxy) stats(t testing.TB) map[string]float64 {
	t.Helper()
	return p.numbers(t, "/stats", "\t")
}

func (p *proxy) numbers(t testing.TB, path, between string) map[string]float64 {
	t.Helper()
	page, err := p.get(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, between)
		if line[0] == '#' {
			continue
		}
		if at < 1 {
			t.Errorf("%s has %q, which is no name and value", path, line)
			continue
		}
		if n, err := strconv.ParseFloat(line[at+len(between):], 64); err == nil {
			all[line[:at]] = n
		}
	}
	return all
}

// wantMetric waits until a metric is at least n.
func (p *proxy) wantMetric(t testing.TB, name string, n float64) {
	t.Helper()
	var last float64
	eventually(t, func() bool { last = p.metrics(t)[name]; return last >= n }, func() string {
		return name + " is " + strconv.FormatFloat(last, 'f', -1, 64) + ", not " + strconv.FormatFloat(n, 'f', -1, 64)
	})
}

// wantLog waits until a line has all of these words.
func (p *proxy) wantLog(t testing.TB, words ...string) {
	t.Helper()
	eventually(t, func() bool {
	lines:
		for line := range strings.Lines(p.log.String()) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return true
		}
		return false
	}, func() string { return "no line of the log has " + strings.Join(words, " and ") })
}

// end waits for the process to end and returns its exit code.
func (p *proxy) end(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.code
	case <-time.After(patience):
		t.Fatal("epoxy does not end")
		return 0
	}
}

// kill ends it as a power cut would.
func (p *proxy) kill(t testing.TB) {
	t.Helper()
	if err := p.signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.end(t)
}
