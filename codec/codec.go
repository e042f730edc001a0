// Package codec holds the words that all codecs share: ErrShort, Error, Reason, Transport, DC.
//
// Codecs are pure: bytes in, (value, used, error) out; no I/O, clock, lock or randomness of their own.
package codec

// Error is a fault in bytes that a peer sent. It is made once, at package level, so that a hostile
// peer buys no allocation; Reason says what the session ends with.
type Error struct {
	Reason Reason
	text   string
}

// NewError returns an Error for reason r with the text "package: what".
func NewError(r Reason, text string) *Error { return &Error{Reason: r, text: text} }

// Error returns the text.
func (e *Error) Error() string { return e.text }

// ErrShort says that the input ends before a whole value. It consumes nothing: the caller keeps the
// bytes and calls again with more. Compare with ==.
var ErrShort error = &Error{Reason: ReasonNone, text: "codec: short input"}

// ReasonOf returns the Reason that err carries, or other when it carries none.
func ReasonOf(err error, other Reason) Reason {
	if e, ok := err.(*Error); ok && e.Reason != ReasonNone {
		return e.Reason
	}
	return other
}

// KeySize is the length of a secret's key in bytes (spec client-protocols 3.1).
const KeySize = 16

// Key is the 16 secret bytes behind a link, without its dd or ee prefix.
type Key [KeySize]byte

// String keeps the bytes out of logs and texts.
func (Key) String() string { return "key(hidden)" }

// GoString keeps the bytes out of %#v too.
func (Key) GoString() string { return "codec.Key(hidden)" }

// Transport is the framing that a client chose by the tag in its opening frame (spec client-protocols 1.3).
type Transport uint8

// The transports, and the tag that names each on the wire.
const (
	TransportNone Transport = iota
	Abridged                // ef ef ef ef
	Intermediate            // ee ee ee ee
	Padded                  // dd dd dd dd, padded intermediate
)

// Tag returns the four equal tag bytes as a little-endian word, 0 for TransportNone.
func (t Transport) Tag() uint32 {
	switch t {
	case Abridged:
		return 0xefefefef
	case Intermediate:
		return 0xeeeeeeee
	case Padded:
		return 0xdddddddd
	case TransportNone:
	}
	return 0
}

// TransportOf returns the transport of a tag word, TransportNone for any other word.
func TransportOf(tag uint32) Transport {
	switch tag {
	case 0xefefefef:
		return Abridged
	case 0xeeeeeeee:
		return Intermediate
	case 0xdddddddd:
		return Padded
	}
	return TransportNone
}

// String returns the metric label.
func (t Transport) String() string {
	switch t {
	case Abridged:
		return "abridged"
	case Intermediate:
		return "intermediate"
	case Padded:
		return "padded"
	case TransportNone:
	}
	return "none"
}

// Protocol is the kind of access that a client used; what --allow speaks of (spec client-protocols 1.3).
type Protocol uint8

// The protocols.
const (
	ProtocolNone Protocol = iota
	Classic               // obfuscated2 with an abridged or intermediate tag
	Secure                // obfuscated2 with the padded tag on bare TCP
	TLS                   // obfuscated2 with the padded tag inside fake-TLS
)

// String returns the word that --allow, logs and metrics use.
func (p Protocol) String() string {
	switch p {
	case Classic:
		return "classic"
	case Secure:
		return "secure"
	case TLS:
		return "tls"
	case ProtocolNone:
	}
	return "none"
}

// DC is the datacenter id as the client sent it: negative for media, 10000 more for a test DC
// (spec client-protocols 1.5).
type DC int16

// Abs returns the id without its media sign, as an int so that -32768 has an answer.
func (d DC) Abs() int {
	if d < 0 {
		return -int(d)
	}
	return int(d)
}

// Protocols is a set of protocols: what a port allows.
type Protocols uint8

// ProtocolsOf returns the set of ps.
func ProtocolsOf(ps ...Protocol) Protocols {
	var s Protocols
	for _, p := range ps {
		s |= 1 << p
	}
	return s
}

// Has reports whether p is in the set.
func (s Protocols) Has(p Protocol) bool { return p != ProtocolNone && s&(1<<p) != 0 }
