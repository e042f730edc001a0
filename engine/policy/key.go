package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// KeyKind says what of a client a key is.
type KeyKind uint8

// The kinds of keys.
const (
	ClientIP     KeyKind = iota // its address
	ClientSubnet                // the network of a given prefix length around it
	TLSDomain                   // the name in its TLS hello
	Port                        // the name of the listener that it came to
	Secret                      // the name of the secret that it has
)

const kinds = int(Secret) + 1

var kindWords = [kinds]string{"client_ip", "client_subnet", "tls_domain", "port", "secret"}

// String returns the word of k.
func (k KeyKind) String() string {
	if int(k) < kinds {
		return kindWords[k]
	}
	return "key_kind_" + strconv.Itoa(int(k))
}

// ParseKind reads the word of a kind.
func ParseKind(word string) (KeyKind, error) {
	for k, w := range kindWords {
		if w == word {
			return KeyKind(k), nil
		}
	}
	return 0, fmt.Errorf("policy: %q is no key; one of %s", word, strings.Join(kindWords[:], ", "))
}

// Key is one value of one kind. Keys of different kinds are never equal: 10.0.0.0/32 is a network and
// 10.0.0.0 an address, a port called example.org is no domain. Keys are compared with == and serve as
// keys of maps. The zero Key is none.
type Key struct {
	kind KeyKind
	bits uint8    // of ip that count; 128 for an address; above 96 for IPv4
	ip   [16]byte // IPv4 as ::ffff:0:0/96, zero behind bits
	text string
}

// Kind returns what the key is of.
func (k Key) Kind() KeyKind { return k.kind }

// ParseKey reads a key: an address; a network as ADDR/BITS without bits set behind BITS; a domain, in any
// case, with or without the final dot; a name. An IPv4-mapped IPv6 address is the IPv4 address.
func ParseKey(kind KeyKind, text string) (Key, error) {
	switch kind {
	case ClientIP:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return Key{}, fmt.Errorf("policy: %q is no address; write one like 192.0.2.1 or 2001:db8::1", text)
		}
		return addrKey(a), nil
	case ClientSubnet:
		return parseSubnet(text)
	case TLSDomain:
		text = domain(text)
	case Port, Secret:
	default:
		return Key{}, fmt.Errorf("policy: %v is no kind of key", kind)
	}
	if err := checkText(kind, text); err != nil {
		return Key{}, err
	}
	return Key{kind: kind, text: strings.Clone(text)}, nil // text may be part of a large import
}

func parseSubnet(text string) (Key, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return Key{}, fmt.Errorf("policy: %q is no network; write one like 192.0.2.0/24 or 2001:db8::/48", text)
	}
	if p.Masked() != p {
		return Key{}, fmt.Errorf("policy: %q has bits behind its prefix; write %v", text, p.Masked())
	}
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	return Key{kind: ClientSubnet, bits: uint8(bits), ip: p.Addr().As16()}, nil
}

func checkText(kind KeyKind, text string) error {
	if text == "" {
		return fmt.Errorf("policy: an empty %v; name one", kind)
	}
	if len(text) > maxText {
		return fmt.Errorf("policy: a %v of %d bytes; at most %d", kind, len(text), maxText)
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("policy: %v %q has a space or control character; take it out", kind, text)
		}
	}
	return nil
}

// domain returns s in lower case without the final dot. It allocates only when s has upper case.
func domain(s string) string {
	s = strings.TrimSuffix(s, ".")
	for i := range len(s) {
		if upper(s[i]) {
			b := []byte(s)
			for j, c := range b {
				if upper(c) {
					b[j] = c | 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

// addrKey returns the key of an address, whatever its form; zones do not count.
func addrKey(a netip.Addr) Key { return Key{kind: ClientIP, bits: 128, ip: a.As16()} }

// subnet returns ip with all behind bits cut off.
func subnet(ip [16]byte, bits uint8) [16]byte {
	for i := range ip {
		switch left := int(bits) - 8*i; {
		case left <= 0:
			ip[i] = 0
		case left < 8:
			ip[i] &= 0xff << (8 - left)
		}
	}
	return ip
}

// Value returns the key without its kind, as ParseKey reads it.
func (k Key) Value() string {
	switch k.kind {
	case ClientIP:
		if k.bits == 0 {
			return ""
		}
		return netip.AddrFrom16(k.ip).Unmap().String()
	case ClientSubnet:
		a, bits := netip.AddrFrom16(k.ip), int(k.bits)
		if a.Is4In6() && bits >= 96 {
			a, bits = a.Unmap(), bits-96
		}
		return netip.PrefixFrom(a, bits).String()
	case TLSDomain, Port, Secret:
	}
	return k.text
}

// String returns the key as a line of a table: "KIND VALUE".
func (k Key) String() string { return k.kind.String() + " " + k.Value() }

// ParseLine reads a key as String prints it.
func ParseLine(line string) (Key, error) {
	words := strings.Fields(line)
	if len(words) != 2 {
		return Key{}, fmt.Errorf("policy: %q is no line of a table; write KEY VALUE, like tls_domain example.org", line)
	}
	kind, err := ParseKind(words[0])
	if err != nil {
		return Key{}, err
	}
	return ParseKey(kind, words[1])
}
