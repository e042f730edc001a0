package config

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"epoxy/codec/rpc"
	"epoxy/engine/policy"
)

// PortSettings is what a port may have of its own. Those of Settings are for the ports that do not say.
type PortSettings struct {
	Allow        Allow          // the protocols that every secret's key serves, whatever the secret's kind
	Domain       string         // the site that ee links carry, lower case; empty when no ee link of a plain secret is wanted
	Tag          *rpc.Tag       // the ad tag; nil is none
	Fronts       []Front        // where strangers go, domains unique; empty reads them into silence
	FrontProxy   Version        // PROXY protocol header towards the front
	Records      Records        // sizes of records towards fake-TLS clients
	SplitHello   bool           // the answer to a hello in two segments
	HandshakeMSS int            // bytes; 0 is off
	ProxyFrom    []netip.Prefix // who sends PROXY protocol headers; empty is nobody
	SNISalt      string         // makes a key for each domain; empty is off
	Policy       []policy.Rule  // all have to hold for a client
}

// clone returns a copy that shares nothing that a parser changes.
func (p *PortSettings) clone() *PortSettings {
	c := *p
	c.Fronts, c.ProxyFrom, c.Policy = slices.Clone(p.Fronts), slices.Clone(p.ProxyFrom), slices.Clone(p.Policy)
	return &c
}

// Listen is one port: a name, where it listens, and what it has of its own.
type Listen struct {
	Name string // metric label; port1, port2, ... when the operator gave none
	Endpoint
	*PortSettings          // in force, after Validate; nil before
	Secrets       []string // names of those that it serves; empty is all
	PortMax       int      // clients at once; 0 is no limit of its own

	own []setting
}

// String returns "NAME=ADDR".
func (l Listen) String() string { return l.Name + "=" + l.Endpoint.String() }

// setting is one word of a port's or secret's own: what it is called, its text and where it was written.
type setting struct {
	name, text, where string
}

// ParseListen reads "[NAME=]ADDR[?SETTING=VALUE&...]"; Name is empty when there is none. The settings are checked by Validate.
func ParseListen(text string) (Listen, error) {
	text, own, err := splitOwn(text)
	if err != nil {
		return Listen{}, err
	}
	name, addr, named := strings.Cut(text, "=")
	if !named || strings.HasPrefix(text, "unix:") {
		name, addr = "", text
	} else if err := checkName(name); err != nil {
		return Listen{}, err
	}
	e, err := ParseEndpoint(addr)
	if m, ok := errors.AsType[*Mistake](err); ok {
		m.Value = text // without what may be secret behind it
	}
	return Listen{Name: name, Endpoint: e, own: own}, err
}

// splitOwn cuts "...?NAME=TEXT&NAME=TEXT".
func splitOwn(text string) (rest string, own []setting, err error) {
	rest, query, _ := strings.Cut(text, "?")
	for word := range strings.SplitSeq(query, "&") {
		if word == "" {
			continue
		}
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return rest, nil, wrong("has a setting without a value behind ?", "write ?SETTING=VALUE, with & between several")
		}
		own = append(own, setting{name: strings.ReplaceAll(name, "_", "-"), text: value})
	}
	return rest, own, nil
}

// words are the settings that a port or a secret may have, by name.
type words map[string]*value

// take adds a setting; it is a registrar's sink.
func (w words) take(v *value, _ string) { v.order, w[v.name] = len(w), v }

// inOrder returns the settings in the order in which they were added.
func (w words) inOrder() []*value {
	return slices.SortedFunc(maps.Values(w), func(a, b *value) int { return a.order - b.order })
}

// portWords returns the settings that l may have; they write to l.
func (l *Listen) portWords(s *Settings) words {
	w := words{}
	r := registrar{sink: w.take, s: s, p: l.PortSettings}
	r.port()
	scalar(r, &l.PortMax, "max-clients", "N", parseInt(0, maxClients), strconv.Itoa, "clients of this port at once; 0 is no limit but the program's")
	r.add(&value{
		name: "secrets", kind: "NAME,...", list: true,
		parse: func(text string, first bool) error {
			if first {
				l.Secrets = nil
			}
			if !slices.Contains(l.Secrets, text) {
				l.Secrets = append(l.Secrets, text)
			}
			return nil
		},
		show: func() string { return strings.Join(l.Secrets, ",") },
	}, "names of the secrets that this port serves; all when it is not given")
	return w
}

// apply gives texts to the words they name. where says where those without a place of their own were written.
func (w words) apply(s *Settings, own []setting, where, what string) (errs []error) {
	for _, o := range own {
		place := o.where
		if place == "" {
			place = where + ": " + o.name
		}
		v := w[o.name]
		if v == nil {
			errs = append(errs, &Mistake{Where: place, Problem: "a " + what + " has no setting " + strconv.Quote(harmlessWord(o.name)), Cure: nearest(o.name, slices.Collect(maps.Keys(w)))})
			continue
		}
		v.settings, v.place = s, place
		texts := []string{o.text}
		if v.list {
			texts = v.split(o.text)
		}
		for _, t := range texts {
			_ = v.Set(t) // Set never fails
		}
	}
	return errs
}

// harmlessWord shortens a name that may be a secret in the wrong place.
func harmlessWord(name string) string {
	if len(name) > maxWord {
		return name[:maxWord/4] + "..."
	}
	return name
}

// nearest is the cure for a name that does not exist: the most alike that does.
func nearest(name string, known []string) string {
	slices.Sort(known)
	best, least := "", len(name)/2+1
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	switch {
	case best == "" && len(known) > 20:
		return "docs/REFERENCE.md has all there are, as has epoxy config reference"
	case best == "":
		return "there are " + strings.Join(known, ", ")
	}
	return "is " + best + " meant?"
}

// distance is how many letters have to change, come or go to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
