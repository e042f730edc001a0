package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
)

const index = `Epoxy, the operator's door
/metrics       Prometheus text
/stats         the same under the names of the official proxy, for its monitors
/healthz       200 while Telegram is within reach, else 503 and why
/readyz        200 while clients are served, else 503 and why
/strangers     what strangers sent and why they were turned away, as JSON
/api/v1/       what the commands of epoxy use; /api/v1/openapi.json describes it
/debug/pprof/  profiles of the Go runtime
`

// pages returns what is behind the door. pprof's cmdline is left out: a command line may hold secrets.
func pages(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { text(w, http.StatusOK, index) })
	mux.HandleFunc("GET /healthz", state(o.Healthy, "ok\n"))
	mux.HandleFunc("GET /readyz", state(o.Ready, "ready\n"))
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		o.Metrics(w)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		o.Stats(w)
	})
	mux.HandleFunc("GET /strangers", func(w http.ResponseWriter, _ *http.Request) { strangers(w, o.Strangers) })
	(&api{status: o.Status, control: o.Control}).register(mux)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// state answers 200 and word while ask returns nil, else 503 and the error.
func state(ask func() error, word string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := ask(); err != nil {
			text(w, http.StatusServiceUnavailable, err.Error()+"\n")
			return
		}
		text(w, http.StatusOK, word)
	}
}

// strangers writes what ask returns as JSON.
func strangers(w http.ResponseWriter, ask func() any) {
	if ask == nil {
		text(w, http.StatusNotFound, "admin: strangers are not remembered\n")
		return
	}
	body, err := json.MarshalIndent(ask(), "", "  ")
	if err != nil {
		text(w, http.StatusInternalServerError, "admin: "+err.Error()+"\n")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n'))
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}
