package session

import (
	"testing"

	"epoxy/codec"
)

// B11: HTTP and SSH on a port that allows bare openings beside fake-TLS reach the front with their first bytes, not with 64 of
// them; without a front they are taken for an opening, which is what a port without a costume would do.
func TestForeign(t *testing.T) {
	both := codec.ProtocolsOf(codec.Secure, codec.TLS)
	for _, text := range []string{"GET / HTTP/1.0\r\n\r\n", "SSH-2.0-x\r\n"} {
		r := newFront(both, nil)
		r.feed([]byte(text))
		wantState(t, r, Front)
		if string(r.front.up) != text || r.env.Count.Strangers[codec.ReasonNotTLS] != 1 {
			t.Errorf("%q: the front got %q", text, r.front.up)
		}
		r = newRig(both)
		r.feed([]byte(text))
		wantState(t, r, Init)
	}
}
