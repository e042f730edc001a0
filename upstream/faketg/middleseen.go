package faketg

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// LinkSeen is one link that opened properly.
type LinkSeen struct {
	DC     codec.DC       // of the listener
	Proxy  netip.AddrPort // as the middle proxy sees it
	Here   netip.AddrPort // as it was dialled
	Flags  uint32         // of the proxy's handshake
	CRC32C bool           // in use
}

// StreamSeen is one stream as its first request described it.
type StreamSeen struct {
	ID            uint64
	DC            codec.DC       // of the listener
	Link          netip.AddrPort // the proxy's end of the link
	Client, Proxy netip.AddrPort
	Tagged        bool
	Tag           rpc.Tag
	Flags         uint32
	Transport     codec.Transport

	client, proxy rpc.Address
}

// MiddleSeen is what middle proxies saw up to a moment.
type MiddleSeen struct {
	Accepted, Refused, Open        uint64 // connections; Open now
	Nonces, Handshakes             uint64 // good ones
	BadNonces, BadHandshakes       uint64
	BadFrames                      uint64
	OpenLinks, OpenStreams         uint64 // now
	Streams                        uint64
	ClosedByProxy, ClosedByUs, Cut uint64 // streams; Cut by the end of their link
	Requests, Answers, Acks        uint64
	Pings, Pongs                   uint64 // from the proxy
	Up, Down                       uint64 // bytes of packets
	Received, Sent                 uint64 // bytes of the wire; Sent counts what was handed to sockets
	Struck                         uint64 // Faults done

	// What no proxy should do.
	Malformed      uint64 // messages of a wrong shape, or that only middle proxies send
	Unknown        uint64 // messages that nobody knows
	Changed        uint64 // requests whose addresses, tag or flags are not those of the first
	WrongFlags     uint64 // requests whose flags do not fit the packet, or name no transport
	Reused         uint64 // requests of a stream that the proxy closed
	AnsweredCloses uint64 // CLOSE_CONN after our CLOSE_EXT; one may have crossed it

	// What a proxy may do.
	Late        uint64 // requests that came after our CLOSE_EXT
	StrayCloses uint64 // CLOSE_CONN for a stream that is not known, as after FaultStrayAnswer

	LinkDCs    map[codec.DC]uint64        // links
	Tags       map[rpc.Tag]uint64         // streams
	Untagged   uint64                     // streams
	Transports map[codec.Transport]uint64 // streams
	LinkList   []LinkSeen                 // the first 1024
	StreamList []StreamSeen               // the first 1024
}

func (s *MiddleSeen) link(m *Middle) {
	s.Handshakes++
	s.OpenLinks++
	count(&s.LinkDCs, m.o.DC, 1)
	if len(s.LinkList) < maxOpenings {
		s.LinkList = append(s.LinkList, LinkSeen{DC: m.o.DC, Proxy: m.o.Proxy, Here: m.o.Here, Flags: m.theirs, CRC32C: m.crc32c})
	}
}

func (s *MiddleSeen) stream(one *StreamSeen) {
	s.Streams++
	s.OpenStreams++
	if one.Tagged {
		count(&s.Tags, one.Tag, 1)
	} else {
		s.Untagged++
	}
	count(&s.Transports, one.Transport, 1)
	if len(s.StreamList) < maxOpenings {
		s.StreamList = append(s.StreamList, *one)
	}
}

// fault counts what a link is closed for.
func (s *MiddleSeen) fault(at linkState) {
	switch at {
	case linkNonce:
		s.BadNonces++
	case linkHandshake:
		s.BadHandshakes++
	case linkOpen:
		s.BadFrames++
	}
}

// add sums what two loops saw.
func (s *MiddleSeen) add(o *MiddleSeen) {
	for sum, part := range map[*uint64]uint64{
		&s.Accepted: o.Accepted, &s.Refused: o.Refused, &s.Open: o.Open, &s.Nonces: o.Nonces, &s.Handshakes: o.Handshakes,
		&s.BadNonces: o.BadNonces, &s.BadHandshakes: o.BadHandshakes, &s.BadFrames: o.BadFrames, &s.OpenLinks: o.OpenLinks,
		&s.OpenStreams: o.OpenStreams, &s.Streams: o.Streams, &s.ClosedByProxy: o.ClosedByProxy, &s.ClosedByUs: o.ClosedByUs,
		&s.Cut: o.Cut, &s.Requests: o.Requests, &s.Answers: o.Answers, &s.Acks: o.Acks, &s.Pings: o.Pings, &s.Pongs: o.Pongs,
		&s.Up: o.Up, &s.Down: o.Down, &s.Received: o.Received, &s.Sent: o.Sent, &s.Struck: o.Struck, &s.Malformed: o.Malformed,
		&s.Unknown: o.Unknown, &s.Changed: o.Changed, &s.WrongFlags: o.WrongFlags, &s.Reused: o.Reused,
		&s.AnsweredCloses: o.AnsweredCloses, &s.Late: o.Late, &s.StrayCloses: o.StrayCloses, &s.Untagged: o.Untagged,
	} {
		*sum += part
	}
	for dc, n := range o.LinkDCs {
		count(&s.LinkDCs, dc, n)
	}
	for tag, n := range o.Tags {
		count(&s.Tags, tag, n)
	}
	for t, n := range o.Transports {
		count(&s.Transports, t, n)
	}
	s.LinkList = append(s.LinkList, o.LinkList...)
	s.StreamList = append(s.StreamList, o.StreamList...)
}

// count adds n to an entry of a map that may be nil.
func count[K comparable](m *map[K]uint64, key K, n uint64) {
	if *m == nil {
		*m = map[K]uint64{}
	}
	(*m)[key] += n
}
