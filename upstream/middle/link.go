package middle

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
)

// Stage says where a link stands.
//
//	Dialling > Nonce > Handshake > Ready > Draining > Dead
//
// Any stage may go to Dead at once.
type Stage uint8

// The stages.
const (
	Dialling  Stage = iota
	Nonce           // ours went, theirs is awaited
	Handshake       // the same, encrypted
	Ready
	Draining // serves its streams, takes no others
	Dead
	stages
)

var stageNames = [stages]string{"dialling", "nonce", "handshake", "ready", "draining", "dead"}

// String returns the metric label.
func (s Stage) String() string { return stageNames[s] }

// link is one connection to a middle proxy and the Handler of its socket.
type link struct {
	router *Router
	pool   *pool
	host   *host
	socket upstream.Socket
	stage  Stage

	// Of the carrier.
	enc    full.Encoder
	dec    full.Decoder
	out    []byte // frames in clear, until flush
	soiled bool   // out is in router.dirty

	// Of the opening.
	secret dcmap.Secret
	old    bool // secret is the one before
	local  netip.AddrPort
	nonce  rpc.Nonce
	hello  rpc.Handshake
	code   rpc.HandshakeCode
	skew   int32

	// Of a ready link.
	streams  list
	stalled  []*Stream // that wait until the socket drained
	readyAt  int64
	emptyAt  int64 // when the last stream left
	drainEnd int64
	heardAt  int64 // when bytes came last
	pinged   bool  // and no byte came since
	pingAt   int64
	number   uint64 // of the last ping
	pings    int    // of the middle proxy in this second
	pingsAt  int64
	unknown  [unknownSlots]struct {
		id uint64
		at int64
	}
}

// backlog returns how many bytes wait to go up.
func (l *link) backlog() int { return l.socket.Queued() + len(l.out) }

// soil notes that there are n more bytes to flush, with the turn, or with all other links at once when they are many.
func (l *link) soil(n int) {
	r := l.router
	if !l.soiled {
		l.soiled = true
		if r.dirty = append(r.dirty, l); len(r.dirty) == 1 {
			r.later()
		}
	}
	if r.unsent += n; r.unsent >= flushTotal || len(l.out) >= flushSize {
		l.pool.bulkAt = r.loop.Now()
		r.flush()
	}
}

// flush encrypts and sends what is in out.
func (l *link) flush() {
	l.out = l.enc.Flush(l.out, 0)
	l.send()
}

// send writes what is in out, which is encrypted.
func (l *link) send() {
	if len(l.out) == 0 {
		return
	}
	l.router.Count.BytesUp += uint64(len(l.out))
	l.socket.Write(l.out)
	if l.out = l.out[:0]; cap(l.out) > outKeep {
		l.out = nil
	}
}

// message appends a message to out.
func (l *link) message(body []byte) {
	l.out = l.enc.Append(l.out, body)
	l.soil(len(body))
}

// closeConn tells the middle proxy that a stream is over.
func (l *link) closeConn(id uint64) {
	if l.stage != Ready && l.stage != Draining {
		return
	}
	var room [16]byte
	l.message(rpc.AppendCloseConn(room[:0], id))
}

// Data takes what the middle proxy sent.
func (l *link) Data(_ upstream.Socket, p []byte) {
	r := l.router
	r.Count.BytesDown += uint64(len(p))
	l.heardAt = r.loop.Now()
	if l.pinged {
		l.pinged = false
		l.socket.SetTimer(l.heardAt + pingTime)
	}
	if len(r.batch.parcels) > 0 {
		r.batch.forget()
	}
	l.dec.Feed(p)
	var fault error
	for fault == nil && l.stage != Dead {
		body, err := l.dec.Next()
		switch {
		case err == codec.ErrShort:
			r.deliver()
			if r.overBudget() {
				r.relieve()
			}
			return
		case err != nil:
			fault = err
		case l.stage == Nonce:
			fault = l.takeNonce(body)
		case l.stage == Handshake:
			fault = l.takeHandshake(body)
		default:
			fault = l.take(body)
		}
	}
	r.deliver()
	if fault != nil {
		l.fail(codec.ReasonOf(fault, codec.ReasonMessage))
	}
}

// take acts on one message of a ready link.
func (l *link) take(body []byte) error {
	r := l.router
	m, err := rpc.Parse(body)
	if err != nil {
		r.Count.Malformed++
		return nil //nolint:nilerr // the link is still in step
	}
	switch m.Kind {
	case rpc.Answer, rpc.SimpleAck:
		l.takeAnswer(&m, body)
	case rpc.CloseExt, rpc.CloseConn:
		if s := l.find(m.ID); s != nil {
			r.Count.ClosedByTelegram++
			r.batch.parcel(s).close = true
		} else {
			r.Count.UnknownCloses++
		}
	case rpc.Ping:
		return l.takePing(m.ID)
	case rpc.Pong:
		r.Count.Pongs++
		if m.ID == l.number {
			l.pool.count.RTT = r.loop.Now() - l.pingAt
		}
	case rpc.Request, rpc.Unknown:
		r.Count.UnknownMessages++
	}
	return nil
}

// find returns the stream of this link with an id.
func (l *link) find(id uint64) *Stream {
	if s := l.router.table.find(id); s != nil && s.link == l {
		return s
	}
	return nil
}

// takeAnswer puts an answer or a quick ack into the batch.
func (l *link) takeAnswer(m *rpc.Message, body []byte) {
	r := l.router
	s := l.find(m.ID)
	if s == nil {
		l.disown(m.ID)
		return
	}
	s.flags &^= pending
	s.down = r.stamp()
	if m.Kind == rpc.SimpleAck {
		r.Count.Acks++
		r.batch.add(s, segment{confirm: m.Confirm})
		return
	}
	r.Count.PacketsDown++
	first := s.flags&answered == 0
	s.flags |= answered
	switch {
	case len(m.Data) == 0:
		r.Count.Empty++
	case len(m.Data) > maxAnswer:
		s.leave(codec.ReasonAnswerSize)
	case r.opts.Filter != FilterOff && (first || r.opts.Filter == FilterOn) && notFound(m.Data):
		r.Count.Filtered++
	default:
		r.batch.add(s, segment{body: body})
	}
}

// disown tells the middle proxy that nobody has an id, once a second for each.
func (l *link) disown(id uint64) {
	now := l.router.loop.Now()
	l.router.Count.UnknownAnswers++
	u := &l.unknown[(id^id>>slotShift)%unknownSlots]
	if u.id == id && now-u.at < unknownEvery {
		return
	}
	u.id, u.at = id, now
	l.closeConn(id)
}

// takePing answers a ping at once.
func (l *link) takePing(number uint64) error {
	r := l.router
	if now := r.loop.Now(); now-l.pingsAt >= 1000 {
		l.pingsAt, l.pings = now, 0
	}
	r.Count.PingsIn++
	if l.pings++; l.pings > maxPings {
		return errFlood
	}
	var room [16]byte
	l.message(rpc.AppendPong(room[:0], number))
	l.flush()
	return nil
}

var errFlood = codec.NewError(codec.ReasonLinkFlood, "middle: a link that pings too often")

// Timer ends an opening that takes too long, and looks whether a ready link lives.
func (l *link) Timer(upstream.Socket) {
	now := l.router.loop.Now()
	silence := now - l.heardAt
	switch l.stage {
	case Nonce, Handshake:
		l.fail(codec.ReasonLinkTime)
	case Ready, Draining:
		switch {
		case l.pinged && now-l.pingAt >= deadTime-pingTime:
			l.fail(codec.ReasonLinkDead)
		case l.pinged:
			l.socket.SetTimer(l.pingAt + deadTime - pingTime)
		case silence >= pingTime:
			l.ping(now)
		default:
			l.socket.SetTimer(l.heardAt + pingTime)
		}
	case Dialling, Dead, stages:
	}
}

// ping asks whether anybody is there.
func (l *link) ping(now int64) {
	l.dec.Compact()
	l.out = append([]byte(nil), l.out...)
	l.number++
	l.pinged, l.pingAt = true, now
	l.router.Count.PingsOut++
	var room [16]byte
	l.message(rpc.AppendPing(room[:0], l.number))
	l.flush()
	l.socket.SetTimer(now + deadTime - pingTime)
}

// Drained lets those go on that wait to send.
func (l *link) Drained(upstream.Socket) {
	for i, s := range l.stalled {
		l.stalled[i] = nil
		if s.link == l && s.flags&waiting != 0 {
			s.flags &^= waiting
			s.sink.SendDrained()
		}
	}
	l.stalled = l.stalled[:0]
}

// Again is not used.
func (l *link) Again(upstream.Socket) {}

// EOF says that the middle proxy ends the link, as it does every minute or so.
func (l *link) EOF(upstream.Socket) {
	if l.stage != Dead {
		l.lost(codec.ReasonUpstreamClosed)
		l.socket.Close(codec.ReasonUpstreamClosed)
	}
}

// Closed is the socket's last word.
func (l *link) Closed(_ upstream.Socket, why codec.Reason) {
	switch why { // what the socket calls its peer is Telegram
	case codec.ReasonPeerReset:
		why = codec.ReasonUpstreamReset
	case codec.ReasonPeerClosed:
		why = codec.ReasonUpstreamClosed
	default: //exhaustive:ignore
	}
	if l.stage != Dead {
		l.lost(why)
	}
}
