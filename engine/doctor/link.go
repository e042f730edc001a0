package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream/dcmap"
)

// link opens a link to a middle proxy, up to the end of its handshake (spec upstream-protocols 2.3 to 2.5).
func (d *doctor) link(ctx context.Context, w way, book *dcmap.Snapshot, to netip.AddrPort) (connected, answered time.Duration, t *trouble) {
	r, t := d.reach(ctx, w, to)
	if t != nil {
		return 0, 0, t
	}
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	start := d.Now()
	l := opening{reached: r, doctor: d, book: book, to: to, given: book.PublicAddr(r.local.Addr())}
	switch {
	case w.proxy != nil && (!r.local.IsValid() || r.local.Addr().IsUnspecified() || r.local.Port() == 0):
		return 0, 0, &trouble{"proxy_bind", "the proxy does not say which address Telegram sees, and the keys of links are made from it", "take a SOCKS5 proxy that tells its outgoing address, or go without middle proxies (--upstream direct, no --tag)"}
	case w.proxy != nil && dcmap.IsPublic(r.local.Addr()):
		l.given = r.local.Addr()
	}
	if t := l.nonces(); t != nil {
		return 0, 0, t
	}
	if t := l.handshakes(); t != nil {
		return 0, 0, t
	}
	return r.took, d.Now().Sub(start), nil
}

// opening is a link that is not ready yet.
type opening struct {
	*reached
	*doctor
	book  *dcmap.Snapshot
	to    netip.AddrPort
	given netip.Addr // as which Telegram sees us, by all that is known
	enc   full.Encoder
	dec   full.Decoder
	buf   [4 << 10]byte
}

// say sends one frame.
func (l *opening) say(body []byte) error {
	_, err := l.Write(l.enc.Flush(l.enc.Append(nil, body), 0))
	return err
}

// hear waits for one frame.
func (l *opening) hear() ([]byte, error) {
	for {
		body, err := l.dec.Next()
		if err != codec.ErrShort {
			return body, err
		}
		n, err := l.Read(l.buf[:])
		if n == 0 && err != nil {
			return nil, err
		}
		l.dec.Feed(l.buf[:n])
	}
}

// nonces says hello in clear, and makes the keys.
func (l *opening) nonces() *trouble {
	ours := rpc.Nonce{Selector: l.book.Secret.Selector(), Schema: rpc.SchemaAES, Time: uint32(l.Now().Unix())}
	l.Rand(ours.Random[:])
	err := l.say(ours.Append(nil))
	var body []byte
	if err == nil {
		body, err = l.hear()
	}
	if err != nil {
		return l.failed(err, l.closedEarly)
	}
	theirs, err := rpc.ParseNonce(body)
	if err != nil {
		return l.failed(err, nil)
	}
	if err := ours.Accept(&theirs, l.Now().Unix()); err != nil {
		return l.refused(err, theirs.Skew(l.Now().Unix()))
	}
	keys := full.Nonces{
		ProxyAddr: netip.AddrPortFrom(l.given, l.local.Port()), MiddleAddr: l.to,
		ProxyNonce: ours.Random, MiddleNonce: theirs.Random, Time: ours.Time,
	}
	up, down, err := keys.Derive(l.book.Secret)
	if err != nil {
		return &trouble{"link_keys", fmt.Sprintf("no keys can be made for %v and %v", l.given, l.to), "--public-ip has to be of the family of the middle proxies"}
	}
	l.enc.Start(&up)
	l.dec.Start(&down)
	return nil
}

// handshakes says the first encrypted words, which are understood when both ends see the same addresses.
func (l *opening) handshakes() *trouble {
	ours := rpc.Handshake{
		Flags:  rpc.HandshakeCRC32C,
		Sender: rpc.ProcessID{IP: rpc.IPOf(l.given), PID: 1, Start: uint32(l.Now().Unix())},
		Peer:   rpc.ProcessID{IP: rpc.IPOf(l.to.Addr()), Port: l.to.Port()},
	}
	err := l.say(ours.Append(nil))
	var body []byte
	if err == nil {
		body, err = l.hear()
	}
	if err != nil {
		return l.failed(err, l.mute)
	}
	theirs, err := rpc.ParseHandshake(body)
	if e, ok := rpc.ParseHandshakeError(body); ok {
		return &trouble{"link_refused", "it refuses our handshake: " + e.Code.String(), "nothing to be done here; tell those who make Epoxy"}
	}
	if err == nil {
		_, err = ours.Accept(&theirs)
	}
	if err != nil {
		return l.failed(err, nil)
	}
	return nil
}

// failed words how an opening ended; ended says what it means when the other side ended it.
func (l *opening) failed(err error, ended func(how string) *trouble) *trouble {
	if e, ok := errors.AsType[*codec.Error](err); ok {
		return &trouble{"link_foreign", fmt.Sprintf("what answers is no middle proxy (%v)", e.Reason), "check --telegram-config, and whether something on the way redirects connections"}
	}
	how := silent(err)
	if ended == nil {
		ended = l.closedEarly
	}
	return ended(how)
}

// closedEarly is the end of a link that got no nonce.
func (l *opening) closedEarly(how string) *trouble {
	if how == "no answer in time" {
		return &trouble{"dc_deaf", "connected, and no answer to our nonce came", "something on the way swallows what looks like no known protocol, or the middle proxy has a fault; try another network"}
	}
	return &trouble{"telegram_secret", "it ends the link at our nonce (" + how + "): it has another secret than ours, or finds our clock wrong by more than 30 s",
		"get the secret anew: point --telegram-secret at core.telegram.org, or bring the file up to date; and see that the clock is right"}
}

// refused words a nonce that does not fit.
func (l *opening) refused(err error, skew int32) *trouble {
	switch codec.ReasonOf(err, codec.ReasonNone) {
	case codec.ReasonLinkSelector:
		return &trouble{"telegram_secret", "it has another secret than ours, which is wrong or old",
			"get the secret anew: point --telegram-secret at core.telegram.org, or bring the file up to date"}
	case codec.ReasonLinkSkew:
		way := "behind"
		if skew < 0 {
			way = "ahead"
		}
		return &trouble{"clock_wrong", fmt.Sprintf("its clock says that ours is %d s %s: links take 30 s at most", max(skew, -skew), way), clockCure}
	default: //exhaustive:ignore what else a nonce can be
		return l.failed(err, nil)
	}
}

// mute is the end of a link whose handshake the middle proxy could not read.
func (l *opening) mute(how string) *trouble {
	t := &trouble{name: "nat"}
	t.what = fmt.Sprintf("no answer to our handshake (%s): it does not see us as %v, as which the keys were made", how, netip.AddrPortFrom(l.given, l.local.Port()))
	t.cure = "a NAT changes the address: write --public-ip with the one that the Internet sees, or --public-ip-lookup http://v4.ident.me/"
	if l.given != l.local.Addr() || dcmap.IsPublic(l.given) {
		t.cure = "correct --public-ip; if it is right, a NAT changes the ports of connections: give this host an address of its own, or a NAT that keeps ports (in iptables without --random), or go without middle proxies (--upstream direct, no --tag)"
	}
	return t
}
