package ping

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"epoxy/codec/frame"
)

// Fault is the kind of a failure; its word stands in --json.
type Fault uint8

// The faults, by step.
const (
	None Fault = iota

	NoName      // dial: the server's name has no address
	Refused     // dial: nothing listens there
	DialTime    // dial: nobody answered in time
	DialFailed  // dial: no route, no descriptor
	HelloUnmade // tls: the domain fits no hello

	HelloClosed  // tls: closed or reset without an answer
	HelloSilent  // tls: nothing came in time
	HelloForeign // tls: a TLS server without the secret answered
	HelloNotTLS  // tls: something else answered

	AnswerClosed   // answer: closed or reset behind the opening
	AnswerSilent   // answer: nothing came in time
	AnswerForeign  // answer: a web server answered
	AnswerGarbage  // answer: what came does not decipher to a packet
	AnswerOther    // answer: a packet, but no answer to our question
	TransportError // answer: Telegram answered with an error of 4 bytes

	// What several results together say.
	NotAllowed // the secret is right, and the protocol does not work
	DCDown     // secret and protocol are right, and the datacenter does not answer
	WrongClock // the secret is right, and the clock is not

	Interrupted // the context ended
	faults
)

var faultNames = [faults]string{
	"none", "no_name", "refused", "dial_timeout", "dial_failed", "hello_unmade", "hello_closed", "hello_silent",
	"hello_foreign", "hello_not_tls", "answer_closed", "answer_silent", "answer_foreign", "answer_garbage", "answer_other",
	"transport_error", "not_allowed", "dc_down", "wrong_clock", "interrupted",
}

// String returns the word.
func (f Fault) String() string {
	if f < faults {
		return faultNames[f]
	}
	return "unknown"
}

// Error is why a step failed: what was seen, what that hints at, and the cure.
type Error struct {
	Fault Fault
	Code  int32  // of TransportError
	Seen  string // half a sentence each
	Hint  string

	at    time.Time     // by this machine's clock
	ahead time.Duration // of WrongClock
	cause error
}

// Error returns the sentence. It never holds a secret.
func (e *Error) Error() string { return e.Seen + ": " + e.Hint }

// Unwrap returns what the system said, if anything.
func (e *Error) Unwrap() error { return e.cause }

func dialError(err error) *Error {
	e := &Error{Fault: DialFailed, cause: err}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		e.Fault = NoName
		return e
	}
	switch {
	case timeout(err):
		e.Fault = DialTime
	case strings.Contains(err.Error(), "connection refused"):
		e.Fault = Refused
	}
	return e
}

// helloError judges what came instead of a flight; err is how it ended, nil for not yet.
func helloError(p []byte, err error) *Error {
	switch {
	case bytes.HasPrefix(p, []byte{0x16, 3}), isAlert(p):
		return &Error{Fault: HelloForeign, cause: err}
	case len(p) > 0:
		return &Error{Fault: HelloNotTLS, cause: err}
	}
	return ended(err, HelloClosed, HelloSilent)
}

// ended is closed or silent, as err says.
func ended(err error, closed, silent Fault) *Error {
	if timeout(err) {
		return &Error{Fault: silent, cause: err}
	}
	return &Error{Fault: closed, cause: err}
}

// isAlert reports a TLS alert in clear.
func isAlert(p []byte) bool {
	return len(p) >= 5 && p[0] == 0x15 && p[1] == 3 && p[3] == 0 && p[4] == 2
}

func timeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return errors.Is(err, os.ErrDeadlineExceeded) || ok && e.Timeout()
}

// how says whether a connection was closed or reset.
func how(err error) string {
	if err == nil || errors.Is(err, io.EOF) {
		return "closed"
	}
	return "reset"
}

// plain is an error of the system without the addresses in it.
func plain(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		err = op.Err
	}
	return err.Error()
}

// transportHint says what one of Telegram's errors means (spec client-protocols 2.4).
func transportHint(code int32) string {
	switch code {
	case frame.ErrorNotFound:
		return "the datacenter could not make sense of the question, so the proxy or something behind it changes packets"
	case frame.ErrorFlood:
		return "the proxy's address makes too many connections; wait, or give the proxy more addresses"
	case frame.ErrorBadDC:
		return "the proxy's connection ended at another datacenter, or there is none of this number; check the proxy's list of addresses"
	}
	return "Telegram refuses the proxy's connection"
}
