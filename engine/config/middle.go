package config

import (
	"encoding/hex"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"epoxy/codec/rpc"
)

// parseTag reads the 32 hex digits that @MTProxybot gives for a promoted channel; empty text is none.
func parseTag(text string) (*rpc.Tag, error) {
	if text == "" {
		return nil, nil
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(rpc.Tag{}) {
		return nil, wrong("is not an ad tag", "write the 32 hex digits that @MTProxybot gives")
	}
	tag := rpc.Tag(raw)
	return &tag, nil
}

func showTag(tag *rpc.Tag) string {
	if tag == nil {
		return ""
	}
	return hex.EncodeToString(tag[:])
}

// parseSource reads where one of Telegram's resources comes from: an http or https URL, a file URL, or a path.
func parseSource(text string) (string, error) {
	const cure = "write https://host/path, or the path of a file"
	scheme, rest, isURL := strings.Cut(text, "://")
	switch scheme = strings.ToLower(scheme); {
	case text == "" || strings.ContainsRune(text, 0):
		return "", wrong("is neither a URL nor a file", cure)
	case !isURL:
		return text, nil
	case scheme == "file" && path.IsAbs(rest):
		return text, nil
	case scheme == "http" || scheme == "https":
		return parseURL(text)
	}
	return "", private(text, "is neither an http or https URL nor a file", cure)
}

// parseURL reads an http or https URL.
func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", private(text, "is not an http or https URL", "write https://host/path")
	}
	return text, nil
}

// private is wrong for a URL, without the name and password that may stand before its host.
func private(text, problem, cure string) error {
	m := wrong(problem, cure)
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		m.Value = "..." + text[at:]
	}
	return m
}

// parsePublic reads an address under which Telegram may see us.
func parsePublic(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return netip.Addr{}, wrong("is not an address that others can see", "write the IPv4 or IPv6 address of this host on the Internet, such as 203.0.113.7")
	}
	return a.Unmap(), nil
}

// middle adds the flags of middle proxies.
func (r registrar) middle() {
	s := r.s
	r.boolean(&s.TagOptional, "tag-optional", "with a tag, go to a datacenter directly while no middle proxy works, and lose the tag; without this such clients are closed")
	scalar(r, &s.TelegramSecret, "telegram-secret", "URL|FILE", parseSource, same, "where the secret of the middle proxies comes from")
	scalar(r, &s.TelegramConfig, "telegram-config", "URL|FILE", parseSource, same, "where the addresses of the middle proxies come from, IPv4")
	scalar(r, &s.TelegramConfigV6, "telegram-config-v6", "URL|FILE", parseSource, same, "the same for IPv6; fetched with --middle-v6 only")
	r.add(&value{
		name: "public-ip", kind: "IP", list: true,
		parse: func(text string, first bool) error {
			if first {
				s.PublicV4, s.PublicV6 = netip.Addr{}, netip.Addr{}
			}
			a, err := parsePublic(text)
			if err != nil {
				return err
			}
			to := &s.PublicV4
			if a.Is6() {
				to = &s.PublicV6
			}
			if to.IsValid() && *to != a {
				return wrong("is the second address of its family, after "+to.String(), "write one IPv4 and one IPv6 address at most")
			}
			*to = a
			return nil
		},
		show: func() string {
			return strings.Trim(showAddr(s.PublicV4)+","+showAddr(s.PublicV6), ",")
		},
	}, "the address under which Telegram sees this host, where a NAT changes it; one IPv4, one IPv6. A wrong one breaks every link to a middle proxy")
	r.add(&value{
		name: "public-ip-lookup", kind: "URL", list: true,
		parse: func(text string, first bool) error {
			if first {
				s.PublicLookup = nil
			}
			u, err := parseURL(text)
			if err == nil && !slices.Contains(s.PublicLookup, u) {
				s.PublicLookup = append(s.PublicLookup, u)
			}
			return err
		},
		show: func() string { return strings.Join(s.PublicLookup, ",") },
	}, "a service that answers with our address in plain text, asked behind a NAT where --public-ip is not given; repeatable, in order. Asking one tells it that this proxy is here")
	choice(r, &s.Migrate, "migrate", "WHO", migrateWords,
		"whose clients change to another link when theirs ends: idle (nobody waits for an answer), always, never; the others are closed and come back")
	choice(r, &s.FilterErrors, "filter-errors", "WHICH", filterWords,
		"which of Telegram's -404 errors clients do not get, because a probe learns from it that this is a proxy: first (a client's first answer), off, always")
	r.boolean(&s.MiddleV6, "middle-v6", "use middle proxies over IPv6 too, in the order of --prefer")
}
