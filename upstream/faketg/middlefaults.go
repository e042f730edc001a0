package faketg

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/codec/rpc"
)

// MiddleFaults is how a middle proxy misbehaves; numbers are rows of spec upstream-protocols 8. The zero value is a
// good one.
type MiddleFaults struct {
	// The socket.
	Refuse  bool          // 3: reset each connection as soon as it is accepted
	HangUp  bool          // 3: close it
	Deaf    bool          // 4: accept, then read nothing
	Trickle time.Duration // 4: between the bytes, which come one at a time
	LifeMin time.Duration // a link's life ends by Then, or FIN, between these two; 0 is never
	LifeMax time.Duration

	// The nonce.
	NoNonce       bool    // 4: never answer the nonce
	OtherSelector bool    // 5: name another secret
	Skew          int32   // 6: seconds to add to the clock
	Schema        *uint32 // 8: in place of 1; 2 comes with no further selectors, which is fine
	NonceSeq      bool    // 9: sequence number -1
	NonceSum      bool    // 9: a wrong checksum
	Mirror        bool    // 10: the proxy's own random bytes
	Early         bool    // 42: a ping in clear behind the nonce

	// The handshake.
	WrongKeys      bool              // 11: understand nothing of what is encrypted, and close
	NoHandshake    bool              // 11: never answer the handshake
	HandshakeError rpc.HandshakeCode // 12: refuse with this code
	HandshakeFlags uint32            // 13: flags to add
	ForceCRC32C    bool              // 14: take up CRC-32C, offered or not
	OtherPID       bool              // 15: answer another process
	Pipelined      bool              // 42: a ping in the handshake's own write, which is fine

	// Later.
	Then  Fault  // once per link,
	After uint64 // after so many answers; 0 is right behind the handshake

	// Manners that are no faults.
	PadEach     bool // fill up every frame to whole blocks, as some peers do, not every write
	ClearFiller bool // one filler in clear behind the nonce, as some peers send
}

// Fault is what an open link can be struck with, once, at any time.
type Fault uint8

// The faults; numbers are rows of spec upstream-protocols 8.
const (
	FaultNone         Fault = iota
	FaultSum                // 16: a frame with a wrong checksum
	FaultSeq                // 17: a frame out of sequence
	FaultOdd                // 18: a length that is no multiple of 4
	FaultShort              // 18: a length of 8
	FaultHuge               // 19: a length of 0x7ffffffc
	FaultTorn               // 20: half a write, then RST
	FaultFIN                // 21
	FaultReset              // 21
	FaultSilence            // 22: half open: nothing comes any more, not even pongs
	FaultStrayAnswer        // 23: an answer for a stream that never was
	FaultStrayClose         // 24: a CLOSE_EXT for one
	FaultStrayAck           // 25: a SIMPLE_ACK for one
	FaultUnknown            // 26: a message that nobody knows, 4 bytes
	FaultEmpty              // 27: an answer without data
	FaultLarge              // 28: the longest answer that a frame holds, 16 MiB
	FaultDeaf               // 29: reading stops
	FaultPings              // 38: a thousand pings
	FaultPing               // one ping, which is fine
	FaultMalformed          // a SIMPLE_ACK that is too short
	FaultCloseStream        // CLOSE_EXT for one stream, which is fine
	FaultCloseStreams       // CLOSE_EXT for all streams
	FaultCloseConn          // CLOSE_CONN for one stream, which is the proxy's message
	FaultNotFound           // the answer -404 for one stream, as to an unknown key (spec client-protocols 2.4)
	faultCount
)

var faultNames = [faultCount]string{
	"none", "sum", "seq", "odd", "short", "huge", "torn", "fin", "reset", "silence", "stray-answer", "stray-close",
	"stray-ack", "unknown", "empty", "large", "deaf", "pings", "ping", "malformed", "close-stream", "close-streams",
	"close-conn", "not-found",
}

// String returns the word that ParseFault takes.
func (f Fault) String() string {
	if f < faultCount {
		return faultNames[f]
	}
	return "unknown"
}

// ParseFault returns the fault of a word.
func ParseFault(word string) (Fault, error) {
	if i := slices.Index(faultNames[:], word); i >= 0 {
		return Fault(i), nil
	}
	return 0, fmt.Errorf("faketg: fault %q is none of %s", word, strings.Join(faultNames[:], ", "))
}

var errFaultValue = errors.New("has a wrong value")

// Set adds one fault, as a command line names it: "mirror", "skew=40", "then=fin", "life=2s-10s".
func (f *MiddleFaults) Set(text string) (err error) {
	word, value, has := strings.Cut(text, "=")
	if on := f.flag(word); on != nil {
		*on = true
		if has {
			return fmt.Errorf("faketg: %q %w: it takes none", text, errFaultValue)
		}
		return nil
	}
	switch word {
	case "trickle":
		f.Trickle, err = time.ParseDuration(value)
	case "life":
		low, high, _ := strings.Cut(value, "-")
		if f.LifeMin, err = time.ParseDuration(low); err == nil {
			f.LifeMax, err = time.ParseDuration(high)
		}
		if err == nil && (f.LifeMin <= 0 || f.LifeMax < f.LifeMin) {
			err = errFaultValue
		}
	case "skew":
		var n int64
		n, err = strconv.ParseInt(value, 0, 32)
		f.Skew = int32(n)
	case "schema":
		var n uint64
		n, err = strconv.ParseUint(value, 0, 32)
		f.Schema = new(uint32(n))
	case "refuse-handshake":
		var n int64
		n, err = strconv.ParseInt(value, 0, 32)
		f.HandshakeError = rpc.HandshakeCode(n)
	case "flags":
		var n uint64
		n, err = strconv.ParseUint(value, 0, 32)
		f.HandshakeFlags = uint32(n)
	case "after":
		f.After, err = strconv.ParseUint(value, 0, 64)
	case "then":
		f.Then, err = ParseFault(value)
		return err
	default:
		return fmt.Errorf("faketg: fault %q is not known", word)
	}
	if err != nil {
		return fmt.Errorf("faketg: %q %w", text, errFaultValue)
	}
	return nil
}

// flag returns the switch of a word that takes no value, or nil.
func (f *MiddleFaults) flag(word string) *bool {
	switch word {
	case "refuse":
		return &f.Refuse
	case "hang-up":
		return &f.HangUp
	case "deaf":
		return &f.Deaf
	case "no-nonce":
		return &f.NoNonce
	case "selector":
		return &f.OtherSelector
	case "nonce-seq":
		return &f.NonceSeq
	case "nonce-sum":
		return &f.NonceSum
	case "mirror":
		return &f.Mirror
	case "early":
		return &f.Early
	case "wrong-keys":
		return &f.WrongKeys
	case "no-handshake":
		return &f.NoHandshake
	case "crc32c":
		return &f.ForceCRC32C
	case "pid":
		return &f.OtherPID
	case "pipelined":
		return &f.Pipelined
	case "pad-each":
		return &f.PadEach
	case "filler":
		return &f.ClearFiller
	}
	return nil
}
