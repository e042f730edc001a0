package refresh

import (
	"bytes"
	"context"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	listV4   = "default 2;\nproxy_for 1 192.0.2.1:443;\nproxy_for 2 192.0.2.2:443;\nproxy_for -2 192.0.2.2:80;\nproxy_for 4 192.0.2.4:443;\n"
	otherV4  = "default 4;\nproxy_for 1 192.0.2.1:443;\nproxy_for 2 192.0.2.2:443;\nproxy_for 4 192.0.2.5:443;\n"
	halfV4   = "proxy_for 2 192.0.2.2:443;"
	listV6   = "default 2;\nproxy_for 2 [2001:db8::2]:443;\n"
	secretA  = "first-secret-that-no-log-may-ever-show"
	secretB  = "other-secret-that-no-log-may-ever-show"
	testWait = 20 * time.Second // until a test that hangs fails
)

// page is what web answers for a path.
type page struct {
	status int // 0 is 200
	body   string
	date   time.Duration // added to our clock in the Date header
	hang   bool          // answer nothing
	cut    bool          // break off in the middle of the body
}

// web is a small site: an http.Handler for a real server, an http.RoundTripper without sockets for
// tests in a bubble of fake time.
type web struct {
	mu    sync.Mutex
	pages map[string]page
	hits  map[string][]time.Time
	agent []string // every User-Agent header
}

// newWeb has all three resources.
func newWeb() *web {
	return &web{
		pages: map[string]page{"/secret": {body: secretA}, "/v4": {body: listV4}, "/v6": {body: listV6}},
		hits:  map[string][]time.Time{},
	}
}

func (w *web) set(path string, p page) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pages[path] = p
}

// seen returns the times at which path was asked for, since start.
func (w *web) seen(path string, start time.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at []time.Duration
	for _, t := range w.hits[path] {
		at = append(at, t.Sub(start))
	}
	return at
}

// agents returns every User-Agent header that was seen.
func (w *web) agents() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.agent)
}

func (w *web) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	p, ok := w.pages[req.URL.Path]
	w.hits[req.URL.Path] = append(w.hits[req.URL.Path], time.Now())
	w.agent = append(w.agent, req.Header.Values("User-Agent")...)
	w.mu.Unlock()
	if p.hang {
		<-req.Context().Done()
		return
	}
	rw.Header().Set("Date", time.Now().Add(p.date).UTC().Format(http.TimeFormat))
	switch {
	case !ok:
		http.NotFound(rw, req)
		return
	case p.status != 0:
		http.Error(rw, p.body, p.status)
		return
	case p.cut:
		_, _ = rw.Write([]byte(p.body[:len(p.body)/2]))
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = rw.Write([]byte(p.body))
}

func (w *web) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, req)
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = req
	return resp, nil
}

// options points at base and logs to the journal.
func options(t *testing.T, base string, transport http.RoundTripper) (Options, *journal) {
	j := newJournal(t)
	return Options{
		Secret: base + "/secret", ConfigV4: base + "/v4", ConfigV6: base + "/v6",
		Log: slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug})), Transport: transport,
		Jitter: func() float64 { return 0.5 }, // an hour sharp
	}, j
}

// start makes a Refresher and runs it until the test is over, or until the returned function is called.
func start(t *testing.T, o Options) (*Refresher, context.CancelFunc) {
	t.Helper()
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r, run(t, r)
}

func run(t *testing.T, r *Refresher) (stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// journal is a log that can be waited for. At the end of the test it must not hold a secret.
type journal struct {
	mu    sync.Mutex
	text  bytes.Buffer
	wrote chan struct{} // holds one
}

func newJournal(t *testing.T) *journal {
	j := &journal{wrote: make(chan struct{}, 1)}
	t.Cleanup(func() {
		for _, s := range []string{secretA, secretB} {
			for _, bad := range []string{s[:8], hex.EncodeToString([]byte(s[:4]))} {
				if strings.Contains(j.String(), bad) {
					t.Errorf("the log shows the secret:\n%s", j)
				}
			}
		}
	})
	return j
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case j.wrote <- struct{}{}:
	default:
	}
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) count(part string) int { return strings.Count(j.String(), part) }

// wait returns when the log holds part n times.
func (j *journal) wait(t *testing.T, part string, n int) {
	t.Helper()
	limit := time.After(testWait)
	for j.count(part) < n {
		select {
		case <-j.wrote:
		case <-limit:
			t.Fatalf("the log never says %q %d times:\n%s", part, n, j)
		}
	}
}
