package session

import (
	"fmt"
	"slices"
	"testing"

	"epoxy/codec"
)

// Each end is told once, with what is known of the session, whoever ends it.
func TestEnded(t *testing.T) {
	relay := func(r *rig) {
		r.feed(slices.Concat(r.init(testKey, codec.Padded, -4), r.sealed("four")))
		r.loop.Clock += 5000
		r.tg.sink.Deliver(make([]byte, 10))
		r.loop.Clock += 2000
	}
	for _, c := range []struct {
		name string
		do   func(*rig)
		want string
	}{
		{"by Telegram", func(r *rig) { relay(r); r.tg.sink.Ended(codec.ReasonUpstreamReset) }, "relay upstream_reset a secure -4 7000 4 10"},
		{"by the client", func(r *rig) { relay(r); r.sock.Finish(codec.ReasonPeerReset) }, "relay client_reset a secure -4 7000 4 10"},
		{"before the first byte", func(r *rig) { r.s.EOF(r.sock) }, "sniff client_closed - 0 0 0"},
		{"by the operator", func(r *rig) { relay(r); r.s.Expel(codec.ReasonSecretRemoved) }, "relay secret_removed a secure -4 7000 4 10"},
	} {
		r := newRig(allAllowed)
		var got []string
		r.env.Ended = func(s *Session, why codec.Reason) {
			line := fmt.Sprint(s.State(), " ", why, " -")
			if s.Secret() != nil {
				line = fmt.Sprint(s.State(), " ", why, " ", s.Secret().Name, " ", s.Protocol(), " ", s.DC())
			}
			age := int64(0)
			if s.Since() > 0 {
				age = r.loop.Clock - s.Since()
			}
			up, down := s.Moved()
			got = append(got, fmt.Sprint(line, " ", age, " ", up, " ", down))
			if s.Client().String() != "192.0.2.1:4000" {
				t.Errorf("%s: the client is %v", c.name, s.Client())
			}
		}
		c.do(r)
		r.sock.Finish(codec.ReasonPeerClosed) // what comes behind an end
		if !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// sealed returns text as the client sends it.
func (r *rig) sealed(text string) []byte {
	p := []byte(text)
	r.up.XOR(p, p)
	return p
}
