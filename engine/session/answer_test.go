package session

import (
	"bytes"
	"encoding/binary"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/upstream"
	"epoxy/upstream/upstreamtest"
)

// helloFor builds a hello with any name.
func (r *rig) helloFor(t testing.TB, domain string, key codec.Key) []byte {
	t.Helper()
	shares, err := faketls.NewShares(r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	c := faketls.ClientHello{Domain: domain, Secret: key, Unix: testTime, Shares: shares}
	hello, err := c.Append(nil, r.loop.Rand)
	if err != nil {
		t.Fatal(err)
	}
	return hello
}

// firstRecord returns the length of the record at the start of a flight.
func firstRecord(flight []byte) int { return 5 + int(binary.BigEndian.Uint16(flight[3:])) }

// The profile is that of the hello's SNI, else of the secret's domain, else the default; Use changes it for the next.
func TestSites(t *testing.T) {
	size := func(n int) *faketls.Profile { return &faketls.Profile{AppData: n} }
	sites := &Sites{Default: size(1000), ByDomain: map[string]*faketls.Profile{"listed.example": size(2000), "example.com": size(3000)}}
	secrets := []Secret{{Key: testKey, Domain: "Example.com"}, {Key: codec.Key{9}, Domain: "unlisted.example"}, {Key: codec.Key{8}}}
	cases := []struct {
		sni  string
		key  codec.Key
		want int
	}{
		{"LISTED.example", testKey, 2000},
		{"example.com", testKey, 3000},
		{"other.example", testKey, 3000},
		{"", testKey, 3000},
		{"Listed.Example", codec.Key{9}, 2000},
		{"other.example", codec.Key{9}, 1000},
		{"", codec.Key{9}, 1000},
		{"", codec.Key{8}, 1000},
	}
	for _, c := range cases {
		r := newRig(tlsOnly, secrets...)
		r.port.Use(sites)
		for _, plus := range []int{0, 77} {
			r.feed(r.helloFor(t, c.sni, c.key))
			wantState(t, r, Opening)
			flight := r.sock.Take()
			if got := len(flight) - firstRecord(flight) - 6 - 5; got != c.want+plus {
				t.Errorf("SNI %q: %d bytes, want %d", c.sni, got, c.want+plus)
			}
			r.port.Use(&Sites{Default: size(1077), ByDomain: map[string]*faketls.Profile{"listed.example": size(2077), "example.com": size(3077)}})
			r.connect("192.0.2.1:4001")
		}
	}
}

// asked counts questions for the MSS, and remembers where writes ended.
type asked struct {
	*upstreamtest.Socket
	mss  int
	ends []int
}

func (a *asked) MSS() int { a.mss++; return a.Socket.MSS() }
func (a *asked) Write(p []byte) {
	a.Socket.Write(p)
	a.ends = append(a.ends, len(a.Out))
}

// meter puts an asked around the socket.
func (r *rig) meter(mss int) *asked {
	r.connect("192.0.2.1:4000")
	r.sock.Segment = mss
	a := &asked{Socket: r.sock}
	r.s.socket = a
	return a
}

var _ upstream.Socket = (*asked)(nil)

// Where segments have the size of a hybrid ServerHello, or half of it, the answer is x25519 (spec client-protocols 4.4, trap 2).
// Nobody asks the kernel when there is no choice.
func TestAndroidSegments(t *testing.T) {
	hybrid, plain := &faketls.Profile{Group: faketls.X25519MLKEM768}, &faketls.Profile{}
	onlyHybrid := func(p []byte) []byte { // takes the x25519 share out of a hello
		share := bytes.LastIndex(p, []byte{0, 0x1d, 0, 32})
		p[share+1] = 0x17
		return sign(p, testKey, testTime)
	}
	cases := []struct {
		profile *faketls.Profile
		change  func([]byte) []byte
		mss     int
		want    int // bytes of the ServerHello record
		asked   int
	}{
		{hybrid, nil, 0, 1215, 1}, {hybrid, nil, 1205, 1215, 1}, {hybrid, nil, 1206, 127, 1}, {hybrid, nil, 1220, 127, 1},
		{hybrid, nil, 1236, 127, 1}, {hybrid, nil, 1237, 1215, 1}, {hybrid, nil, 1460, 1215, 1},
		{hybrid, nil, 602, 1215, 1}, {hybrid, nil, 603, 127, 1}, {hybrid, nil, 618, 127, 1}, {hybrid, nil, 619, 1215, 1}, {hybrid, nil, 536, 1215, 1},
		{hybrid, onlyHybrid, 1220, 1215, 0}, {plain, nil, 1220, 127, 0}, {plain, onlyHybrid, 1220, 1215, 0},
	}
	for i, c := range cases {
		r := newRig(tlsOnly)
		r.port.Use(&Sites{Default: c.profile})
		a := r.meter(c.mss)
		hello := r.helloFor(t, "example.com", testKey)
		if c.change != nil {
			hello = c.change(hello)
		}
		r.feed(hello)
		wantState(t, r, Opening)
		if got := firstRecord(r.sock.Out); got != c.want || a.mss != c.asked || len(a.ends) != 1 {
			t.Errorf("case %d: a record of %d bytes, asked %d times, %d writes", i, got, a.mss, len(a.ends))
		}
	}
}

// A flight waits for a time between the profile's bounds, even when the timer comes as late as it may; nothing is read
// meanwhile, and the opening has its whole time afterwards.
func TestDelay(t *testing.T) {
	for _, c := range []struct{ low, high, least, most int64 }{
		{20, 100, 20, 84}, {5, 5, 5, 5}, {30, 40, 30, 30}, {0, 200, 0, 184}, {0, 1, 0, 0},
	} {
		seen := map[int64]bool{}
		rounds := 200
		if c.least == c.most {
			rounds = 10
		}
		for i := range rounds {
			r := newRig(tlsOnly)
			r.port.Use(&Sites{Default: &faketls.Profile{DelayLow: uint16(c.low), DelayHigh: uint16(c.high)}})
			r.loop.Rand(make([]byte, 40*i)) // another place in the same randomness
			hello, random := r.hello(t, testKey, testTime)
			r.loop.Clock += 50
			r.feed(hello[:700])
			r.feed(hello[700:])
			wantState(t, r, Opening)
			wait := r.sock.TimerAt - r.loop.Clock
			if len(r.sock.Out) != 0 || !r.sock.Paused || wait < c.least || wait > c.most {
				t.Fatalf("%d bytes left, paused %v, a wait of %d ms, not %d..%d", len(r.sock.Out), r.sock.Paused, wait, c.least, c.most)
			}
			seen[wait] = true
			if i == 1 { // the client gives up
				r.sock.Finish(codec.ReasonPeerReset)
				if r.s.part != nil || r.env.Count.Closed[codec.ReasonClientReset] != 1 {
					t.Fatal("the buffer of a flight that nobody waits for is kept")
				}
				continue
			}
			r.loop.Clock += timerLate
			r.sock.Fire(r.loop)
			flight := r.sock.Take()
			if used, err := faketls.CheckFlight(flight, &testKey, random); err != nil || used != len(flight) || r.sock.Writes != 1 {
				t.Fatalf("the flight: used %d of %d, %v, %d writes", used, len(flight), err, r.sock.Writes)
			}
			if r.sock.Paused || r.s.part != nil || r.sock.TimerAt != r.loop.Clock+openingTime {
				t.Fatalf("afterwards: paused %v, part %v, %d ms", r.sock.Paused, r.s.part != nil, r.sock.TimerAt-r.loop.Clock)
			}
			r.feed(faketls.AppendRecords(nil, r.init(testKey, codec.Padded, 2), 2878))
			wantState(t, r, Relay)
		}
		if want := c.most - c.least + 1; int64(len(seen)) < min(want, 40) {
			t.Errorf("%d..%d: only %d different waits", c.low, c.high, len(seen))
		}
	}
}

// A split flight is the same flight, in two writes that are cut inside the ServerHello.
func TestSplitHello(t *testing.T) {
	for _, group := range []faketls.Group{faketls.X25519, faketls.X25519MLKEM768} {
		for _, delay := range []uint16{0, 30} {
			r := newRig(tlsOnly)
			r.port.SplitHello = true
			r.port.Use(&Sites{Default: &faketls.Profile{Group: group, DelayHigh: delay}})
			cuts := map[int]bool{}
			for range 50 {
				a := r.meter(1460)
				hello, random := r.hello(t, testKey, testTime)
				r.feed(hello)
				if delay > 0 {
					r.s.Timer(r.sock)
				}
				first := firstRecord(r.sock.Out)
				if len(a.ends) != 2 || a.ends[0] < 5 || a.ends[0] >= first {
					t.Fatalf("writes end at %v, the ServerHello at %d", a.ends, first)
				}
				if used, err := faketls.CheckFlight(r.sock.Out, &testKey, random); err != nil || used != len(r.sock.Out) {
					t.Fatalf("the flight: used %d of %d, %v", used, len(r.sock.Out), err)
				}
				cuts[a.ends[0]] = true
			}
			if len(cuts) < 15 {
				t.Errorf("group %x: only %d different cuts", group, len(cuts))
			}
		}
	}
}

// No cut lets a segment end where Android stumbles.
func TestCut(t *testing.T) {
	for _, first := range []int{95, 127, 1183, 1215} {
		for mss := 0; mss < 1500; mss++ {
			if 0 < mss && mss < 48 { // no path has so small segments
				continue
			}
			for r := range uint32(first) {
				at := cut(first, mss, r)
				if at < 5 || at >= first {
					t.Fatalf("%d bytes, segments of %d: cut at %d", first, mss, at)
				}
				for end := at + mss; mss > 0 && end <= first+trapSpan; end += mss {
					if end >= first {
						t.Fatalf("%d bytes, segments of %d, cut at %d: one ends at %d", first, mss, at, end)
					}
				}
			}
		}
	}
}
