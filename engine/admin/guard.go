package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guarded puts before next what keeps others out: the token, and the web pages that an operator visits. A page must not
// read the door by a DNS name that points to loopback, nor change anything by a form or script of its own.
func guarded(next http.Handler, token string, loopback bool) http.Handler {
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusForbidden, "admin: a web page of another place may change nothing here", "use the epoxy command, or a program")
	}))
	next = foreign.Handler(next)
	if token != "" {
		next = bearer(next, token)
	}
	return local(next, loopback)
}

// local refuses requests for a name that is not this machine's, on a door that only this machine reaches by TCP.
func local(next http.Handler, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if loopback && !isLocal(r.Host) {
			text(w, http.StatusForbidden, "admin: ask for 127.0.0.1, [::1] or localhost\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a listener is a TCP one that only this machine reaches.
func isLoopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return ok && t.IP.IsLoopback()
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

// bearer asks for token everywhere but on the pages that balancers and supervisors watch.
func bearer(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token)) // hashes have one length
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" {
			scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(strings.TrimSpace(given)))
			if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
				w.Header().Set("WWW-Authenticate", `Bearer realm="epoxy"`)
				fail(w, http.StatusUnauthorized, "admin: the token is missing or wrong", "send the header Authorization: Bearer TOKEN; the commands take --token or EPOXY_ADMIN_TOKEN")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
