package lists

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// web answers for one URL, in memory.
type web struct {
	mu       sync.Mutex
	status   int
	body     string
	etag     string
	modified string
	full     int // answers with a body
	saved    int // answers that nothing changed
	failed   int
}

func (w *web) set(status int, body, etag string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.body, w.etag = status, body, etag
}

func (w *web) counts() (full, saved, failed int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full, w.saved, w.failed
}

// ServeHTTP sends the body, unless the client has it.
func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.etag != "" {
		rw.Header().Set("ETag", w.etag)
	}
	if w.modified != "" {
		rw.Header().Set("Last-Modified", w.modified)
	}
	switch {
	case w.etag != "" && r.Header.Get("If-None-Match") == w.etag, w.modified != "" && r.Header.Get("If-Modified-Since") == w.modified:
		w.saved++
		rw.WriteHeader(http.StatusNotModified)
	case w.status != http.StatusOK:
		w.failed++
		rw.WriteHeader(w.status)
	default:
		w.full++
		io.WriteString(rw, w.body)
	}
}

// RoundTrip is a network without sockets.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	w.ServeHTTP(rec, r)
	return rec.Result(), nil
}

// journal keeps what is logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) count(s string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.b.String(), s)
}
