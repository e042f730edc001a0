package session

import (
	"bytes"
	"testing"

	"epoxy/codec"
)

// fate is what becomes of a connection.
type fate uint8

const (
	skip      fate = iota // the column has no entry
	fronted               // every byte so far went to the front, and nothing came back
	frontFIN              // the same, and a FIN behind it
	discarded             // read into silence
	closed                // by FIN
	answered              // by a flight
	waiting               // for more of the opening
	relayed               // to Telegram
)

// row is a row of the table of bad inputs (spec client-protocols 9). do acts on a session and returns the bytes that its last
// connection sent.
type row struct {
	name       string
	with       codec.Protocols // of column P; 0 is all
	without    codec.Protocols // of column N; 0 is classic and secure
	do         func(r *rig) []byte
	p, n       fate
	whyP, whyN codec.Reason
}

// give feeds p.
func give(r *rig, p []byte) []byte {
	r.feed(p)
	return p
}

// then makes a row's action of bytes alone.
func then(p []byte) func(*rig) []byte { return func(r *rig) []byte { return give(r, p) } }

// late makes a row's action of bytes and a timer.
func late(p []byte) func(*rig) []byte {
	return func(r *rig) []byte {
		if len(p) > 0 {
			r.feed(p)
		}
		if s := r.s.State(); s == Sniff || s == Hello || s == Init {
			r.sock.Fire(r.loop)
		}
		return p
	}
}

// check looks at what became of a connection that sent p.
func (f fate) check(t *testing.T, r *rig, why codec.Reason, p []byte) {
	t.Helper()
	switch f {
	case skip:
	case fronted, frontFIN:
		wantState(t, r, Front)
		if !bytes.Equal(r.front.up, p) || r.front.opened != 1 || r.front.fin != (f == frontFIN) {
			t.Fatalf("the front got %d bytes of %d, %d times, FIN %v", len(r.front.up), len(p), r.front.opened, r.front.fin)
		}
		if len(r.sock.Out) != 0 || r.sock.Closing != codec.ReasonNone || r.sock.Paused || r.s.part != nil {
			t.Fatalf("%d bytes were answered, closing %v, paused %v", len(r.sock.Out), r.sock.Closing, r.sock.Paused)
		}
		wantCount(t, "strangers "+why.String(), r.env.Count.Strangers[why], 1)
	case discarded:
		wantSilence(t, r, why)
	case closed:
		if r.sock.Closing != why || r.sock.Aborted || len(r.sock.Out) != 0 {
			t.Fatalf("closing %v, aborted %v, %d bytes; want %v", r.sock.Closing, r.sock.Aborted, len(r.sock.Out), why)
		}
	case answered:
		wantState(t, r, Opening)
		if len(r.sock.Out) == 0 {
			t.Fatal("no answer")
		}
	case waiting:
		if s := r.s.State(); s != Opening || r.sock.Closing != codec.ReasonNone {
			t.Fatalf("state %v, closing %v", s, r.sock.Closing)
		}
	case relayed:
		wantState(t, r, Relay)
	}
	if f != fronted && f != frontFIN && r.front.opened != 0 {
		t.Fatal("the front heard of it")
	}
}

// run does a row in one column.
func (c *row) run(t *testing.T, allow codec.Protocols, f fate, why codec.Reason) {
	t.Helper()
	if f == skip {
		return
	}
	r := newFront(allow, nil)
	told := 0
	r.env.Strangers = func(codec.Reason, []byte) { told++ }
	p := c.do(r)
	if f == fronted || f == frontFIN || f == discarded {
		if told != 1 {
			t.Fatalf("told of %d strangers", told)
		}
	}
	f.check(t, r, why, p)
}

// Every row that a session decides, on a port with TLS and a front (column P) and on one without TLS, whose strangers meet
// no front even where there is one (column N). Rows 11 to 15 are about packets, which codec/frame and upstream/middle judge.
func TestRows(t *testing.T) {
	for _, c := range append(rows(t), rowsAfterFlight(t)...) {
		with, without := c.with, c.without
		if with == 0 {
			with = allAllowed
		}
		if without == 0 {
			without = bareOnly
		}
		t.Run(c.name+", TLS", func(t *testing.T) { c.run(t, with, c.p, c.whyP) })
		t.Run(c.name+", no TLS", func(t *testing.T) { c.run(t, without, c.n, c.whyN) })
	}
}
