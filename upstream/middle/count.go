package middle

import (
	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
)

// Counters are a router's counts since its start; the loop alone touches them. Held bytes are in Router.Waiting.
type Counters struct {
	Streams  int64                 // alive
	Opened   uint64                // begun
	Closed   [codec.Reasons]uint64 // ended, by reason; of those that the client ended, by the session's
	Held     uint64                // begun without a link
	HeldLate uint64                // closed because no link came in time

	Dials   uint64
	Ready   uint64                // links that became ready
	Failed  [codec.Reasons]uint64 // links that did not, by reason
	Refused [refusals]uint64      // of ReasonLinkRefused by code, see Refusal
	Ended   [codec.Reasons]uint64 // ready links that ended, by reason
	Skew    int32                 // seconds that the last middle proxy's clock was ahead

	Migrated [outcomes]uint64 // streams whose link ended, by Outcome

	PacketsUp, PacketsDown, Acks uint64
	BytesUp, BytesDown           uint64 // of links, on the wire

	Dropped          uint64 // packets of clients that no app sends
	Empty            uint64 // answers without data
	Filtered         uint64 // -404
	UnknownAnswers   uint64 // for ids that nobody has
	UnknownCloses    uint64
	UnknownMessages  uint64
	Malformed        uint64
	ClosedByTelegram uint64
	PingsIn          uint64
	PingsOut         uint64
	Pongs            uint64

	Stalled    uint64 // times that a client was paused for its link
	LinkPauses uint64 // times that links were paused for the loop's budget
	Shed       uint64 // streams closed for the loop's budget
	Fallbacks  uint64 // requests for a DC that the address book does not have

	ByDC map[codec.DC]*DCCount // by the id that serves
}

// DCCount counts one DC's links and streams.
type DCCount struct {
	Links   [stages]int64 // now, by Stage
	Streams int64         // alive
	Opened  uint64
	RTT     int64 // ms of the last answered ping
}

// Outcomes and Stages are how many there are.
const (
	Outcomes = int(outcomes)
	Stages   = int(stages)
)

// String returns the metric label.
func (o Outcome) String() string { return outcomeNames[o] }

// Waiting returns the bytes of memory that wait for clients: queues of slow ones, and torn packets.
func (r *Router) Waiting() int { return r.held }

// refusals are the codes that have a count of their own, and the others.
const refusals = 6

// Refusal returns the code of an entry of Counters.Refused; 0 is any other.
func Refusal(i int) rpc.HandshakeCode {
	return [refusals]rpc.HandshakeCode{
		0, rpc.RefusedPacket, rpc.RefusedPeer, rpc.RefusedSender, rpc.RefusedFlags, rpc.RefusedCRC32C,
	}[i]
}

// refuse counts a refused handshake.
func (c *Counters) refuse(code rpc.HandshakeCode) {
	for i := range refusals {
		if i > 0 && Refusal(i) == code {
			c.Refused[i]++
			return
		}
	}
	c.Refused[0]++
}

// notFound reports the transport error -404.
func notFound(packet []byte) bool {
	code, ok := frame.TransportError(packet)
	return ok && code == frame.ErrorNotFound
}
