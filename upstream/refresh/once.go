package refresh

import (
	"context"
	"errors"
	"net/http"
	"time"
)

var errNoDate = errors.New("refresh: the answer has no usable Date, or was slow")

// Load returns what a former process keeps in dir of k from source, and when that was downloaded. It is for who only
// looks: nothing is changed. The error is fs.ErrNotExist when nothing is kept.
func Load(dir string, k Kind, source string) (body []byte, saved time.Time, err error) {
	return newCache(dir).load(k, source)
}

// Fetch gets k once, from a URL or a file, and keeps nothing. Of our own address it is a literal of its family.
// No transport is TCP with this package's limits.
func Fetch(ctx context.Context, k Kind, from string, transport http.RoundTripper) ([]byte, error) {
	s, err := parseSource(from)
	if err != nil {
		return nil, err
	}
	network := "tcp"
	switch k {
	case OwnV4:
		network = "tcp4"
	case OwnV6:
		network = "tcp6"
	case Secret, ConfigV4, ConfigV6:
	}
	res := resource{kind: k, sources: []source{s}}
	f := res.fetch(ctx, newClient(network, transport), true)
	return f.body, f.err
}

// Date asks a web server for its clock and returns how far ours, now, is ahead of it.
func Date(ctx context.Context, url string, transport http.RoundTripper, now func() time.Time) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "")
	sent := now()
	resp, err := newClient("tcp", transport).Do(req)
	if err != nil {
		return 0, err
	}
	received := now()
	if err := resp.Body.Close(); err != nil {
		return 0, err
	}
	ahead, ok := skew(resp.Header, sent, received)
	if !ok {
		return 0, errNoDate
	}
	return ahead, nil
}
