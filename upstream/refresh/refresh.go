// Package refresh downloads secret and configuration off the loops, caches them on disk, publishes snapshots.
//
// One goroutine owns everything and starts a short one for each fetch, so that a source that hangs
// holds up no other. Each resource is fetched, judged and cached by itself; what is in use is only
// ever replaced by something that was found right (spec upstream-protocols 1).
package refresh

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/upstream/dcmap"
)

// Telegram's own addresses of the resources (spec upstream-protocols 1.1).
const (
	TelegramSecret   = "https://core.telegram.org/getProxySecret"
	TelegramConfigV4 = "https://core.telegram.org/getProxyConfig"
	TelegramConfigV6 = "https://core.telegram.org/getProxyConfigV6"
)

// Options says where everything comes from. A source is an http or https URL, or a file that is watched
// for changes. What comes from files is not cached: the file is the cache.
type Options struct {
	Secret   string // source of the secret; needed
	ConfigV4 string // source of the IPv4 list; empty is none
	ConfigV6 string // source of the IPv6 list; empty is none. One list is needed

	// StateDir is where downloads are cached; made when missing. Empty keeps nothing.
	StateDir string

	// PublicV4 and PublicV6 are our own public addresses, where the operator knows them. For a family
	// without, the first service that answers with such an address is believed. There are no services
	// unless named: asking one tells it that we are here. Peers ask http://v4.ident.me/ and
	// http://v6.ident.me/ (spec upstream-protocols 1.5).
	PublicV4, PublicV6 netip.Addr
	LookupV4, LookupV6 []string // URLs

	Log *slog.Logger // needed

	Transport http.RoundTripper // nil is TCP with this package's limits
	Jitter    func() float64    // in [0, 1); nil is math/rand/v2's
}

// Refresher keeps the address book. Current, Status, Force and Subscribe may be called by anybody at
// any time and do not block.
type Refresher struct {
	// fixed by New
	log     *slog.Logger
	cache   *cache
	clients [Kinds]*http.Client
	jitter  func() float64
	given   [2]netip.Addr // by dcmap.Family

	// owned by New, then by Run
	resources [Kinds]*resource // nil without a source
	secret    dcmap.Secret
	old       dcmap.Secret
	oldUntil  time.Time
	lists     [2]*dcmap.List // by dcmap.Family
	guards    [2]dcmap.Guard
	found     [2]netip.Addr
	forcedAt  time.Time
	skewLevel slog.Level
	draft     Status

	// shared
	current     atomic.Pointer[dcmap.Snapshot]
	status      atomic.Pointer[Status]
	force       chan struct{} // holds one
	mu          sync.Mutex    // guards subscribers
	subscribers []func(*dcmap.Snapshot)
}

// New checks o, reads what the state directory and the files hold, and publishes that. It does not use
// the network; Run does. Damaged caches and unreadable files are logged, not errors.
func New(o Options) (*Refresher, error) {
	r := &Refresher{
		log:    o.Log,
		cache:  newCache(o.StateDir),
		jitter: o.Jitter,
		given:  [2]netip.Addr{dcmap.V4: o.PublicV4, dcmap.V6: o.PublicV6},
		force:  make(chan struct{}, 1),
	}
	if r.jitter == nil {
		r.jitter = rand.Float64
	}
	if err := r.addSources(o); err != nil {
		return nil, err
	}
	now := time.Now()
	r.cache.sweep(now)
	for _, res := range r.resources {
		if res != nil {
			r.first(res, now)
		}
	}
	r.publish(now)
	return r, nil
}

// addSources makes the resources of o, or says everything that is wrong with it.
func (r *Refresher) addSources(o Options) error {
	var errs []error
	if o.Secret == "" {
		errs = append(errs, errors.New("refresh: the secret needs a source"))
	}
	if o.ConfigV4 == "" && o.ConfigV6 == "" {
		errs = append(errs, errors.New("refresh: the configuration needs a source"))
	}
	for f, addr := range r.given {
		if addr.IsValid() && !dcmap.Family(f).Of(addr) {
			errs = append(errs, fmt.Errorf("refresh: the public address %v is not %v", addr, dcmap.Family(f)))
		}
	}
	add := func(k Kind, network string, texts ...string) {
		res := &resource{kind: k}
		for _, text := range texts {
			if text == "" {
				continue
			}
			s, err := parseSource(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("%w (%v)", err, k))
				continue
			}
			res.sources = append(res.sources, s)
		}
		if len(res.sources) > 0 {
			r.resources[k] = res
			r.clients[k] = newClient(network, o.Transport)
			r.draft.Resources[k].Wanted = true
		}
	}
	add(Secret, "tcp", o.Secret)
	add(ConfigV4, "tcp", o.ConfigV4)
	add(ConfigV6, "tcp", o.ConfigV6)
	if !o.PublicV4.IsValid() {
		add(OwnV4, "tcp4", o.LookupV4...)
	}
	if !o.PublicV6.IsValid() {
		add(OwnV6, "tcp6", o.LookupV6...)
	}
	return errors.Join(errs...)
}

// first takes what is there before the network is: the cached download, or the file.
func (r *Refresher) first(res *resource, now time.Time) {
	if res.file() {
		r.finish(res, res.look(true), now)
		return
	}
	if !res.kind.cached() {
		return
	}
	body, saved, err := r.cache.load(res.kind, res.sources[0].url)
	if err == nil {
		_, err = r.apply(res.kind, body, now)
	}
	s := &r.draft.Resources[res.kind]
	switch {
	case err == nil:
		s.Good, s.FromCache = saved, true
		r.log.Info("telegram: starting from the cache", "resource", res.kind.String(), "age", now.Sub(saved).Round(time.Second))
	case !errors.Is(err, fs.ErrNotExist):
		r.log.Warn("telegram: the cache is ignored", "resource", res.kind.String(), "err", err)
	}
}

// Current returns the newest snapshot, nil until there is a secret and a list.
func (r *Refresher) Current() *dcmap.Snapshot { return r.current.Load() }

// Status returns the newest status.
func (r *Refresher) Status() *Status { return r.status.Load() }

// Subscribe has fn called with each new snapshot, from Run's goroutine, one after the other; Run begins
// with the current one. fn must be quick: it posts the snapshot to a loop. Who subscribes while Run runs
// and then asks Current misses none.
func (r *Refresher) Subscribe(fn func(*dcmap.Snapshot)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribers = append(r.subscribers, fn)
}

// Force asks for the secret now, because a middle proxy has another one. It is done once a minute at
// most (spec upstream-protocols 8, fault 5); what comes more often is dropped.
func (r *Refresher) Force() {
	select {
	case r.force <- struct{}{}:
	default:
	}
}
