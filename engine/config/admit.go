package config

import (
	"strconv"
	"strings"

	"epoxy/engine/policy"
)

// admission adds who may connect how often, and what happens to whoever may no longer.
func (r registrar) admission() {
	s := r.s
	rate := func(to *int, name, usage string) {
		scalar(r, to, name, "N/s", parseRate, showRate, usage)
	}
	rate(&s.AcceptRate, "accept-rate", "new connections a second, and as many at once after a silence; more are closed; 0 is no limit")
	rate(&s.AcceptRateNetwork, "accept-rate-network", "the same for each IPv4 /24 and IPv6 /48")
	r.duration(&s.SecretDrain, "secret-drain", "what clients get to finish whose secret was disabled or removed, or expired; a quota that is used up ends them at once")
	r.duration(&s.AddressWindow, "address-window", "how long an address counts towards a secret's max-addresses after its last client left")
}

// rules adds what a port asks of its clients.
func (r registrar) rules() {
	p := r.p
	r.add(&value{
		name: "policy", kind: "RULE", list: true, split: splitRules,
		parse: func(text string, first bool) error {
			rule, err := policy.ParseRule(text)
			if first {
				p.Policy = nil
			}
			if err != nil {
				return wrong(strings.TrimPrefix(err.Error(), "policy: "), "write max_connections KEY,... N, in_table KEY TABLE or not_in_table KEY TABLE, such as max_connections port,client_ip 2")
			}
			p.Policy = append(p.Policy, rule)
			return nil
		},
		show: func() string {
			texts := make([]string, len(p.Policy))
			for i, rule := range p.Policy {
				texts[i] = rule.String()
			}
			return strings.Join(texts, ",")
		},
	}, "who may connect: max_connections KEY,... N, in_table KEY TABLE, not_in_table KEY TABLE; KEY is client_ip, client_subnet/N4/N6, tls_domain, port or secret; repeatable, all have to hold")
}

// parseRate reads "100/s" or "100".
func parseRate(text string) (int, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(text, "/s"), 10, 31)
	if err != nil || n > maxRate {
		return 0, wrong("is not a number of connections a second", "write 100/s, or 0 for no limit")
	}
	return int(n), nil
}

func showRate(n int) string {
	if n == 0 {
		return "0"
	}
	return strconv.Itoa(n) + "/s"
}

// splitRules is splitList for --policy, whose texts have commas of their own: a piece that does not begin with a rule's
// verb belongs to the one before.
func splitRules(text string) []string {
	var out []string
	for _, piece := range splitList(text) {
		verb, _, _ := strings.Cut(piece, " ")
		if n := len(out) - 1; n >= 0 && verb != policy.MaxConnections.String() && verb != policy.InTable.String() && verb != policy.NotInTable.String() {
			out[n] += "," + piece
			continue
		}
		out = append(out, piece)
	}
	return out
}

// policy checks a port's rules together.
func (c *checker) policy(l *Listen) {
	if _, err := policy.Compile(l.Policy...); err != nil {
		c.wrong("policy", "", strings.TrimPrefix(err.Error(), "policy: "), "leave one of them out")
	}
}
