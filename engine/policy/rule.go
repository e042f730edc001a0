package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Verb is what a rule does.
type Verb uint8

// The verbs.
const (
	MaxConnections Verb = iota // at most N connections for each combination of the keys
	InTable                    // the key is in the table; a client without such a key is not
	NotInTable                 // the key is not in the table; a client without such a key is not
)

const verbs = int(NotInTable) + 1

var verbWords = [verbs]string{"max_connections", "in_table", "not_in_table"}

// String returns the word of v.
func (v Verb) String() string {
	if int(v) < verbs {
		return verbWords[v]
	}
	return "verb_" + strconv.Itoa(int(v))
}

// spec is a key as a rule names it: a kind, for client_subnet with the two prefix lengths.
type spec struct {
	kind         KeyKind
	bits4, bits6 uint8
}

// bits returns the length of a's network as Key counts it: of 128.
func (s spec) bits(a netip.Addr) uint8 {
	if a.Is4() || a.Is4In6() {
		return 96 + s.bits4
	}
	return s.bits6
}

func (s spec) String() string {
	if s.kind == ClientSubnet {
		return fmt.Sprintf("%v/%d/%d", s.kind, s.bits4, s.bits6)
	}
	return s.kind.String()
}

// Rule is one rule. Rules are compared with ==; the zero Rule is none.
type Rule struct {
	verb  Verb
	kinds uint8 // one bit for each kind
	n     uint8 // how many of keys
	keys  [kinds]spec
	max   int32
	table string
}

// Verb returns what the rule does.
func (r Rule) Verb() Verb { return r.verb }

// Table returns the name of the rule's table; empty for MaxConnections.
func (r Rule) Table() string { return r.table }

// Max returns how many connections MaxConnections allows.
func (r Rule) Max() int { return int(r.max) }

func (r *Rule) specs() []spec { return r.keys[:r.n] }

// ParseRule reads a rule of one line, words with spaces between:
//
//	max_connections KEY[,KEY...] N
//	in_table KEY TABLE
//	not_in_table KEY TABLE
//
// KEY is client_ip, client_subnet/N4[/N6], tls_domain, port or secret; N4 and N6 are the prefix lengths for
// IPv4 and IPv6, N6 is 64 where it is missing.
func ParseRule(text string) (Rule, error) {
	f := strings.Fields(text)
	if len(f) == 0 {
		return Rule{}, errors.New("policy: an empty rule; write one like: max_connections port,client_ip 2")
	}
	v := Verb(slices.Index(verbWords[:], f[0]) & 0xff)
	if int(v) >= verbs {
		return Rule{}, fmt.Errorf("policy: %q is no rule; one of %s", f[0], strings.Join(verbWords[:], ", "))
	}
	if len(f) != 3 {
		last := "TABLE"
		if v == MaxConnections {
			last = "N"
		}
		return Rule{}, fmt.Errorf("policy: the rule %q needs two words behind the first; write %v KEY %s", text, v, last)
	}
	r := Rule{verb: v}
	for word := range strings.SplitSeq(f[1], ",") {
		s, err := parseSpec(word)
		if err != nil {
			return Rule{}, err
		}
		if r.kinds&(1<<s.kind) != 0 {
			return Rule{}, fmt.Errorf("policy: the rule %q names %v twice; leave one out", text, s.kind)
		}
		r.kinds |= 1 << s.kind
		r.keys[r.n] = s
		r.n++
	}
	slices.SortFunc(r.keys[:r.n], func(a, b spec) int { return int(a.kind) - int(b.kind) })
	if v == MaxConnections {
		n, err := strconv.ParseUint(f[2], 10, 31)
		if err != nil {
			return Rule{}, fmt.Errorf("policy: %q is no number of connections; write one from 0 to %d", f[2], maxCount)
		}
		r.max = int32(n)
		return r, nil
	}
	if r.n != 1 {
		return Rule{}, fmt.Errorf("policy: the rule %q looks up %d keys; write a rule for each", text, r.n)
	}
	r.table = f[2]
	return r, CheckName(r.table)
}

func parseSpec(word string) (spec, error) {
	name, lengths, sized := strings.Cut(word, "/")
	kind, err := ParseKind(name)
	if err != nil {
		return spec{}, err
	}
	s := spec{kind: kind}
	switch {
	case kind == ClientSubnet && sized:
		n4, n6, both := strings.Cut(lengths, "/")
		s.bits6 = subnetBits6
		ok := length(n4, 32, &s.bits4) && (!both || length(n6, 128, &s.bits6))
		if !ok {
			return spec{}, fmt.Errorf("policy: %q has no good prefix lengths; write client_subnet/24 or client_subnet/24/48", word)
		}
	case kind == ClientSubnet:
		return spec{}, errors.New("policy: client_subnet needs a prefix length; write client_subnet/24 or client_subnet/24/48")
	case sized:
		return spec{}, fmt.Errorf("policy: %q: only client_subnet has a prefix length; write %v", word, kind)
	}
	return s, nil
}

// length reads a prefix length from 1 to most.
func length(text string, most uint64, to *uint8) bool {
	n, err := strconv.ParseUint(text, 10, 8)
	*to = uint8(n)
	return err == nil && n > 0 && n <= most
}

// CheckName says whether name can be a table's.
func CheckName(name string) error {
	ok := len(name) > 0 && len(name) <= maxName
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
	}
	if !ok {
		return fmt.Errorf("policy: %q cannot be a table's name; take 1 to %d of letters, digits and _ - . only", name, maxName)
	}
	return nil
}

// String returns the rule as ParseRule reads it, its keys in one order and all prefix lengths written out.
func (r Rule) String() string {
	words := make([]string, 0, kinds)
	for _, s := range r.specs() {
		words = append(words, s.String())
	}
	last := r.table
	if r.verb == MaxConnections {
		last = strconv.Itoa(int(r.max))
	}
	return r.verb.String() + " " + strings.Join(words, ",") + " " + last
}

// Refusal says which rule refused. It was made with the rules and costs nothing.
type Refusal struct {
	Rule  Rule
	Text  string // of the rule, for logs and metrics
	Index int    // of the rule in its set
}

// Rules is a set of rules in their order; fixed, shared by all. Nil admits everybody.
type Rules struct {
	refusals []Refusal
	counts   int // rules that count
}

// Compile makes a set of rules. Two limits for the same keys, or too many rules, are a mistake.
func Compile(rules ...Rule) (*Rules, error) {
	if len(rules) > maxRules {
		return nil, fmt.Errorf("policy: %d rules; at most %d", len(rules), maxRules)
	}
	set := &Rules{refusals: make([]Refusal, 0, len(rules))}
	for i, r := range rules {
		if r.n == 0 {
			return nil, errors.New("policy: an empty rule; make rules with ParseRule")
		}
		for _, was := range rules[:i] {
			if r == was || r.verb == MaxConnections && was.verb == r.verb && was.keys == r.keys {
				return nil, fmt.Errorf("policy: the rules %q and %q have the same keys; leave one out", was, r)
			}
		}
		if r.verb == MaxConnections {
			set.counts++
		}
		set.refusals = append(set.refusals, Refusal{Rule: r, Text: r.String(), Index: i})
	}
	return set, nil
}

// All returns the rules in their order, for a page or a log; not to be changed.
func (s *Rules) All() []Refusal {
	if s == nil {
		return nil
	}
	return s.refusals
}
