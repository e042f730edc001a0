package front

import (
	"net/netip"
	"testing"
	"unsafe"

	"epoxy/codec"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// stranger is a Sink that remembers.
type stranger struct {
	got     []byte
	drained int
	eof     bool
	ended   codec.Reason
	ends    int
}

func (c *stranger) Deliver(p []byte)       { c.got = append(c.got, p...) }
func (c *stranger) SendDrained()           { c.drained++ }
func (c *stranger) EndOfStream()           { c.eof = true }
func (c *stranger) Ended(why codec.Reason) { c.ended = why; c.ends++ }

// site returns a target of addresses.
func site(list ...string) *Target {
	t := &Target{}
	for _, a := range list {
		t.Addrs = append(t.Addrs, netip.MustParseAddrPort(a))
	}
	return t
}

// fronts returns a router whose default is t.
func fronts(t *Target, o Options) (*Router, *upstreamtest.Loop) {
	loop := upstreamtest.NewLoop(1_795_000_000)
	r := NewRouter(loop, o)
	r.Use(&Targets{Default: t})
	return r, loop
}

func open(t *testing.T, r *Router) (*Stream, *stranger) {
	t.Helper()
	c := &stranger{}
	s, why := r.Open(upstream.Request{}, c)
	if why != codec.ReasonNone {
		t.Fatalf("open: %v", why)
	}
	return s.(*Stream), c
}

func last(l *upstreamtest.Loop) *upstreamtest.Socket { return l.Dialed[len(l.Dialed)-1] }

// up answers the last dial.
func up(l *upstreamtest.Loop) *upstreamtest.Socket {
	f := last(l)
	f.H.Opened(f)
	return f
}

func TestSize(t *testing.T) {
	if n := unsafe.Sizeof(Stream{}); n > 160 {
		t.Fatalf("a stream takes %d bytes, more than 160", n)
	}
}

// A14 A17: the front gets exactly the bytes that the stranger sent, torn or not, in one write when the connection
// stands and as they come afterwards; its answer comes back as it is.
func TestSplice(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{})
	s, c := open(t, r)
	f := last(loop)
	if f.To.Addr.String() != "192.0.2.1:443" || f.To.Timeout != 5000 || f.To.Path != "" {
		t.Fatalf("dialled %+v", f.To)
	}
	s.Send([]byte("\x16\x03\x01 first "))
	s.Send([]byte("second"))
	if f.Writes != 0 || s.Queued() != 16 {
		t.Fatalf("before the connection: %d writes, %d queued", f.Writes, s.Queued())
	}
	up(loop)
	if f.Writes != 1 || string(f.Take()) != "\x16\x03\x01 first second" || c.drained != 1 || s.Queued() != 0 {
		t.Fatalf("%d writes, drained %d times, %d queued", f.Writes, c.drained, s.Queued())
	}
	s.Send([]byte("third"))
	f.H.Data(f, []byte("an answer"))
	s.Compact()
	f.H.Data(f, []byte(" in two"))
	if got := string(f.Take()); got != "third" || string(c.got) != "an answer in two" {
		t.Fatalf("up %q, down %q", got, c.got)
	}
	if n := &r.Count; n.BytesUp != 21 || n.BytesDown != 16 || n.Open != 1 || n.Opened != 1 {
		t.Fatalf("counted %+v", n)
	}
}

// A stranger who never spoke gets a connection, and the front's own timeout ends it (spec client-protocols 9 row 1).
func TestSilent(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{})
	s, c := open(t, r)
	f := up(loop)
	if f.Writes != 0 || s.head != nil {
		t.Fatalf("%d writes for nothing", f.Writes)
	}
	f.H.EOF(f)
	if !c.eof {
		t.Fatal("the front's FIN did not come through")
	}
}

// A16: a domain that is off gets no connection; the others go where they belong, however they are written.
func TestChoose(t *testing.T) {
	long := make([]byte, 255)
	for i := range long {
		long[i] = 'l'
	}
	common, own, longest := site("192.0.2.1:443"), site("192.0.2.2:443"), site("192.0.2.3:443")
	loop := upstreamtest.NewLoop(0)
	r := NewRouter(loop, Options{})
	all := &Targets{Default: common, ByDomain: map[string]*Target{
		"own.example": own, "zoo.example": own, "off.example": {Off: true, Addrs: own.Addrs}, "gone.example": {}, string(long): longest,
	}}
	for _, c := range []struct {
		targets *Targets
		sni     string
		want    *Target
		why     codec.Reason
	}{
		{nil, "own.example", nil, codec.ReasonNoUpstream},
		{&Targets{}, "own.example", nil, codec.ReasonNoUpstream},
		{&Targets{Default: &Target{Off: true}}, "", nil, codec.ReasonDenied},
		{all, "", common, 0}, {all, ".", common, 0},
		{all, "own.example", own, 0}, {all, "OWN.EXAMPLE", own, 0}, {all, "Zoo.example", own, 0}, {all, "own.example.", own, 0},
		{all, "own.example..", common, 0}, {all, "www.own.example", common, 0}, {all, "own.exampl\xe9", common, 0},
		{all, "off.example", nil, codec.ReasonDenied}, {all, "Off.Example.", nil, codec.ReasonDenied},
		{all, "gone.example", nil, codec.ReasonNoUpstream},
		{all, string(long), longest, 0}, {all, string(long) + ".", common, 0}, {all, string(make([]byte, 70_000)), common, 0},
	} {
		r.Use(c.targets)
		before := len(loop.Dialed)
		_, why := r.Open(upstream.Request{SNI: []byte(c.sni)}, &stranger{})
		switch {
		case why != c.why:
			t.Errorf("%.20q: %v, want %v", c.sni, why, c.why)
		case c.want == nil && len(loop.Dialed) != before:
			t.Errorf("%.20q: dialled %v", c.sni, last(loop).To.Addr)
		case c.want != nil && last(loop).To.Addr != c.want.Addrs[0]:
			t.Errorf("%.20q: dialled %v, want %v", c.sni, last(loop).To.Addr, c.want.Addrs[0])
		}
	}
	if n := &r.Count; n.Denied != 3 || n.NoTarget != 3 || n.Full != 0 {
		t.Errorf("counted %d denied, %d without a target, %d over the limit", n.Denied, n.NoTarget, n.Full)
	}
}

// Above the cap nobody is dialled for; a stream that ends makes room (spec client-protocols 9 row 43).
func TestMax(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{Max: 2})
	first, _ := open(t, r)
	_, second := open(t, r)
	if _, why := r.Open(upstream.Request{}, &stranger{}); why != codec.ReasonLimit || len(loop.Dialed) != 2 || r.Count.Full != 1 {
		t.Fatalf("the third: %v, %d dials, %d counted", why, len(loop.Dialed), r.Count.Full)
	}
	first.Close(codec.ReasonClientClosed)
	open(t, r)
	last(loop).Finish(codec.ReasonDialRefused)
	loop.Dialed[1].Finish(codec.ReasonDialRefused)
	if second.ends != 1 || r.Count.Open != 0 {
		t.Fatalf("%d ends, %d open", second.ends, r.Count.Open)
	}
	if r := NewRouter(loop, Options{}); r.o.Max != DefaultMax {
		t.Fatalf("no cap is a cap of %d", r.o.Max)
	}
}

// The PROXY header is the first thing that the front reads, in one write with the stranger's bytes, in both versions;
// a retry does not double it, and a stranger who says nothing does not hold it back.
func TestProxyHeader(t *testing.T) {
	req := upstream.Request{
		Client: netip.MustParseAddrPort("198.51.100.7:1234"), Local: netip.MustParseAddrPort("203.0.113.1:443"),
	}
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xcb\x00\x71\x01\x04\xd2\x01\xbb"
	for version, want := range []string{"", "PROXY TCP4 198.51.100.7 203.0.113.1 1234 443\r\n", v2} {
		for _, words := range []string{"", "GET /"} {
			target := site("192.0.2.1:443", "192.0.2.2:443")
			target.Proxy = byte(version)
			r, loop := fronts(target, Options{})
			s, why := r.Open(req, &stranger{})
			if why != codec.ReasonNone {
				t.Fatal(why)
			}
			s.Send([]byte(words))
			last(loop).Finish(codec.ReasonDialRefused)
			f := up(loop)
			writes := min(1, len(want+words))
			if got := string(f.Take()); got != want+words || f.Writes != writes {
				t.Errorf("version %d: %q in %d writes", version, got, f.Writes)
			}
			s.Send([]byte("more"))
			if got := string(f.Take()); got != "more" {
				t.Errorf("version %d: then %q", version, got)
			}
		}
	}
}

// A unix socket is a front too.
func TestPath(t *testing.T) {
	opts := &upstream.DialOptions{Mark: 7}
	r, loop := fronts(&Target{Path: "/run/web.sock", Proxy: 2}, Options{Dial: opts, Timeout: 700})
	_, c := open(t, r)
	f := last(loop)
	if f.To.Path != "/run/web.sock" || f.To.Addr.IsValid() || f.To.Opts != opts || f.To.Timeout != 700 {
		t.Fatalf("dialled %+v", f.To)
	}
	f.Finish(codec.ReasonDialRefused)
	if c.ends != 1 || c.ended != codec.ReasonDialRefused || len(loop.Dialed) != 1 {
		t.Fatalf("ended %d times by %v after %d dials", c.ends, c.ended, len(loop.Dialed))
	}
}

// Carrying a packet either way, and finding a target, allocate nothing.
func TestAllocations(t *testing.T) {
	r, loop := fronts(site("192.0.2.1:443"), Options{})
	r.targets.ByDomain = map[string]*Target{"own.example": site("192.0.2.2:443")}
	s, c := open(t, r)
	f := up(loop)
	p, sni := make([]byte, 4096), []byte("Own.Example.")
	f.Out, c.got = make([]byte, 0, len(p)), make([]byte, 0, len(p))
	if n := testing.AllocsPerRun(100, func() {
		f.Out, c.got = f.Out[:0], c.got[:0]
		s.Send(p)
		f.H.Data(f, p)
		f.H.Drained(f)
		if s.Queued() != 0 || r.targets.find(sni) == r.targets.Default {
			t.Fatal("nothing was carried")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
