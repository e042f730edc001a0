package faketg

import (
	"bytes"
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/codec/cbc"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
)

// wall is the test's clock, at both ends.
const wall = 1_700_000_000

var (
	testSecret = bytes.Repeat([]byte("a secret of 128 "), 8)
	proxyAddr  = netip.MustParseAddrPort("198.51.100.7:41234")
	middleAddr = netip.MustParseAddrPort("192.0.2.10:8888")
	testTag    = rpc.Tag{0xfb, 0xf7, 0x17}
)

// proxyEnd is the other end of a Middle: a proxy made of codec/full and codec/rpc.
type proxyEnd struct {
	addrs     full.Nonces
	nonce     rpc.Nonce
	handshake rpc.Handshake
	dec       full.Decoder
	enc       full.Encoder
	raw       cbc.Decrypter // a second look at the way down
	clear     []byte        // what raw saw
	prefix    rpc.Prefix
}

func newProxyEnd(offer uint32) *proxyEnd {
	p := &proxyEnd{
		addrs:     full.Nonces{ProxyAddr: proxyAddr, MiddleAddr: middleAddr, ProxyNonce: [16]byte{1, 2, 3}, Time: wall},
		handshake: rpc.Handshake{Flags: offer, Sender: rpc.ProcessID{PID: 7, Start: wall}},
	}
	p.nonce = rpc.Nonce{Selector: rpc.Selector(testSecret), Schema: rpc.SchemaAES, Time: wall, Random: p.addrs.ProxyNonce}
	p.prefix = rpc.NewPrefix(&rpc.Common{Transport: codec.Padded, Proxy: netip.MustParseAddrPort("192.0.2.5:443"), Tag: &testTag})
	return p
}

// hello is the first frame.
func (p *proxyEnd) hello() []byte { return p.enc.Append(nil, p.nonce.Append(nil)) }

// greet reads the middle proxy's nonce and returns the handshake.
func (p *proxyEnd) greet(wire []byte) ([]byte, error) {
	p.dec.Feed(wire)
	body, err := p.dec.Next()
	if err != nil {
		return nil, err
	}
	n, err := rpc.ParseNonce(body)
	if err != nil {
		return nil, err
	}
	if err := p.nonce.Accept(&n, wall); err != nil {
		return nil, err
	}
	return p.start(&n)
}

// start derives the keys behind the middle proxy's nonce and returns the handshake.
func (p *proxyEnd) start(n *rpc.Nonce) ([]byte, error) {
	p.addrs.MiddleNonce = n.Random
	up, down, err := p.addrs.Derive(testSecret)
	if err != nil {
		return nil, err
	}
	p.enc.Start(&up)
	p.dec.Start(&down)
	p.raw = cbc.NewDecrypter(&down.Key, &down.IV)
	if _, err := p.dec.Next(); err != codec.ErrShort {
		return nil, err
	}
	return p.enc.Flush(p.enc.Append(nil, p.handshake.Append(nil)), 0), nil
}

// ready reads the middle proxy's handshake and what follows it.
func (p *proxyEnd) ready(wire []byte) ([]rpc.Message, error) {
	p.look(wire)
	p.dec.Feed(wire)
	body, err := p.dec.Next()
	if err != nil {
		return nil, err
	}
	h, err := rpc.ParseHandshake(body)
	if err != nil {
		return nil, err
	}
	crc32c, err := p.handshake.Accept(&h)
	if err != nil {
		return nil, err
	}
	if crc32c {
		p.enc.UseCRC32C()
		p.dec.UseCRC32C()
	}
	return p.messages()
}

// look decrypts the way down beside the Decoder, whole blocks of it.
func (p *proxyEnd) look(wire []byte) {
	p.clear = bytes.Clone(wire[:len(wire)&^15])
	p.raw.CryptBlocks(p.clear, p.clear)
}

// read returns the messages in wire, whose data is copied.
func (p *proxyEnd) read(wire []byte) ([]rpc.Message, error) {
	p.look(wire)
	p.dec.Feed(wire)
	return p.messages()
}

func (p *proxyEnd) messages() (all []rpc.Message, err error) {
	for {
		body, err := p.dec.Next()
		if err == codec.ErrShort {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		m, err := rpc.Parse(body)
		if err != nil {
			return all, err
		}
		m.Data = bytes.Clone(m.Data)
		all = append(all, m)
	}
}

// say is one frame with a body, ready to be sent.
func (p *proxyEnd) say(body []byte) []byte { return p.enc.Flush(p.enc.Append(nil, body), 0) }

// request is the request of a packet of stream id.
func (p *proxyEnd) request(id uint64, packet []byte, quick bool) []byte {
	client := rpc.AddressOf(netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), uint16(id)))
	p.prefix.Bind(id, &client)
	return p.say(p.prefix.Append(nil, packet, quick))
}

// newTestMiddle returns a Middle for proxyEnd.
func newTestMiddle(f MiddleFaults) (*Middle, *MiddleSeen) {
	seen := new(MiddleSeen)
	m := NewMiddle(MiddleOptions{
		Secret: testSecret, DC: 2, Proxy: proxyAddr, Here: middleAddr, Faults: &f, Seen: seen,
		Rand: counting, Unix: func() int64 { return wall },
	})
	return &m, seen
}

// opened returns a link that is open, at both ends.
func opened(t testing.TB, f MiddleFaults, offer uint32) (*Middle, *MiddleSeen, *proxyEnd) {
	t.Helper()
	m, seen := newTestMiddle(f)
	p := newProxyEnd(offer)
	nonce, err := m.Feed(p.hello(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hello, err := p.greet(nonce)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.Feed(hello, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.ready(answer); err != nil {
		t.Fatal(err)
	}
	return m, seen, p
}

// tell feeds m and reads what it answers.
func tell(t testing.TB, m *Middle, p *proxyEnd, wire []byte) []rpc.Message {
	t.Helper()
	out, err := m.Feed(wire, nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := p.read(out)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
