package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
)

const newSecret = "make one with `epoxy secret`, give out its links, and drop this one"

// secrets looks whether they can be guessed, and whether their links lead to a front.
func (d *doctor) secrets(context.Context) (found []Finding) {
	if len(d.set.Listen) == 0 {
		return nil // a back without clients of its own
	}
	if len(d.set.Secrets) == 0 {
		return one(Finding{Check: "secrets", Name: "no_secret", Level: Note, Text: "there is no secret yet; epoxy run makes one and keeps it in --state-dir"})
	}
	for _, n := range d.set.Secrets {
		f := Finding{Check: "secrets", Text: "secret " + n.Name + " cannot be guessed"}
		switch what := weak(n.Secret.Key); {
		case secret.IsPublicDefault(n.Secret.Key):
			f.Name, f.Level, f.Text, f.Cure = "secret_public", Fault, "secret "+n.Name+" stands in public examples: anybody can use and find this proxy", newSecret
		case what != "":
			f.Name, f.Level, f.Text, f.Cure = "secret_weak", Warning, "secret "+n.Name+" "+what+": it was not drawn at random", newSecret
		}
		found = append(found, f)
		found = append(found, d.dressed(n)...)
	}
	return found
}

// weak returns what is wrong with a key that no good source of randomness gives, once in 10^7 keys at most.
func weak(key codec.Key) string {
	const fewest = 8 // different bytes; 16 random ones have 15 or 16
	steps, different, text := map[byte]bool{}, map[byte]bool{}, true
	for i, b := range key {
		if i > 0 {
			steps[b-key[i-1]] = true
		}
		different[b] = true
		text = text && b >= ' ' && b <= '~'
	}
	switch half := len(key) / 2; {
	case len(steps) == 1:
		return "counts up or down"
	case string(key[:half]) == string(key[half:]):
		return "is the same 8 bytes twice"
	case len(different) <= fewest:
		return fmt.Sprintf("has %d different bytes only", len(different))
	case text:
		return "is text"
	}
	return ""
}

// dressed compares the domain of an ee secret with the fronts of the ports that serve it.
func (d *doctor) dressed(n config.NamedSecret) (found []Finding) {
	domain := n.Secret.Domain
	if n.Secret.Kind != secret.FakeTLS {
		return nil
	}
	for _, l := range d.set.Listen {
		if l.PortSettings == nil || len(l.Fronts) == 0 || !l.Allow.Has(codec.TLS) || len(l.Secrets) > 0 && !slices.Contains(l.Secrets, n.Name) {
			continue
		}
		f := Finding{Check: "secrets", Name: "front_mismatch", Level: Warning,
			Cure: "write --front " + domain + "=HOST:PORT with a site that has its certificate, or make links with the domain that the front has"}
		front := frontOf(l.Fronts, domain)
		site := domain
		if front == nil {
			if front = frontOf(l.Fronts, ""); front != nil {
				site = cmp.Or(l.Domain, front.Host)
			}
		}
		switch {
		case front == nil || front.Off:
			f.Text = fmt.Sprintf("links of secret %s say %s, and strangers who ask port %s for it get no web site", n.Name, domain, l.Name)
		case site != domain && strings.Contains(site, "."): // others are names of the inside
			f.Text = fmt.Sprintf("links of secret %s say %s, and strangers who ask port %s for it get the site %s", n.Name, domain, l.Name, site)
		default:
			continue
		}
		found = append(found, f)
	}
	return found
}

// frontOf returns the front that is for exactly domain.
func frontOf(fronts []config.Front, domain string) *config.Front {
	if i := slices.IndexFunc(fronts, func(f config.Front) bool { return f.Domain == domain }); i >= 0 {
		return &fronts[i]
	}
	return nil
}
