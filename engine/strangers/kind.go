package strangers

import (
	"bytes"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// Kind is what a stranger's first bytes look like.
type Kind uint8

// The kinds, and what a stranger of each began with.
const (
	Bytes         Kind = iota // nothing of the below: noise, or an opening for another secret
	Empty                     // nothing
	TLS                       // a whole, well-formed ClientHello
	TLSPart                   // the beginning of one
	TLSBad                    // a TLS record that is no such hello
	HTTP                      // a method of HTTP/1 and a space
	HTTP2                     // the preface of HTTP/2
	SSH                       // SSH-
	Text                      // SMTP's greeting, or other printable text
	SOCKS4                    // 04 01|02
	SOCKS5                    // 05 and a list of methods
	Proxy                     // a PROXY protocol header
	TelegramPlain             // MTProto without obfuscation: ef, ee ee ee ee or dd dd dd dd
	kinds
)

// Kinds is how many there are; a table of counters has this length.
const Kinds = int(kinds)

var kindNames = [kinds]string{
	"bytes", "empty", "tls", "tls-part", "tls-bad", "http", "http2", "ssh", "smtp/text", "socks4", "socks5", "proxy",
	"telegram-plain",
}

// String returns the word in reports.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "unknown"
}

// prefixes are the beginnings that decide alone.
var prefixes = [...]struct {
	text string
	kind Kind
}{
	{"PRI * HTTP/2", HTTP2},
	{"GET ", HTTP}, {"POST ", HTTP}, {"HEAD ", HTTP}, {"PUT ", HTTP}, {"OPTIONS ", HTTP}, {"CONNECT ", HTTP},
	{"DELETE ", HTTP}, {"PATCH ", HTTP}, {"TRACE ", HTTP}, {"PROPFIND ", HTTP},
	{"SSH-", SSH},
	{"EHLO", Text}, {"HELO", Text},
	{"PROXY ", Proxy}, {"\r\n\r\n\x00\r\nQUIT\n", Proxy},
	{"\xee\xee\xee\xee", TelegramPlain}, {"\xdd\xdd\xdd\xdd", TelegramPlain},
}

// classify names the kind of p. The hello is for TLS only and lives as long as p and join, which takes a
// hello that came in several records.
func classify(p, join []byte) (Kind, faketls.Hello) {
	if len(p) == 0 {
		return Empty, faketls.Hello{}
	}
	switch isTLS, err := faketls.Sniff(p); {
	case err == codec.ErrShort:
		return TLSPart, faketls.Hello{}
	case isTLS:
		h, _, err := faketls.ParseHello(p, join)
		switch err {
		case nil:
			return TLS, h
		case codec.ErrShort:
			return TLSPart, faketls.Hello{}
		}
		return TLSBad, faketls.Hello{}
	}
	return classifyBare(p), faketls.Hello{}
}

// classifyBare names the kind of p, which is not empty and no hello.
func classifyBare(p []byte) Kind {
	for i := range prefixes {
		if text := prefixes[i].text; len(p) >= len(text) && string(p[:len(text)]) == text {
			return prefixes[i].kind
		}
	}
	if p[0] == 0xef {
		return TelegramPlain
	}
	if len(p) >= 2 {
		switch n := int(p[1]); {
		case p[0] >= 0x14 && p[0] <= 0x18 && n == 3:
			return TLSBad
		case p[0] == 4 && (n == 1 || n == 2):
			return SOCKS4
		case p[0] == 5 && n >= 1 && n <= maxAuth && (len(p) <= 2+n || p[2+n] == 5 || p[2+n] == 1):
			return SOCKS5
		}
	}
	if isText(p) {
		return Text
	}
	return Bytes
}

// isText reports whether p begins with printable ASCII and line ends only.
func isText(p []byte) bool {
	p = p[:min(len(p), textLook)]
	odd := func(r rune) bool { return (r < ' ' || r > '~') && r != '\r' && r != '\n' && r != '\t' }
	return len(p) >= textLeast && bytes.IndexFunc(p, odd) < 0
}
