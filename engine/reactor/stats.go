package reactor

import (
	"golang.org/x/sys/unix"

	"epoxy/codec"
)

// AcceptError is a kind of failure of accept.
type AcceptError uint8

// The kinds.
const (
	AcceptDescriptors AcceptError = iota // EMFILE, ENFILE: the listener rests
	AcceptMemory                         // ENOBUFS, ENOMEM: the listener rests
	AcceptAborted                        // the client was gone before it was accepted
	AcceptOther                          // network errors that accept hands on, and faults of the listener
	acceptErrors
)

// String returns the metric label.
func (e AcceptError) String() string {
	switch e {
	case AcceptDescriptors:
		return "descriptors"
	case AcceptMemory:
		return "memory"
	case AcceptAborted:
		return "aborted"
	case AcceptOther, acceptErrors:
	}
	return "other"
}

// acceptErrorOf sorts an errno of accept.
func acceptErrorOf(e unix.Errno) AcceptError {
	switch e {
	case unix.EMFILE, unix.ENFILE:
		return AcceptDescriptors
	case unix.ENOBUFS, unix.ENOMEM:
		return AcceptMemory
	case unix.ECONNABORTED, unix.ECONNRESET:
		return AcceptAborted
	default:
		return AcceptOther
	}
}

// Stats are the counters of one reactor since its start, and its gauges. A copy is a snapshot.
type Stats struct {
	Accepts      uint64               // connections accepted, refused ones included
	AcceptErrors [acceptErrors]uint64 // by AcceptError
	Refused      uint64               // by the Acceptor
	Dials        uint64               // connects begun
	DialErrors   uint64               // connects that failed, at once or later
	BytesIn      uint64
	BytesOut     uint64
	Reads        uint64 // read calls that brought bytes
	Writes       uint64 // write and writev calls that took bytes
	Partial      uint64 // writes after which bytes were queued
	Panics       uint64
	Stalls       uint64                // queues that did not move
	Rests        uint64                // times that a listener was masked for want of descriptors or memory
	Closes       [codec.Reasons]uint64 // sockets closed, by codec.Reason
	Batches      uint64                // ends of batches that had something to end
	Turns        uint64                // events and ready-list turns of sockets
	Timers       uint64                // Handler.Timer calls
	Tasks        uint64                // functions posted

	Open        int // sockets now, dialling and closing ones included
	Listeners   int // listeners now
	Masked      int // of these, resting for want of descriptors or memory
	Queued      int // bytes in the queues of all sockets
	ChunkMemory int // bytes of the chunks they lie in, the reserve included
}
