package faketg_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/rpc"
	"epoxy/engine/reactor"
	"epoxy/upstream"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/faketg"
	"epoxy/upstream/middle"
)

// These tests let the proxy's own links meet the fake over TCP.

const patience = 20 * time.Second

var (
	adTag  = rpc.Tag{0xad, 1, 2, 3}
	client = netip.MustParseAddrPort("203.0.113.77:5555")
)

// world is a router and a fake middle proxy, each on a loop of its own.
type world struct {
	t       *testing.T
	loop    *reactor.Reactor
	router  *middle.Router
	tg      *faketg.MiddleServer
	reports chan middle.Report
}

// loop runs a reactor for as long as the test.
func loop(t *testing.T) *reactor.Reactor {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func newWorld(t *testing.T, o faketg.MiddleSettings, f faketg.MiddleFaults, noCRC bool) *world {
	t.Helper()
	o.Secret = bytes.Repeat([]byte("a secret of 128 "), 8)
	w := &world{t: t, tg: faketg.NewMiddleServer(o, f), reports: make(chan middle.Report, 100)}
	listener, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	far := loop(t)
	w.loop = loop(t)
	acceptor := w.tg.On(far, 2)
	call(t, far, func() { err = far.AddListener(listener, acceptor) })
	if err != nil {
		t.Fatal(err)
	}
	list, err := dcmap.Parse([]byte("proxy_for 2 "+listener.Addr()+";\n"), dcmap.V4)
	if err != nil {
		t.Fatal(err)
	}
	secret := dcmap.Secret(o.Secret)
	call(t, w.loop, func() {
		w.router = middle.NewRouter(w.loop, middle.Options{Tag: &adTag, NoCRC32C: noCRC, Report: func(r middle.Report) {
			select {
			case w.reports <- r:
			default:
			}
		}})
		w.router.Use(&dcmap.Snapshot{Generation: 1, Secret: secret, Selector: secret.Selector(), V4: list})
	})
	return w
}

func call(t *testing.T, r *reactor.Reactor, fn func()) {
	t.Helper()
	if err := r.Call(fn); err != nil {
		t.Fatal(err)
	}
}

// app is a client's end of a stream.
type app struct {
	w         *world
	transport codec.Transport
	stream    upstream.Stream
	down      chan []byte
	ended     chan codec.Reason
	rest      []byte
}

func (a *app) Deliver(p []byte)       { a.down <- bytes.Clone(p) }
func (a *app) SendDrained()           {}
func (a *app) EndOfStream()           {}
func (a *app) Ended(why codec.Reason) { a.ended <- why }

func (w *world) open(t codec.Transport) *app {
	w.t.Helper()
	a := &app{w: w, transport: t, down: make(chan []byte, 10_000), ended: make(chan codec.Reason, 1)}
	var why codec.Reason
	call(w.t, w.loop, func() { a.stream, why = w.router.Open(upstream.Request{DC: 2, Transport: t, Client: client}, a) })
	if why != codec.ReasonNone {
		w.t.Fatal(why)
	}
	return a
}

func (a *app) send(packet []byte) {
	a.w.t.Helper()
	call(a.w.t, a.w.loop, func() { a.stream.Send(frame.Append(nil, a.transport, packet, nil)) })
}

// next returns the next packet, or why the stream ended.
func (a *app) next() ([]byte, codec.Reason) {
	a.w.t.Helper()
	for {
		answer, n, err := frame.NextAnswer(a.transport, a.rest)
		if err == nil {
			a.rest = a.rest[n:]
			return answer.Body, codec.ReasonNone
		}
		if err != codec.ErrShort {
			a.w.t.Fatal(err)
		}
		select {
		case p := <-a.down:
			a.rest = append(a.rest, p...)
		case why := <-a.ended:
			return nil, why
		case <-time.After(patience):
			a.w.t.Fatal("nothing comes")
		}
	}
}

var echo = faketg.Command{Op: faketg.OpEcho, ID: 1, Size: 400}.Append(nil)

// echoed sends a packet and reports whether it came back.
func (a *app) echoed() bool {
	a.w.t.Helper()
	a.send(echo)
	p, _ := a.next()
	return bytes.Equal(p, echo)
}

func (w *world) count() (c middle.Counters) {
	w.t.Helper()
	call(w.t, w.loop, func() { c = w.router.Count })
	return c
}

// TestRouterMeetsMiddle sends packets of every transport, with both checksums.
func TestRouterMeetsMiddle(t *testing.T) {
	for _, noCRC := range []bool{false, true} {
		w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{PadEach: noCRC, ClearFiller: noCRC, Pipelined: noCRC}, noCRC)
		for _, transport := range []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded} {
			a := w.open(transport)
			if !a.echoed() {
				t.Fatalf("%v: no echo", transport)
			}
			a.send(faketg.Command{Op: faketg.OpSource, ID: 3, Value: 500_000, Size: 30_000}.Append(nil))
			for at := uint64(0); at < 500_000; {
				p, why := a.next()
				if why != codec.ReasonNone || !faketg.CheckPattern(p[faketg.HeadSize:], 3, at) {
					t.Fatalf("%v: wrong bytes at %d, %v", transport, at, why)
				}
				at += uint64(len(p) - faketg.HeadSize)
			}
			if seen := w.tg.Seen(); seen.Transports[transport] != 1 {
				t.Errorf("%v: seen %+v", transport, seen)
			}
		}
		seen := w.tg.Seen()
		if seen.Tags[adTag] != 3 || seen.StreamList[0].Client != client || seen.LinkList[0].CRC32C == noCRC || seen.OpenStreams != 3 {
			t.Errorf("seen %+v", seen)
		}
		if n := seen.Malformed + seen.Unknown + seen.Changed + seen.WrongFlags + seen.Reused + seen.AnsweredCloses + seen.StrayCloses; n > 0 {
			t.Errorf("the router does what no proxy should: %+v", seen)
		}
	}
}

// TestRouterSeesFaults checks what the router says of each fault before a link is ready.
func TestRouterSeesFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults faketg.MiddleFaults
		noCRC  bool
		want   codec.Reason
	}{
		"refuse":       {faketg.MiddleFaults{Refuse: true}, false, codec.ReasonUpstreamReset},
		"selector":     {faketg.MiddleFaults{OtherSelector: true}, false, codec.ReasonLinkSelector},
		"skew":         {faketg.MiddleFaults{Skew: -40}, false, codec.ReasonLinkSkew},
		"schema":       {faketg.MiddleFaults{Schema: new(uint32(0))}, false, codec.ReasonLinkSchema},
		"nonce seq":    {faketg.MiddleFaults{NonceSeq: true}, false, codec.ReasonFrameSeq},
		"nonce sum":    {faketg.MiddleFaults{NonceSum: true}, false, codec.ReasonFrameSum},
		"mirror":       {faketg.MiddleFaults{Mirror: true}, false, codec.ReasonLinkNonce},
		"wrong keys":   {faketg.MiddleFaults{WrongKeys: true}, false, codec.ReasonLinkMute},
		"refused":      {faketg.MiddleFaults{HandshakeError: rpc.RefusedPeer}, false, codec.ReasonLinkRefused},
		"flags":        {faketg.MiddleFaults{HandshakeFlags: 1}, false, codec.ReasonLinkHandshake},
		"crc32c":       {faketg.MiddleFaults{ForceCRC32C: true}, true, codec.ReasonLinkChecksum},
		"pid":          {faketg.MiddleFaults{OtherPID: true}, false, codec.ReasonLinkPID},
		"ends at once": {faketg.MiddleFaults{NoNonce: true, LifeMin: time.Millisecond, LifeMax: time.Millisecond}, false, codec.ReasonUpstreamReset},
	} {
		w := newWorld(t, faketg.MiddleSettings{}, c.faults, c.noCRC)
		a := w.open(codec.Abridged)
		select {
		case r := <-w.reports:
			if r.Why != c.want {
				t.Errorf("%s: %v at %v, want %v", name, r.Why, r.Stage, c.want)
			}
		case <-time.After(patience):
			t.Fatalf("%s: no report", name)
		}
		call(t, w.loop, func() { a.stream.Close(codec.ReasonClientClosed) })
	}
}

// TestRouterSurvives checks that faults which leave the link in step leave the stream alone.
func TestRouterSurvives(t *testing.T) {
	w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{}, false)
	a := w.open(codec.Padded)
	for _, f := range []faketg.Fault{
		faketg.FaultNone, faketg.FaultStrayAnswer, faketg.FaultStrayClose, faketg.FaultStrayAck, faketg.FaultUnknown, faketg.FaultEmpty,
		faketg.FaultPing, faketg.FaultMalformed,
	} {
		if f != faketg.FaultNone && w.tg.Strike(f, 1) != 1 {
			t.Errorf("%v: nothing to strike", f)
		}
		if !a.echoed() {
			t.Fatalf("%v: no echo", f)
		}
	}
	c, seen := w.count(), w.tg.Seen()
	if c.UnknownAnswers != 2 || c.UnknownCloses != 1 || c.UnknownMessages != 1 || c.Empty != 1 || c.PingsIn != 1 || c.Malformed != 1 || c.Ended != (middle.Counters{}).Ended {
		t.Errorf("counts %+v", c)
	}
	if seen.StrayCloses < 1 || seen.Pongs != 1 {
		t.Errorf("seen %+v", seen)
	}
	w.tg.Strike(faketg.FaultCloseStream, 1)
	if _, why := a.next(); why == codec.ReasonNone {
		t.Error("a closed stream goes on")
	}
	if seen := w.tg.Seen(); seen.AnsweredCloses > 0 {
		t.Errorf("CLOSE_EXT was answered: %+v", seen)
	}
}

// TestRouterEndsLinks checks that violations end the link, and the stream that had traffic on it.
func TestRouterEndsLinks(t *testing.T) {
	for f, want := range map[faketg.Fault]codec.Reason{
		faketg.FaultSum: codec.ReasonFrameSum, faketg.FaultSeq: codec.ReasonFrameSeq, faketg.FaultOdd: codec.ReasonFrameSize,
		faketg.FaultShort: codec.ReasonFrameSize, faketg.FaultHuge: codec.ReasonFrameSize,
	} {
		w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{}, false)
		a := w.open(codec.Abridged)
		if !a.echoed() || w.tg.Strike(f, 1) != 1 {
			t.Fatalf("%v: no link", f)
		}
		if _, why := a.next(); why == codec.ReasonNone {
			t.Errorf("%v: the stream goes on", f)
		}
		if c := w.count(); c.Ended[want] != 1 {
			t.Errorf("%v: ended %v", f, c.Ended)
		}
	}
}

// ended waits until a ready link has ended, and returns why.
func (w *world) ended() codec.Reason {
	w.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c := w.count()
		for why, n := range c.Ended {
			if n > 0 {
				return codec.Reason(why)
			}
		}
	}
	w.t.Fatal("no link ended")
	return 0
}

// TestRouterMovesOn checks that a stream which waits for nothing takes another link when its own ends.
func TestRouterMovesOn(t *testing.T) {
	for f, want := range map[faketg.Fault]codec.Reason{
		faketg.FaultFIN: codec.ReasonUpstreamClosed, faketg.FaultReset: codec.ReasonUpstreamReset, faketg.FaultTorn: codec.ReasonUpstreamReset,
	} {
		w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{}, false)
		a := w.open(codec.Intermediate)
		if !a.echoed() || w.tg.Strike(f, 1) != 1 {
			t.Fatalf("%v: no link", f)
		}
		if why := w.ended(); why != want {
			t.Errorf("%v: the link ended with %v", f, why)
		}
		if !a.echoed() {
			t.Errorf("%v: the stream did not move on", f)
		}
		seen := w.tg.Seen()
		if seen.Streams != 2 || seen.Cut != 1 || seen.Reused > 0 {
			t.Errorf("%v: seen %+v", f, seen)
		}
		if seen.Streams != seen.OpenStreams+seen.Cut+seen.ClosedByProxy+seen.ClosedByUs {
			t.Errorf("%v: the sums are wrong: %+v", f, seen)
		}
	}
}

// TestRouterLosesStreams checks the faults that cost one stream and not the link, and the flood that costs the link.
func TestRouterLosesStreams(t *testing.T) {
	for _, f := range []faketg.Fault{faketg.FaultLarge, faketg.FaultCloseStreams, faketg.FaultCloseConn} {
		w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{}, false)
		a := w.open(codec.Padded)
		if !a.echoed() || w.tg.Strike(f, 1) != 1 {
			t.Fatalf("%v: no link", f)
		}
		if _, why := a.next(); why == codec.ReasonNone {
			t.Errorf("%v: the stream goes on", f)
		}
		b := w.open(codec.Padded)
		if c := w.count(); !b.echoed() || c.Ended != (middle.Counters{}).Ended {
			t.Errorf("%v: ended %v", f, c.Ended)
		}
	}
	w := newWorld(t, faketg.MiddleSettings{}, faketg.MiddleFaults{}, false)
	if !w.open(codec.Padded).echoed() || w.tg.Strike(faketg.FaultPings, 1) != 1 {
		t.Fatal("no link")
	}
	w.ended()
	if seen := w.tg.Seen(); seen.Pongs > 200 {
		t.Errorf("%d pongs", seen.Pongs)
	}
}
