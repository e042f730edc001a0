package dcmap

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"

	"epoxy/codec"
)

// What is wrong with a configuration text as a whole (spec upstream-protocols 1.3).
var (
	ErrTextSize  = errors.New("dcmap: a configuration above 1 MiB")
	ErrNUL       = errors.New("dcmap: a configuration with a NUL byte")
	ErrNoTarget  = errors.New("dcmap: no valid proxy_for")
	ErrTruncated = errors.New("dcmap: the configuration ends inside a statement")
	ErrTooMany   = errors.New("dcmap: more than 1024 ids or 4096 addresses")
)

// Parse reads a configuration text and keeps the addresses of family f (spec upstream-protocols 1.3).
//
//	# comment to the end of the line
//	default DC ;
//	proxy_for DC host:port ;     host is an address, IPv6 in brackets
//	proxy host:port ;            the same for DC 0
//	timeout N ; min_connections N ; max_connections N ;     read and not used
//
// Statements that it cannot use are counted and passed over; an address that comes twice counts once.
// The result keeps nothing of text. Errors are the ones above; a text that ends without its last
// semicolon is refused, because the number before it may have lost digits.
func Parse(text []byte, f Family) (*List, error) {
	if len(text) > MaxText {
		return nil, ErrTextSize
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, ErrNUL
	}
	p := parser{
		family: f,
		list:   &List{Default: DefaultDC, dcs: map[codec.DC][]netip.AddrPort{}},
		seen:   map[Target]struct{}{},
	}
	var s statement
	for {
		var ended bool
		if text, ended = s.read(text); !ended {
			break
		}
		if !p.take(s.words()) {
			p.list.Skipped++
		}
		if len(p.seen) > maxTargets || len(p.list.dcs) > maxDCs {
			return nil, ErrTooMany
		}
	}
	switch {
	case !p.proxyFor:
		return nil, ErrNoTarget
	case s.count > 0:
		return nil, ErrTruncated
	}
	return p.list, nil
}

// statement is the words of one statement, pointing into the text; count says how many there were.
type statement struct {
	word  [maxWords][]byte
	count int
}

func (s *statement) words() [][]byte { return s.word[:min(s.count, maxWords)] }

func (s *statement) add(word []byte) {
	if len(word) == 0 {
		return
	}
	if s.count < maxWords {
		s.word[s.count] = word
	}
	s.count++
}

// read takes the words up to the next semicolon and returns what follows it. Without a semicolon it
// takes all of them and returns false.
func (s *statement) read(text []byte) (rest []byte, ended bool) {
	s.count = 0
	from := 0 // where the current word starts
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case ' ', '\t', '\r', '\n':
			s.add(text[from:i])
		case '#':
			s.add(text[from:i])
			line := bytes.IndexByte(text[i:], '\n')
			if line < 0 {
				return nil, false
			}
			i += line
		case ';':
			s.add(text[from:i])
			return text[i+1:], true
		default:
			continue
		}
		from = i + 1
	}
	s.add(text[from:])
	return nil, false
}

type parser struct {
	family   Family
	list     *List
	seen     map[Target]struct{}
	proxyFor bool // a valid proxy_for was there
}

// take handles one statement and reports whether it could be used.
func (p *parser) take(words [][]byte) bool {
	if len(words) == 0 {
		return true
	}
	args := words[1:]
	switch string(words[0]) {
	case "proxy_for":
		if len(args) != 2 {
			return false
		}
		dc, ok := parseDC(args[0])
		ok = ok && p.add(dc, args[1])
		p.proxyFor = p.proxyFor || ok
		return ok
	case "proxy":
		return len(args) == 1 && p.add(0, args[0])
	case "default":
		if len(args) != 1 {
			return false
		}
		dc, ok := parseDC(args[0])
		if ok {
			p.list.Default = dc
		}
		return ok
	case "timeout", "min_connections", "max_connections":
		return len(args) == 1
	}
	return false
}

func (p *parser) add(dc codec.DC, hostPort []byte) bool {
	addr, ok := parseAddr(hostPort)
	if !ok || !p.family.Of(addr.Addr()) {
		return false
	}
	t := Target{DC: dc, Addr: addr}
	if _, twice := p.seen[t]; !twice {
		p.seen[t] = struct{}{}
		p.list.dcs[dc] = append(p.list.dcs[dc], addr)
	}
	return true
}

func parseDC(word []byte) (codec.DC, bool) {
	n, err := strconv.ParseInt(string(word), 10, 16)
	return codec.DC(n), err == nil
}

// parseAddr splits at the last colon and takes an address only, never a name.
func parseAddr(word []byte) (netip.AddrPort, bool) {
	colon := bytes.LastIndexByte(word, ':')
	if colon < 0 {
		return netip.AddrPort{}, false
	}
	host := word[:colon]
	if n := len(host); n >= 2 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	addr, err := netip.ParseAddr(string(host))
	if err != nil || addr.Zone() != "" || addr.IsUnspecified() || addr.IsMulticast() {
		return netip.AddrPort{}, false
	}
	port, err := strconv.ParseUint(string(word[colon+1:]), 10, 16)
	if err != nil || port == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(port)), true
}
