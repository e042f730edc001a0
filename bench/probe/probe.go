// Package probe is the censor's side: active probes, compared with the front itself.
//
// A censor who doubts a server sends it bytes that no user would send, and looks whether it answers like
// the web site it claims to be. This package sends a catalogue of such probes to a proxy, the target, and
// to the site behind it, the reference, and names every difference that a censor could see:
//
//	Catalogue   what there is to send
//	Run         sends it, several times to each side     -> Sight, one connection as seen from outside
//	parts       what differs by nature is masked: randoms, keys, signatures, tickets, ciphertext, dates
//	Judge       compares the Sights of both sides         -> Difference
//
// A difference is what none of the reference's connections showed, and what stays when the probe is sent a
// second time. Sizes are compared to the byte, so the reference wants an RSA certificate: an ECDSA
// signature's length varies by 1 to 3 bytes from one handshake to the next.
package probe

import (
	"net/netip"
	"regexp"
	"slices"
	"time"

	"epoxy/codec"
)

// Probe is one way to look at a server.
type Probe struct {
	Name   string `json:"name"`          // unique; words with dashes
	About  string `json:"about"`         // a sentence: what is sent
	Row    int    `json:"row,omitempty"` // of the table of bad input, spec client-protocols 9; 0 is none
	Slow   bool   `json:"slow,omitempty"`
	Signed bool   `json:"signed,omitempty"` // plays a client who was overheard: needs Options.Secret

	script func(k *kit) (script, error) // either what to send, once made and sent to both sides
	client *client                      // or a real TLS client
}

// Catalogue returns every probe, in the order of the report.
func Catalogue() []Probe {
	return slices.Concat(plainProbes(), helloProbes(), recordProbes(), tlsProbes(), signedProbes(), slowProbes())
}

// Options say what to probe and how. Target and Reference are required.
type Options struct {
	Target    netip.AddrPort // the proxy
	Reference netip.AddrPort // the front itself
	Source    netip.Addr     // address to probe from; the zero Addr leaves it to the kernel
	Domain    string         // SNI and Host of the probes
	Secret    *codec.Key     // the target's; nil leaves the signed probes out
	Only      *regexp.Regexp // names of the probes to send; nil is all
	Slow      bool           // send the slow ones too

	Repeat      int           // connections of a probe to each side; 0 is 3
	Parallel    int           // probes at the same time; 0 is 16
	Limit       time.Duration // how long a fast probe listens; 0 is 2 s
	SlowLimit   time.Duration // how long a slow probe listens; 0 is 70 s
	Slack       time.Duration // see the constant of that name; 0 is none
	ReplayAfter time.Duration // age of a hello in the probe replay-later

	Progress func(done, all int) // called after each probe, never twice at the same time; may be nil
}

func (o *Options) complete() {
	if o.Repeat == 0 {
		o.Repeat = defaultRepeat
	}
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.Limit == 0 {
		o.Limit = fastLimit
	}
	if o.SlowLimit == 0 {
		o.SlowLimit = slowLimit
	}
}

// Select returns the probes of the catalogue that o asks for.
func (o *Options) Select() []Probe {
	return slices.DeleteFunc(Catalogue(), func(p Probe) bool {
		return p.Slow && !o.Slow || p.Signed && o.Secret == nil || o.Only != nil && !o.Only.MatchString(p.Name)
	})
}

// Report is what a run found.
type Report struct {
	Target    string   `json:"target"`
	Reference string   `json:"reference"`
	Seconds   float64  `json:"seconds"`
	Different int      `json:"different"` // results with a difference
	Results   []Result `json:"results"`   // in the catalogue's order
}

// Result is what one probe found.
type Result struct {
	Probe
	Reference      string       `json:"reference"`          // what it did, in short
	Target         string       `json:"target"`             // the same
	ReferenceFirst float64      `json:"reference_first_ms"` // median time to the first byte, 0 when there was none
	TargetFirst    float64      `json:"target_first_ms"`
	Differences    []Difference `json:"differences,omitempty"`
}

// Difference is something that tells the target from the reference.
type Difference struct {
	What      string `json:"what"` // one of the constants
	Reference string `json:"reference"`
	Target    string `json:"target"`
}

// The kinds of Difference; facts of a TLS client's connection (see Fact) are others.
const (
	DiffProbe   = "probe"    // the probe could not be made
	DiffRecord  = "record"   // a record of another kind, or none
	DiffSize    = "size"     // a record of another size
	DiffBytes   = "bytes"    // a byte that should be the same
	DiffAlert   = "alert"    // an alert against none or another
	DiffEnd     = "end"      // FIN, RST or open
	DiffEndTime = "end time" // the same end at another time
	DiffFirst   = "first byte time"
)
