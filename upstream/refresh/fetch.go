package refresh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

var (
	errScheme    = errors.New("refresh: a source is an http or https URL, or a file")
	errHost      = errors.New("refresh: the URL names no host")
	errRedirects = errors.New("refresh: too many redirects")
	errDowngrade = errors.New("refresh: a redirect from https to another scheme")
)

// source is where a resource comes from: a URL or a file.
type source struct {
	url   string // or
	watch *watch
}

// parseSource takes an http or https URL, a file URL without host, or a path.
func parseSource(s string) (source, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return source{watch: &watch{path: s}}, nil
	}
	switch strings.ToLower(scheme) {
	case "http", "https":
		if u, err := url.Parse(s); err != nil || u.Host == "" {
			return source{}, errHost // the error of url.Parse would show a password
		}
		return source{url: s}, nil
	case "file":
		if !strings.HasPrefix(rest, "/") {
			return source{}, errHost
		}
		return source{watch: &watch{path: rest}}, nil
	}
	return source{}, errScheme
}

// newClient returns a client that keeps no connections: there is a request an hour. network is "tcp",
// "tcp4" or "tcp6"; with a family, no proxy of the environment is used, whose address the answer would
// be. A given transport is used as it is.
func newClient(network string, transport http.RoundTripper) *http.Client {
	if transport == nil {
		dialer := &net.Dialer{Timeout: dialTime}
		t := &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				return dialer.DialContext(ctx, network, addr)
			},
			TLSHandshakeTimeout:    tlsTime,
			ResponseHeaderTimeout:  headerTime,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
		}
		if network == "tcp" {
			t.Proxy = http.ProxyFromEnvironment
		}
		transport = t
	}
	return &http.Client{Transport: transport, Timeout: requestTime, CheckRedirect: checkRedirect}
}

func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return errRedirects
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errDowngrade
	}
	return nil
}

// download is the body of one answer, and what its header says about our clock.
type download struct {
	body   []byte
	skew   time.Duration // ours less theirs
	skewOK bool
}

// get downloads url. The status must be 200 and the body no larger than limit bytes. There is no
// User-Agent, as some proxies do and none stands out by (spec upstream-protocols 1.1).
func get(ctx context.Context, client *http.Client, url string, limit int64) (download, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return download{}, err
	}
	req.Header.Set("User-Agent", "")
	sent := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return download{}, err
	}
	defer resp.Body.Close()
	received := time.Now()
	if resp.StatusCode != http.StatusOK {
		return download{}, fmt.Errorf("refresh: status %d", resp.StatusCode)
	}
	body, err := readAll(resp.Body, limit)
	if err != nil {
		return download{}, err
	}
	d := download{body: body}
	d.skew, d.skewOK = skew(resp.Header, sent, received)
	return d, nil
}

// skew compares our clock with the Date of an answer. Date has whole seconds, cut off, and a cache on
// the way adds its Age.
func skew(h http.Header, sent, received time.Time) (time.Duration, bool) {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil || received.Sub(sent) > maxTrip {
		return 0, false
	}
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
		theirs = theirs.Add(time.Duration(age) * time.Second)
	}
	ours := sent.Add(received.Sub(sent) / 2).Round(0) // the wall clock
	return ours.Sub(theirs.Add(time.Second / 2)), true
}
