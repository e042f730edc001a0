package probe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// End is how a connection ended, as its client saw it.
type End uint8

// The ends.
const (
	Open End = iota // still there when the probe stopped listening
	FIN
	RST
)

// String returns the word of the report.
func (e End) String() string {
	switch e {
	case FIN:
		return "FIN"
	case RST:
		return "RST"
	case Open:
	}
	return "open"
}

// Sight is what a censor saw of one connection.
type Sight struct {
	Parts []Part // what came, masked
	Facts []Fact // what a TLS client learned, in a fixed order
	End   End
	Ended time.Duration // from our last byte to the end; when open, how long we listened
	First time.Duration // from our last byte before it to the first byte; 0 when none came
}

// Part is one TLS record, or all bytes of an answer that is no TLS.
type Part struct {
	Kind  string // "handshake", "alert", ...; "plain" for no TLS
	Size  int    // bytes without the record header
	Bytes []byte // what must be the same, masked; nil for ciphertext
}

// Fact is something that a real TLS client learned.
type Fact struct {
	Name  string // one of the constants below
	Value string
}

// The names of facts.
const (
	FactConnect = "connect" // why there is no connection
	FactError   = "tls error"
	FactVersion = "tls version"
	FactSuite   = "cipher suite"
	FactALPN    = "alpn"
	FactChain   = "certificates"
	FactResumed = "resumed"
	FactStatus  = "http status"
	FactHeader  = "http header"
	FactBody    = "http body"
)

// fact returns the value of a fact, empty when it is absent.
func (s *Sight) fact(name string) string {
	for _, f := range s.Facts {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// size is how many bytes came, without record headers.
func (s *Sight) size() (n int) {
	for _, p := range s.Parts {
		n += p.Size
	}
	return n
}

// String says in a few words what happened.
func (s *Sight) String() string {
	var words []string
	for _, name := range []string{FactConnect, FactError, FactStatus} {
		if v := s.fact(name); v != "" {
			words = append(words, v)
		}
	}
	kind, runs := "", 0
	for i, p := range s.Parts {
		if p.Kind == kind && (kind == kindHandshake || kind == kindData) {
			words[len(words)-1] += "+" + strconv.Itoa(p.Size)
			continue
		}
		if kind, runs = p.Kind, runs+1; runs > mostRuns {
			words = append(words, fmt.Sprintf("%d more, %d bytes in all", len(s.Parts)-i, s.size()))
			break
		}
		words = append(words, p.String())
	}
	if len(s.Parts) == 0 && s.fact(FactConnect) == "" {
		words = append(words, "nothing")
	}
	return strings.Join(words, ", ") + "; " + s.ending()
}

// ending says how and when it ended.
func (s *Sight) ending() string {
	switch {
	case s.End == Open:
		return s.End.String()
	case s.Ended < endTolerance:
		return s.End.String() + " at once"
	}
	return fmt.Sprintf("%s after %.0f s", s.End, s.Ended.Seconds())
}

// String names the part.
func (p Part) String() string {
	switch {
	case p.Kind == kindPlain:
		line, _, _ := strings.Cut(string(p.Bytes[:min(len(p.Bytes), maxHead)]), "\r\n")
		return fmt.Sprintf("%d bytes %s", p.Size, strconv.QuoteToASCII(line))
	case p.Kind == kindAlert && len(p.Bytes) == 2:
		return fmt.Sprintf("alert %d", p.Bytes[1])
	case p.Kind == kindAlert:
		return fmt.Sprintf("alert of %d bytes", p.Size)
	}
	return p.Kind + " " + strconv.Itoa(p.Size)
}

// firsts returns the median time to the first byte, 0 when none of them got one.
func firsts(sights []Sight) time.Duration {
	var all []time.Duration
	for _, s := range sights {
		if s.First > 0 {
			all = append(all, s.First)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
