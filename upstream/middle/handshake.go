package middle

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
)

// Opened sends our nonce (spec upstream-protocols 2.3).
func (l *link) Opened(s upstream.Socket) {
	r := l.router
	if l.stage != Dialling {
		return
	}
	l.heardAt = r.loop.Now()
	s.SetTimer(l.heardAt + shakeTime)
	local := s.Local()
	l.local = local
	if !r.opts.Proxied || !dcmap.IsPublic(local.Addr()) {
		l.local = netip.AddrPortFrom(r.book.PublicAddr(local.Addr()), local.Port())
	}
	l.nonce = rpc.Nonce{Selector: l.secret.Selector(), Schema: rpc.SchemaAES, Time: uint32(r.loop.Unix())}
	r.loop.Rand(l.nonce.Random[:])
	l.enter(Nonce)
	l.say(l.nonce.Append(nil))
}

// say sends one frame at once.
func (l *link) say(body []byte) {
	l.out = l.enc.Append(l.out, body)
	l.flush()
}

// takeNonce checks the middle proxy's nonce and answers with our handshake, the first encrypted frame.
func (l *link) takeNonce(body []byte) error {
	r := l.router
	answer, err := rpc.ParseNonce(body)
	if err != nil {
		return err
	}
	l.skew = answer.Skew(r.loop.Unix())
	r.Count.Skew = l.skew
	if err := l.nonce.Accept(&answer, r.loop.Unix()); err != nil {
		return err
	}
	nonces := full.Nonces{
		ProxyAddr: l.local, MiddleAddr: l.host.addr,
		ProxyNonce: l.nonce.Random, MiddleNonce: answer.Random, Time: l.nonce.Time,
	}
	up, down, err := nonces.Derive(l.secret)
	if err != nil {
		return err
	}
	l.enc.Start(&up)
	l.dec.Start(&down)
	l.hello.Sender = r.opts.Process
	l.hello.Sender.IP, l.hello.Sender.Port = rpc.IPOf(l.local.Addr()), 0
	l.hello.Peer = rpc.ProcessID{IP: rpc.IPOf(l.host.addr.Addr()), Port: l.host.addr.Port()}
	if !r.opts.NoCRC32C {
		l.hello.Flags = rpc.HandshakeCRC32C
	}
	l.enter(Handshake)
	l.say(l.hello.Append(nil))
	return nil
}

// takeHandshake checks the middle proxy's handshake; then the link is ready.
func (l *link) takeHandshake(body []byte) error {
	answer, err := rpc.ParseHandshake(body)
	if err != nil {
		if e, ok := rpc.ParseHandshakeError(body); ok {
			l.code = e.Code
		}
		return err
	}
	crc32c, err := l.hello.Accept(&answer)
	if err != nil {
		return err
	}
	if crc32c {
		l.enc.UseCRC32C()
		l.dec.UseCRC32C()
	}
	now := l.router.loop.Now()
	l.readyAt, l.emptyAt = now, now
	l.socket.SetTimer(now + pingTime)
	l.router.oldKey = l.old
	l.enter(Ready)
	l.pool.welcome(l)
	return nil
}

// enter moves the link to a stage and counts it there.
func (l *link) enter(next Stage) {
	c := &l.pool.count.Links
	c[l.stage]--
	if next != Dead {
		c[next]++
	}
	l.stage = next
}

// report tells of a link that failed before it was ready, and says whether wrong keys are the likely cause.
func (l *link) report(was Stage, why codec.Reason) (mute bool) {
	r := l.router
	mute = was == Handshake && (why == codec.ReasonLinkMute || why == codec.ReasonLinkTime)
	r.Count.Failed[why]++
	if why == codec.ReasonLinkRefused {
		r.Count.refuse(l.code)
	}
	// One that does not know our selector may also end the link at our nonce.
	stale := why == codec.ReasonLinkSelector || was == Nonce && (why == codec.ReasonUpstreamClosed || why == codec.ReasonUpstreamReset)
	if stale && r.opts.Stale != nil && r.loop.Now() >= r.staleAt {
		r.staleAt = r.loop.Now() + staleEvery
		r.opts.Stale()
	}
	if mute || stale {
		_, _, ok := r.book.Alternate(r.loop.Unix())
		r.oldKey = ok && !l.old
	}
	if r.opts.Report != nil {
		r.opts.Report(Report{
			DC: l.pool.dc, Addr: l.host.addr, Stage: was, Why: why, Code: l.code, Skew: l.skew, Hint: mute,
		})
	}
	return mute
}
