package load

import (
	"bytes"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/upstream/faketg"
)

func counting(p []byte) {
	for i := range p {
		p[i] = byte(i + 1)
	}
}

var (
	testKey  = codec.Key{15: 7}
	protocol = []Protocol{Classic, Intermediate, Secure, TLS, Direct}
)

// middleman is the smallest proxy for one client, made of the codecs, with the fake Telegram behind it.
type middleman struct {
	who    *Identity
	hello  bool // fake-TLS is done
	tls    faketls.Reader
	rest   []byte
	opened bool
	in     obfs2.Stream
	out    obfs2.Stream
	up     obfs2.Stream
	down   obfs2.Stream
	dc     faketg.DC
}

func newMiddleman(who *Identity) *middleman {
	return &middleman{who: who, hello: !who.TLS, dc: faketg.NewDC(counting)}
}

func (m *middleman) feed(t testing.TB, p []byte) []byte {
	t.Helper()
	p = bytes.Clone(p)
	if !m.hello {
		m.rest = append(m.rest, p...)
		h, used, err := faketls.ParseHello(m.rest, nil)
		if err == codec.ErrShort {
			return nil
		}
		key, digester := faketls.NewKey(testKey), faketls.NewDigester()
		unix, ok := digester.Check(key, &h)
		if err != nil || used != len(m.rest) || !ok || unix != 1795000000 || string(h.SNI) != "front.example" {
			t.Fatalf("hello: %v, digest %v, time %d, name %q", err, ok, unix, h.SNI)
		}
		profile := new(faketls.Profile)
		choice, err := profile.Choose(&h)
		if err != nil {
			t.Fatal(err)
		}
		flight, err := digester.AppendFlight(nil, key, &h, profile, choice, counting)
		if err != nil {
			t.Fatal(err)
		}
		m.hello, m.rest = true, nil
		return flight
	}
	if m.who.TLS {
		n, err := m.tls.Strip(p)
		if err != nil {
			t.Fatal(err)
		}
		p = p[:n]
	}
	var head []byte
	if !m.opened {
		m.rest = append(m.rest, p...)
		if len(m.rest) < obfs2.InitSize {
			return nil
		}
		head, p = m.open(t), m.rest[obfs2.InitSize:]
	}
	m.in.XOR(p, p)
	m.up.XOR(p, p)
	answer, err := m.dc.Feed(append(head, p...), nil)
	if err != nil {
		t.Fatal(err)
	}
	for m.dc.Left() > 0 {
		answer = m.dc.Pull(answer, 10_000)
	}
	m.down.XOR(answer, answer)
	m.out.XOR(answer, answer)
	if m.who.TLS {
		answer = faketls.AppendRecords(nil, answer, 1400)
	}
	return answer
}

// open takes the client's init and returns the one for Telegram.
func (m *middleman) open(t testing.TB) []byte {
	transport, dc, ok := obfs2.Match(m.rest, m.who.Secret)
	if !ok || transport != m.who.Transport || dc != m.who.DC {
		t.Fatalf("opening: %v, %v, %d", ok, transport, dc)
	}
	m.opened = true
	m.in, m.out = obfs2.Accept(m.rest, m.who.Secret)
	var random [obfs2.InitSize]byte
	counting(random[:])
	init, up, down, _ := obfs2.ClientInit(&random, nil, transport, dc)
	m.up, m.down = up, down
	return init[:]
}

func newIdentity(t testing.TB, p Protocol) *Identity {
	t.Helper()
	c := Config{Protocol: p}
	who := &Identity{TLS: p == TLS, Transport: c.transport(), DC: -2, Rand: random}
	if p != Direct {
		who.Secret, who.Domain = &testKey, "front.example"
	}
	if who.TLS {
		shares, err := faketls.NewShares(random)
		if err != nil {
			t.Fatal(err)
		}
		who.Shares = shares
	}
	return who
}

// TestClientWithEveryProtocol lets a client speak through a middleman, its bytes cut into pieces of every kind.
func TestClientWithEveryProtocol(t *testing.T) {
	for _, p := range protocol {
		who := newIdentity(t, p)
		for _, step := range []int{1, 2, 3, 5, 7, 29, 63, 64, 65, 500, 1400, 5000} {
			c, m := NewClient(who, 77), newMiddleman(who)
			var sum Progress
			send := func(wire []byte) {
				for len(wire) > 0 {
					n := min(step, len(wire))
					answer := m.feed(t, wire[:n])
					wire = wire[n:]
					for len(answer) > 0 {
						n := min(step, len(answer))
						done, err := c.Feed(bytes.Clone(answer[:n]))
						if err != nil {
							t.Fatalf("%v: %v", p, err)
						}
						answer = answer[n:]
						sum.Echoes += done.Echoes
						sum.Data += done.Data
						sum.Synced = sum.Synced || done.Synced
					}
				}
			}
			hello, err := c.Hello(nil, 1795000000)
			if err != nil {
				t.Fatal(err)
			}
			send(hello)
			if !c.Ready() {
				t.Fatalf("%v: not ready", p)
			}
			send(c.Echo(nil, 64))
			send(c.Echo(nil, 4000))
			send(c.Download(nil, 20_000, step*4))
			send(c.Upload(nil, 3000))
			send(c.Upload(nil, 40))
			send(c.Sync(nil))
			send(c.Echo(nil, 4))
			if sum.Echoes != 3 || sum.Data != 20_000 || c.Awaited() != 0 || !sum.Synced {
				t.Fatalf("%v in steps of %d: %+v, %d awaited", p, step, sum, c.Awaited())
			}
		}
	}
}

// TestClientSeesEveryWrongByte changes each byte of an answer.
func TestClientSeesEveryWrongByte(t *testing.T) {
	who := newIdentity(t, Direct)
	c, m := NewClient(who, 5), newMiddleman(who)
	if _, err := c.Hello(nil, 0); err != nil {
		t.Fatal(err)
	}
	answer := m.feed(t, c.Echo(nil, 64))
	for i := range answer {
		again := c // its stream is still cold
		bad := bytes.Clone(answer)
		bad[i] ^= 0x10
		done, err := again.Feed(bad)
		if err == nil && done.Echoes == 1 {
			t.Errorf("byte %d may be anything", i)
		}
	}
	if done, err := c.Feed(answer); err != nil || done.Echoes != 1 {
		t.Errorf("the right answer: %+v, %v", done, err)
	}
}

func TestClientRefusesRecordsThatAppsRefuse(t *testing.T) {
	for name, wire := range map[string]string{
		"alert":   "\x15\x03\x03\x00\x02\x02\x28",
		"ccs":     "\x14\x03\x03\x00\x01\x01",
		"version": "\x17\x03\x01\x00\x01\x00",
		"empty":   "\x17\x03\x03\x00\x00",
		"long":    "\x17\x03\x03\x40\x01",
	} {
		for cut := range len(wire) {
			var r records
			p := []byte(wire)
			_, err := r.strip(p[:cut])
			if err == nil {
				_, err = r.strip(p[cut:])
			}
			if err != errRecord {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
		}
	}
}

func TestClientRefusesBytesBehindTheFlight(t *testing.T) {
	who := newIdentity(t, TLS)
	c, m := NewClient(who, 5), newMiddleman(who)
	hello, err := c.Hello(nil, 1795000000)
	if err != nil {
		t.Fatal(err)
	}
	flight := m.feed(t, hello)
	bad, again := bytes.Clone(flight), c
	bad[len(bad)-1] ^= 1
	if _, err := again.Feed(bad); codec.ReasonOf(err, codec.ReasonNone) != codec.ReasonHelloDigest {
		t.Errorf("a changed flight: %v", err)
	}
	if _, err := c.Feed(append(flight, 0x17)); err != errEarly {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestClientNamesTransportErrors(t *testing.T) {
	for transport, wire := range map[codec.Transport]string{
		codec.Abridged: "\x01\x6c\xfe\xff\xff", codec.Intermediate: "\x04\x00\x00\x00\x6c\xfe\xff\xff",
	} {
		c := Client{who: &Identity{Transport: transport}}
		if _, err := c.read([]byte(wire)); err != errRefused {
			t.Errorf("%v: %v", transport, err)
		}
	}
}
