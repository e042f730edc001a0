package load

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// The names of what core.telegram.org has for proxies (spec upstream-protocols 1.1).
const (
	SecretPath   = "/getProxySecret"
	ConfigPath   = "/getProxyConfig"
	ConfigV6Path = "/getProxyConfigV6"
)

// Resources is a web server that stands in for core.telegram.org. All may be changed at any time, by any goroutine.
type Resources struct {
	URL string // like "http://127.0.0.1:8080", before the name

	server http.Server
	done   chan struct{}

	mu       sync.Mutex
	handlers map[string]http.Handler
	asked    map[string]int
	skew     time.Duration
}

// NewResources serves on addr, nothing yet.
func NewResources(addr string) (*Resources, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("load: resources: %w", err)
	}
	r := &Resources{
		URL: "http://" + l.Addr().String(), done: make(chan struct{}),
		handlers: map[string]http.Handler{}, asked: map[string]int{},
	}
	r.server = http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l) // until Close
	}()
	return r, nil
}

// Set serves body under path.
func (r *Resources) Set(path string, body []byte) {
	body = append([]byte(nil), body...)
	r.Handle(path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(body)
	}))
}

// Handle lets h answer for path: with another status, half a body, or never. When it panics with
// http.ErrAbortHandler the connection breaks.
func (r *Resources) Handle(path string, h http.Handler) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handlers[path] = h
}

// SetSkew moves the clock of the Date header.
func (r *Resources) SetSkew(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skew = d
}

// Asked returns how often path was asked for.
func (r *Resources) Asked(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked[path]
}

// ServeHTTP answers.
func (r *Resources) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	r.asked[q.URL.Path]++
	h, skew := r.handlers[q.URL.Path], r.skew
	r.mu.Unlock()
	w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
	if h == nil {
		h = http.NotFoundHandler()
	}
	h.ServeHTTP(w, q)
}

// Close ends the server and its connections.
func (r *Resources) Close() {
	_ = r.server.Close() // a listener that is closed
	<-r.done
}
