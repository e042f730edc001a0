package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

const index = `Epoxy, the operator's door
/metrics       Prometheus text
/stats         the same under the names of the official proxy, for its monitors
/healthz       200 while Telegram is within reach, else 503 and why
/readyz        200 while clients are served, else 503 and why
/strangers     what strangers sent and why they were turned away, as JSON
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

// local refuses requests for a name that is not this machine's: a web page that an operator visits must not read
// the door by a DNS name that points to loopback. Over a unix socket there is no such page.
func local(next http.Handler, unix bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !unix && !isLocal(r.Host) {
			text(w, http.StatusForbidden, "admin: ask for 127.0.0.1, [::1] or localhost\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLocal(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}
