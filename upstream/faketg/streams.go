package faketg

import (
	"cmp"
	"maps"
	"slices"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// Behind is a datacenter elsewhere, to which a Middle hands the packets of its streams instead of thinking itself.
// What it has to say goes down by Middle.Answer, Ack and CloseExt; never from inside these calls.
type Behind interface {
	// Packet brings a packet of a stream, which may be the first. It lives until the call returns. When there is
	// no way on the result is false, and the stream is closed.
	Packet(id uint64, packet []byte, quick bool) bool
	// Closed says that the proxy closed the stream.
	Closed(id uint64)
}

// stream is one client on a link.
type stream struct {
	StreamSeen
	mind    Mind
	listed  bool // among the sources
	closing bool
}

// closer says who closed a stream.
type closer uint8

const (
	closedByProxy closer = iota + 1
	closedByUs
)

// message takes one message of an open link.
func (m *Middle) message(out, body []byte) []byte {
	msg, err := rpc.Parse(body)
	if err != nil {
		m.seen.Malformed++
		return out
	}
	switch msg.Kind {
	case rpc.Request:
		return m.request(out, body)
	case rpc.CloseConn:
		m.closeConn(msg.ID)
	case rpc.Ping:
		m.seen.Pings++
		return m.send(out, rpc.AppendPong(m.body[:0], msg.ID))
	case rpc.Pong:
		m.seen.Pongs++
	case rpc.Answer, rpc.SimpleAck, rpc.CloseExt: // those are ours to send
		m.seen.Malformed++
	case rpc.Unknown:
		m.seen.Unknown++
	}
	return out
}

// request takes a client's packet and answers it.
func (m *Middle) request(out, body []byte) []byte {
	q, err := rpc.ParseRequest(body)
	if err != nil || q.ID == 0 {
		m.seen.Malformed++
		return out
	}
	switch m.gone[q.ID] {
	case closedByProxy:
		m.seen.Reused++
		return out
	case closedByUs: // it crossed our close
		m.seen.Late++
		return out
	}
	m.seen.Requests++
	m.seen.Up += uint64(len(q.Packet))
	s := m.streams[q.ID]
	if s == nil {
		s = m.open(&q)
	} else if tag, _ := q.Tag(); q.Client != s.client || q.Proxy != s.proxy || tag != s.Tag || (q.Flags^s.Flags)&^flagsPacket != 0 {
		m.seen.Changed++
	}
	if rpc.Plain(q.Packet) != (q.Flags&rpc.FlagPlain != 0) || s.Transport == codec.TransportNone {
		m.seen.WrongFlags++
	}
	quick := q.Flags&rpc.FlagQuickAck != 0
	if m.o.Behind != nil {
		if !m.o.Behind.Packet(q.ID, q.Packet, quick) {
			out = m.closeExt(out, q.ID)
		}
		return out
	}
	if quick {
		m.seen.Acks++
		out = m.send(out, rpc.AppendSimpleAck(m.body[:0], q.ID, Confirm(q.Packet)))
	}
	out = m.append(out, s, s.mind.Answer(q.Packet))
	if s.mind.Left() > 0 && !s.listed {
		s.listed = true
		m.sources = append(m.sources, s)
	}
	return out
}

// open registers the stream of its first request.
func (m *Middle) open(q *rpc.Query) *stream {
	tag, tagged := q.Tag()
	s := &stream{StreamSeen: StreamSeen{
		ID: q.ID, DC: m.o.DC, Link: m.o.Proxy, Client: q.Client.AddrPort(), Proxy: q.Proxy.AddrPort(),
		Tagged: tagged, Tag: tag, Flags: q.Flags, Transport: transportOf(q.Flags), client: q.Client, proxy: q.Proxy,
	}}
	m.streams[q.ID] = s
	m.seen.stream(&s.StreamSeen)
	return s
}

// flagsPacket are the flags that may differ from packet to packet.
const flagsPacket = rpc.FlagPlain | rpc.FlagQuickAck

// transportOf returns the transport that a request's flags tell of (spec upstream-protocols 3.1). The official proxy
// leaves FlagPad out, so padded clients look intermediate then.
func transportOf(flags uint32) codec.Transport {
	if flags&rpc.FlagMagic == 0 || flags&rpc.FlagObfuscated == 0 {
		return codec.TransportNone
	}
	switch flags & (rpc.FlagAbridged | rpc.FlagIntermediate | rpc.FlagPad) {
	case rpc.FlagAbridged:
		return codec.Abridged
	case rpc.FlagIntermediate:
		return codec.Intermediate
	case rpc.FlagIntermediate | rpc.FlagPad:
		return codec.Padded
	}
	return codec.TransportNone
}

// closeConn ends a stream that the proxy closed.
func (m *Middle) closeConn(id uint64) {
	s := m.streams[id]
	switch {
	case s != nil:
		m.forget(s, closedByProxy)
		m.seen.ClosedByProxy++
		if m.o.Behind != nil {
			m.o.Behind.Closed(id)
		}
	case m.gone[id] == closedByUs:
		m.seen.AnsweredCloses++
	default:
		m.seen.StrayCloses++
	}
}

// closeExt ends a stream by CLOSE_EXT.
func (m *Middle) closeExt(out []byte, id uint64) []byte {
	if s := m.streams[id]; s != nil {
		m.forget(s, closedByUs)
		m.seen.ClosedByUs++
		out = m.send(out, rpc.AppendCloseExt(m.body[:0], id))
	}
	return out
}

func (m *Middle) forget(s *stream, by closer) {
	s.closing = true
	delete(m.streams, s.ID)
	m.seen.OpenStreams--
	if len(m.gone) < maxGone {
		m.gone[s.ID] = by
	}
}

// drop forgets the link and its streams, whose socket is gone.
func (m *Middle) drop() {
	for id := range m.streams {
		m.seen.OpenStreams--
		m.seen.Cut++
		if m.o.Behind != nil {
			m.o.Behind.Closed(id)
		}
	}
	clear(m.streams)
	m.sources = nil
	if m.state == linkOpen {
		m.seen.OpenLinks--
	}
}

// append appends r as an answer to s, and the fault that is due after it.
func (m *Middle) append(out []byte, s *stream, r Reply) []byte {
	if r.Size == 0 {
		return out
	}
	at := len(out)
	out = rpc.AppendAnswer(m.enc.Begin(out), 0, s.ID, nil)
	out = m.close(r.Append(out, m.o.Rand), at)
	return m.answered(out, r.Size)
}

func (m *Middle) answered(out []byte, size int) []byte {
	m.answers++
	m.seen.Answers++
	m.seen.Down += uint64(size)
	if m.faults.Then != FaultNone && m.answers == m.faults.After {
		out = m.do(out, m.faults.Then)
	}
	return out
}

// Answer appends an answer with data, whole words, to a stream, if it is open.
func (m *Middle) Answer(out []byte, id uint64, data []byte) []byte {
	if m.end != EndNone || m.streams[id] == nil {
		return out
	}
	m.at = len(out)
	at := len(out)
	out = m.close(rpc.AppendAnswer(m.enc.Begin(out), 0, id, data), at)
	return m.flush(m.answered(out, len(data)))
}

// Ack appends a quick ack to a stream, if it is open.
func (m *Middle) Ack(out []byte, id uint64, confirm uint32) []byte {
	if m.streams[id] == nil {
		return out
	}
	m.seen.Acks++
	return m.Say(out, rpc.AppendSimpleAck(nil, id, confirm))
}

// CloseExt appends the end of a stream, if it is open.
func (m *Middle) CloseExt(out []byte, id uint64) []byte {
	if m.end != EndNone {
		return out
	}
	m.at = len(out)
	return m.flush(m.closeExt(out, id))
}

// IDs returns the open streams, sorted.
func (m *Middle) IDs() []uint64 { return slices.SortedFunc(maps.Keys(m.streams), cmp.Compare) }

// Left reports whether any OpSource waits for Pull.
func (m *Middle) Left() bool { return len(m.sources) > 0 && m.end != EndSilence && m.end < EndFIN }

// Pull appends packets of the running OpSources, one of each stream in turn, until out grew by size bytes or more,
// or nothing is left.
func (m *Middle) Pull(out []byte, size int) []byte {
	from := len(out)
	m.at = from
	for len(out)-from < size && m.Left() {
		s := m.sources[0]
		m.sources = m.sources[1:]
		if !s.closing {
			out = m.append(out, s, s.mind.Pull())
			if s.mind.Left() > 0 {
				m.sources = append(m.sources, s)
				continue
			}
		}
		s.listed = false
	}
	return m.flush(out)
}
