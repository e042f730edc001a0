package refresh

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"epoxy/upstream/dcmap"
)

var errLiteral = errors.New("refresh: not a public address of the family that was asked for")

// resource is one thing to fetch. Run owns it; while busy, the sources are its fetch's.
type resource struct {
	kind    Kind
	sources []source
	busy    bool
	due     time.Time // of the next fetch, or look at the file
	retry   time.Time // a file that failed is read again then, changed or not; zero is never
}

// cached reports whether what is downloaded for k is kept on disk. Our own address is not: the machine
// may have moved.
func (k Kind) cached() bool { return k <= ConfigV6 }

// limit returns how many bytes of k are read.
func (k Kind) limit() int64 {
	switch k {
	case Secret:
		return dcmap.MaxSecret + 1 // one more, so that dcmap can say that it is too long
	case ConfigV4, ConfigV6:
		return dcmap.MaxText + 1
	case OwnV4, OwnV6:
	}
	return maxLiteral
}

// file reports whether the resource is a file.
func (res *resource) file() bool { return res.sources[0].watch != nil }

// fetched is what a fetch brings home.
type fetched struct {
	res *resource
	download
	unchanged bool // a file that is what it was
	err       error
}

// look reads the resource's file if it changed, or if force is set.
func (res *resource) look(force bool) fetched {
	body, changed, err := res.sources[0].watch.look(res.kind.limit(), force)
	return fetched{res: res, download: download{body: body}, unchanged: !changed && err == nil, err: err}
}

// fetch gets the resource; force is for a file. Of several sources the first good one counts.
func (res *resource) fetch(ctx context.Context, client *http.Client, force bool) fetched {
	if res.file() {
		return res.look(force)
	}
	var errs []error
	for _, s := range res.sources {
		d, err := get(ctx, client, s.url, res.kind.limit())
		if err == nil && !res.kind.cached() {
			_, err = parseLiteral(d.body, res.kind.family())
		}
		if err == nil {
			return fetched{res: res, download: d}
		}
		errs = append(errs, err)
	}
	return fetched{res: res, err: errors.Join(errs...)}
}

// family returns the family of a list or of an own address.
func (k Kind) family() dcmap.Family {
	if k == ConfigV6 || k == OwnV6 {
		return dcmap.V6
	}
	return dcmap.V4
}

// apply judges body and takes it into use. changed is false when it says what is known already.
func (r *Refresher) apply(k Kind, body []byte, now time.Time) (changed bool, err error) {
	switch k {
	case Secret:
		s, err := dcmap.ParseSecret(body)
		if err != nil || s.Equal(r.secret) {
			return false, err
		}
		if r.secret != nil {
			r.old, r.oldUntil = r.secret, now.Add(oldSecret)
		}
		r.secret = s
	case ConfigV4, ConfigV6:
		f := k.family()
		l, err := dcmap.Parse(body, f)
		if err != nil {
			return false, err
		}
		if err := r.guards[f].Check(r.lists[f], l); err != nil {
			return false, err
		}
		if l.Equal(r.lists[f]) {
			return false, nil
		}
		r.lists[f] = l
	case OwnV4, OwnV6:
		f := k.family()
		a, err := parseLiteral(body, f)
		if err != nil || a == r.found[f] {
			return false, err
		}
		r.found[f] = a
		r.log.Info("telegram: our public address", "addr", a.String())
	}
	return true, nil
}

// parseLiteral reads the answer of a lookup service.
func parseLiteral(body []byte, f dcmap.Family) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(string(body)))
	if err != nil || !f.Of(a) || !dcmap.IsPublic(a) {
		return netip.Addr{}, errLiteral
	}
	return a.Unmap(), nil
}
