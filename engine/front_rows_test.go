package engine_test

import (
	"io"
	"net"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// treatment is what becomes of a connection.
type treatment uint8

const (
	none     treatment = iota // the column has no entry
	front                     // the front gets exactly what was sent, and its answer is the first that comes back
	frontFIN                  // the same, and a FIN behind it
	discard                   // silence, no end until FIN
	finished                  // FIN, and nothing before it
	answer                    // our flight
	serve                     // Telegram
	wait                      // silence, no end, no front (the session's own tests wait for the end)
)

// scene is one row in one column: a proxy of its own, with a front of its own that it may not use in column N.
type scene struct {
	*testing.T
	h      *house
	site   *site
	conn   net.Conn
	sent   []byte  // by conn
	client *client // of rows that are served
}

// say sends segments as a new stranger, or as the one that is there.
func (s *scene) say(segments ...[]byte) {
	s.Helper()
	if s.conn == nil {
		s.conn = stranger(s.T, s.h.addr, nil)
	}
	for _, p := range segments {
		put(s.T, s.conn, p)
		s.sent = append(s.sent, p...)
	}
}

// answered sends a hello and takes our flight to it.
func (s *scene) answered() {
	s.Helper()
	hello := greet(s.T, nil)
	s.say(hello)
	wantFlight(s.T, s.conn, hello)
}

// fin ends what the stranger has to say.
func (s *scene) fin() {
	s.Helper()
	if err := s.conn.(*net.TCPConn).CloseWrite(); err != nil {
		s.Fatal(err)
	}
}

// check looks at what became of the connection.
func (f treatment) check(s *scene) {
	s.Helper()
	if f == front || f == frontFIN {
		v := s.site.spliced(s.T, s.conn, s.sent)
		if f == frontFIN {
			wantEOF(s.T, v)
			talk(s.T, v, s.conn)
		} else {
			talk(s.T, s.conn, v)
		}
		_ = v.Close()
		wantEOF(s.T, s.conn)
	}
	switch f {
	case none, front, frontFIN:
	case discard:
		stillSilent(s.T, s.conn)
		s.fin()
		wantEOF(s.T, s.conn)
	case finished:
		wantEOF(s.T, s.conn)
	case wait:
		stillSilent(s.T, s.conn)
	case answer:
		wantFlight(s.T, s.conn, s.sent)
	case serve:
		mustPing(s.T, s.client, 64)
	}
	s.site.nobody(s.T, time.Millisecond)
}

// badInput is a row of the table of bad inputs (spec client-protocols 9).
type badInput struct {
	name       string
	with       config.Allow           // of column P; 0 is all
	set        func(*config.Settings) // what else the row wants
	do         func(*scene)
	p, n       treatment
	whyP, whyN codec.Reason // that the stranger is counted for; none is no stranger
}

// play does a row in one column.
func (b *badInput) play(t *testing.T, allow config.Allow, f treatment, why codec.Reason) {
	_, dc := telegram(t, faketg.Faults{})
	s := &scene{T: t, site: newSite(t)}
	set := settings(dc)
	set.Allow, set.FrontMeasure, set.Loops = allow, 0, 1
	if allow.Has(codec.TLS) {
		set.Fronts = []config.Front{s.site.front()}
	}
	if b.set != nil {
		b.set(set)
	}
	s.h = start(t, set)
	b.do(s)
	if f == discard { // rows that wait become strangers only now
		s.h.wait(t, func(l stats.Loop) bool { return l.Strangers[why] == 1 })
	}
	f.check(s)
	n := uint64(1)
	if why == codec.ReasonNone {
		n = 0
	}
	s.h.strangers(t, why, n)
}

// B11: every row of the table of bad inputs over TCP, on a port with TLS and a front (column P) and on one without TLS (column
// N). Non-TLS bytes, HTTP, an SSH banner and silence, which B11 names, are rows 4, 3, 42 and 1. Rows 11 to 15 are in
// TestFrontPackets.
func TestFrontRows(t *testing.T) {
	all := config.AllowOf(codec.Classic, codec.Secure, codec.TLS)
	bare := config.AllowOf(codec.Classic, codec.Secure)
	for _, b := range append(badInputs(), afterFlight()...) {
		with := b.with
		if with == 0 {
			with = all
		}
		if b.p != none {
			t.Run(b.name+", TLS", func(t *testing.T) { t.Parallel(); b.play(t, with, b.p, b.whyP) })
		}
		if b.n != none {
			t.Run(b.name+", no TLS", func(t *testing.T) { t.Parallel(); b.play(t, bare, b.n, b.whyN) })
		}
	}
}

// Row 43: a front that is full serves those it has, and who comes then, with a hello or without a byte, is closed.
func TestFrontFull(t *testing.T) {
	s := newSite(t)
	set := fronted(s)
	set.Loops, set.FrontMax, set.FrontSilence = 1, 1, short
	h := start(t, set)
	hello := wrongHello(t)
	first := stranger(t, h.addr, hello)
	v := s.spliced(t, first, hello)
	for _, p := range [][]byte{hello, []byte("GET /"), nil} {
		wantEOF(t, stranger(t, h.addr, p))
	}
	if f := h.snapshot().Sum().Front; f.Now != 1 || f.Full != 3 {
		t.Errorf("at the front %d, turned away %d; want 1 and 3", f.Now, f.Full)
	}
	talk(t, v, first)
	_ = v.Close()
	wantEOF(t, first)
	_ = first.Close()
	h.wait(t, func(l stats.Loop) bool { return l.Front.Now == 0 })
	s.spliced(t, stranger(t, h.addr, hello), hello)
}

// closedAfter sends p inside the client's cipher and wants the connection closed without an answer.
func closedAfter(t *testing.T, c *client, p []byte) {
	t.Helper()
	c.up.XOR(p, p)
	if err := c.raw(p); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("%d bytes, %v", n, err)
	}
}

// Rows 11 to 15, in both columns: a packet that no client sends ends its connection, one that is only too short is dropped; the
// front hears of neither.
func TestFrontPackets(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	s := newSite(t)
	withFront := linkSettings(t, m)
	withFront.Fronts, withFront.FrontMeasure = []config.Front{s.front()}, 0
	without := linkSettings(t, m)
	without.Allow = config.AllowOf(codec.Classic, codec.Secure)
	for _, set := range []*config.Settings{withFront, without} {
		h := start(t, set)
		h.readyLinks(t, 2, 1)
		for name, c := range map[string]struct {
			w     way
			plain []byte
			why   codec.Reason
		}{
			"row 11 length zero":         {ways[1], []byte{0, 0, 0, 0}, codec.ReasonPacketZero},
			"row 11 length zero, short":  {ways[0], []byte{0}, codec.ReasonPacketZero},
			"row 12 more than a MiB":     {ways[1], []byte{4, 0, 0x10, 0}, codec.ReasonPacketSize},
			"row 13 not of four":         {ways[1], []byte{6, 0, 0, 0, 1, 2, 3, 4, 5, 6}, codec.ReasonPacketAlign},
			"row 14 overlong, abridged":  {ways[0], []byte{0x7f, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8}, codec.ReasonPacketOverlong},
			"row 12 more than a MiB, dd": {ways[2], []byte{4, 0, 0x10, 0}, codec.ReasonPacketSize},
		} {
			cl := dial(t, h.addr, c.w, 2)
			mustPing(t, cl, 64)
			closedAfter(t, cl, c.plain)
			if n := h.snapshot().Sum().Closed[c.why]; n == 0 {
				t.Errorf("%s: not closed for %v", name, c.why)
			}
		}
		for _, w := range ways {
			if !set.Allow.Has(w.proto) {
				continue
			}
			cl := dial(t, h.addr, w, 2) // row 15
			if err := cl.send([]byte{1, 2, 3, 4, 5, 6, 7, 8}); err != nil {
				t.Fatal(err)
			}
			mustPing(t, cl, 64)
		}
		h.strangers(t, codec.ReasonNone, 0)
	}
	s.nobody(t, time.Millisecond)
}
