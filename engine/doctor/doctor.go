// Package doctor looks for what keeps a set-up from working, and names each finding with its cure.
//
// It asks the machine, the settings, and whoever these name: nobody else is contacted, and nothing is written. All
// checks run at the same time, none longer than the whole. What it needs of the world is in Options, so that a test can
// be the world. No finding holds a secret.
package doctor

import (
	"context"
	"crypto/rand"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/reactor"
)

// Level says how bad a finding is.
type Level uint8

// The levels. With a warning the proxy works, but not as it should; with a fault it does not work.
const (
	OK Level = iota
	Note
	Warning
	Fault
)

var levelWords = [...]string{OK: "ok", Note: "note", Warning: "warning", Fault: "fault"}

// String returns the word.
func (l Level) String() string {
	if int(l) < len(levelWords) {
		return levelWords[l]
	}
	return "unknown"
}

// MarshalText returns the word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is what one look found.
type Finding struct {
	Check string // the group: settings, clock, limits, sysctl, ports, secrets, address, domain, front, certificates, telegram
	Name  string // a word that stays, such as clock_wrong; empty for what is as it should be
	Level Level
	Text  string
	Cure  string // what to do, with the exact lines; empty where there is nothing to do
	Took  time.Duration
}

// Options are what to do, and the world to do it in. What is nil is the machine itself.
type Options struct {
	Offline  bool          // ask the machine only
	TimeFrom []string      // clocks to compare with, http, https or ntp URLs; none is where --telegram-config comes from
	Timeout  time.Duration // for everything; 0 is 15 s
	Probe    time.Duration // for one exchange with somebody; 0 is 5 s

	Mistakes error    // what Settings.Validate said; then only the machine is asked
	Unknown  []string // variables that belong to no flag

	Root    fs.FS // the file system, for /proc and /sys
	Addrs   func() ([]net.Addr, error)
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
	Bind    func(addr string) error // whether a listener could have addr, as reactor.Probe says
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	HTTP    http.RoundTripper
	Now     func() time.Time
	Rand    func([]byte)
}

// fill puts the machine where nothing was given.
func (o *Options) fill() {
	if o.Timeout <= 0 {
		o.Timeout = totalTime
	}
	if o.Probe <= 0 {
		o.Probe = probeTime
	}
	if o.Root == nil {
		o.Root = os.DirFS("/")
	}
	if o.Addrs == nil {
		o.Addrs = net.InterfaceAddrs
	}
	if o.Bind == nil {
		o.Bind = reactor.Probe
	}
	if o.Resolve == nil {
		o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = func(p []byte) { _, _ = rand.Read(p) } // it never fails
	}
}

// doctor is one Run.
type doctor struct {
	Options
	set   *config.Settings
	dial  func(ctx context.Context, network, address string) (net.Conn, error) // to all but Telegram
	loops int
}

// Run looks at everything and returns what it found, in the order of the checks, within the timeout. Validate was called
// on set; nobody changes it meanwhile.
func Run(ctx context.Context, set *config.Settings, o Options) []Finding {
	o.fill()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := &doctor{Options: o, set: set, dial: o.Dial, loops: set.Loops}
	if d.dial == nil {
		d.dial = new(net.Dialer).DialContext
	}
	if d.loops == 0 {
		d.loops = runtime.NumCPU()
	}
	checks := []func(context.Context) []Finding{
		d.settings, d.clock, d.limits, d.sysctl, d.ports, d.secrets, d.address, d.domains, d.fronts, d.certificates, d.telegram,
	}
	return together(len(checks), func(i int) []Finding { return checks[i](ctx) })
}

// away reports whether others than this machine may be asked.
func (d *doctor) away() bool { return !d.Offline && d.Mistakes == nil }

// together calls fn for 0 to n-1 at the same time and returns all findings in that order.
func together(n int, fn func(int) []Finding) []Finding {
	found := make([][]Finding, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			start := time.Now()
			found[i] = fn(i)
			for k := range found[i] {
				if found[i][k].Took == 0 {
					found[i][k].Took = time.Since(start)
				}
			}
		})
	}
	all.Wait()
	return slices.Concat(found...)
}

// Worst returns the highest level among found.
func Worst(found []Finding) Level {
	worst := OK
	for _, f := range found {
		worst = max(worst, f.Level)
	}
	return worst
}

// one is a check's only finding.
func one(f Finding) []Finding { return []Finding{f} }

// plain returns what the system says of err, without the addresses that we name ourselves.
func plain(err error) string {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if _, op := err.(*net.OpError); !op || !ok || inner.Unwrap() == nil {
			return strings.TrimPrefix(err.Error(), "connect: ")
		}
		err = inner.Unwrap()
	}
}
