package middle

import (
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// B06: the ad tag is changed while clients are there: those who come later carry the new tag, or none, those who are
// here stay and keep the old one, packet by packet.
func TestTagChanges(t *testing.T) {
	first, second := rpc.Tag{1}, rpc.Tag{2}
	w := newWorld(t, oneAddr, Options{Tag: &first})
	clients := []*client{w.open(2, codec.Padded)}
	w.up()
	w.r.SetTag(&second)
	clients = append(clients, w.open(2, codec.Padded))
	w.r.SetTag(nil)
	clients = append(clients, w.open(2, codec.Padded))
	for round := range 3 {
		for i, c := range clients {
			if err := w.ping(c, 10*round+i); err != nil {
				t.Fatalf("round %d, client %d: %v", round, i, err)
			}
			p := w.peerOf(c)
			q := p.queries[len(p.queries)-1]
			tag, tagged := q.Tag()
			if want := []rpc.Tag{first, second, {}}[i]; tag != want || tagged != (i < 2) || q.ID != c.id() {
				t.Errorf("round %d, client %d: tag %v, %v", round, i, tag, tagged)
			}
		}
	}
}
