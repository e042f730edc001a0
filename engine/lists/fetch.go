package lists

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

var (
	errRedirects = errors.New("lists: too many redirects")
	errDowngrade = errors.New("lists: a redirect from https to another scheme")
)

// newClient returns a client that keeps no connections: there is a request an hour. A given transport is
// used as it is.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTime}).DialContext,
			TLSHandshakeTimeout:    tlsTime,
			ResponseHeaderTimeout:  headerTime,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
		}
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

// answer is what a server sent. With unchanged, what was marked is still the newest.
type answer struct {
	body      string
	mark      mark
	unchanged bool
}

// get downloads from, or learns that what is marked with m is the newest. An empty m downloads. Errors do
// not show the URL, which may hold a password.
func get(ctx context.Context, client *http.Client, from string, m mark) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return answer{}, errHost
	}
	req.Header.Set("User-Agent", "") // nothing that tells a proxy from a browser's extension
	if m.ETag != "" {
		req.Header.Set("If-None-Match", m.ETag)
	}
	if m.Modified != "" {
		req.Header.Set("If-Modified-Since", m.Modified)
	}
	resp, err := client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return answer{}, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && m != mark{}:
		return answer{unchanged: true}, nil
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("lists: status %d", resp.StatusCode)
	}
	body, err := readAll(resp.Body, maxBody)
	if err != nil {
		return answer{}, err
	}
	return answer{body: body, mark: mark{tame(resp.Header.Get("ETag")), tame(resp.Header.Get("Last-Modified"))}}, nil
}

// tame returns s, or nothing when it is not short printable ASCII.
func tame(s string) string {
	if len(s) > maxTag {
		return ""
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return ""
		}
	}
	return s
}
