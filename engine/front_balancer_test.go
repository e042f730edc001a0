package engine_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/proxyproto"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

// Who a balancer's headers say that the client is, and where it went.
var (
	carried   = netip.MustParseAddrPort("203.0.113.9:4444")
	carriedTo = netip.MustParseAddrPort("198.51.100.1:443")
	carried6  = netip.MustParseAddrPort("[2001:db8::9]:4444")
)

// behind makes set those of a port behind balancers in network.
func behind(set *config.Settings, network string) *config.Settings {
	set.ProxyFrom = []netip.Prefix{netip.MustParsePrefix(network)}
	return set
}

// withTLV adds a field to a version 2 header.
func withTLV(head []byte) []byte {
	tlv := []byte{4, 0, 5, 'n', 'o', 'o', 'p', 's'}
	binary.BigEndian.PutUint16(head[14:], binary.BigEndian.Uint16(head[14:])+uint16(len(tlv)))
	return append(head, tlv...)
}

// balanced is a connection ahead of whose first bytes a balancer puts its header: up to cut in a segment of its own, the rest in
// that of the first bytes.
type balanced struct {
	net.Conn
	head []byte
	cut  int
}

func (b *balanced) Write(p []byte) (int, error) {
	head := b.head
	if head == nil {
		return b.Conn.Write(p)
	}
	b.head = nil
	if b.cut > 0 {
		if _, err := b.Conn.Write(head[:b.cut]); err != nil {
			return 0, err
		}
		_ = b.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // the segments are two
		if n, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, errors.Join(err, errors.New("an answer to half a header"))
		}
		_ = b.SetReadDeadline(time.Now().Add(patience))
	}
	_, err := b.Conn.Write(append(head[b.cut:len(head):len(head)], p...))
	return len(p), err
}

// The address that a balancer's header carries is the one that middle proxies and fronts are told, whatever the version, and
// wherever it is torn.
func TestFrontHeaderIn(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	s := newSite(t)
	set := behind(linkSettings(t, m), "127.0.0.0/8")
	set.Fronts, set.FrontMeasure, set.FrontProxy = []config.Front{s.front()}, 0, config.Version2
	set.ProxyTimeout = patience
	h := start(t, set)
	h.readyLinks(t, 2, 1)
	here := netip.MustParseAddrPort(h.addr)
	for _, c := range []struct {
		name    string
		head    []byte
		who, to netip.AddrPort // invalid is the socket's
	}{
		{"v1", proxyproto.AppendV1(nil, carried, carriedTo), carried, carriedTo},
		{"v2", proxyproto.AppendV2(nil, carried, carriedTo), carried, carriedTo},
		{"v2 of IPv6", proxyproto.AppendV2(nil, carried6, carried6), carried6, carried6},
		{"v2 with a field", withTLV(proxyproto.AppendV2(nil, carried, carriedTo)), carried, carriedTo},
		{"v1 UNKNOWN", []byte("PROXY UNKNOWN\r\n"), netip.AddrPort{}, here},
		{"v2 LOCAL", proxyproto.AppendV2(nil, netip.AddrPort{}, netip.AddrPort{}), netip.AddrPort{}, here},
	} {
		for _, cut := range []int{0, 1, 11, 13, len(c.head) - 1, len(c.head)} {
			conn := stranger(t, h.addr, nil)
			who := c.who
			if !who.IsValid() {
				who = conn.LocalAddr().(*net.TCPAddr).AddrPort()
			}
			cl := &client{Conn: &balanced{conn, c.head, cut}, proto: codec.TLS, tag: codec.Padded, buf: make([]byte, 64<<10)}
			if err := cl.open(2, key); err != nil {
				t.Fatalf("%s, cut at %d: %v", c.name, cut, err)
			}
			mustPing(t, cl, 64)
			told := c.to
			if told.Addr().Is4() { // what Telegram sees of us is in the settings
				told = netip.AddrPortFrom(set.PublicV4, told.Port())
			}
			streams := m.Seen().StreamList
			if got := streams[len(streams)-1]; got.Client != who || got.Proxy != told {
				t.Errorf("%s: the middle proxy was told of %v at %v, not %v at %v", c.name, got.Client, got.Proxy, who, told)
			}

			conn = stranger(t, h.addr, nil)
			if !c.who.IsValid() {
				who = conn.LocalAddr().(*net.TCPAddr).AddrPort()
			}
			hello := wrongHello(t)
			put(t, &balanced{conn, c.head, cut}, hello)
			s.spliced(t, conn, append(proxyproto.AppendV2(nil, who, c.to), hello...))
			_ = conn.Close()
		}
	}
}

// Where balancers are expected nobody else may connect, and a header that is bad, late or torn by FIN ends the connection: the
// front never hears of it.
func TestFrontHeaderBad(t *testing.T) {
	head := proxyproto.AppendV2(nil, carried, carriedTo)
	hello := wrongHello(t)
	for _, c := range []struct {
		name    string
		network string
		say     []byte
		fin     bool
		counted func(stats.Loop) uint64
	}{
		{"not of the network", "10.0.0.0/8", nil, false, func(l stats.Loop) uint64 { return l.Refused[codec.ReasonProxyUntrusted] }},
		{"late", "127.0.0.0/8", head[:20], false, func(l stats.Loop) uint64 { return l.Closed[codec.ReasonProxyHeaderTime] }},
		{"silent", "127.0.0.1/32", nil, false, func(l stats.Loop) uint64 { return l.Closed[codec.ReasonProxyHeaderTime] }},
		{"none", "127.0.0.0/8", hello, false, func(l stats.Loop) uint64 { return l.Closed[codec.ReasonProxyHeader] }},
		{"FIN inside", "127.0.0.0/8", head[:20], true, func(l stats.Loop) uint64 { return l.Closed[codec.ReasonProxyHeader] }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			set := behind(fronted(s), c.network)
			if !c.fin {
				set.ProxyTimeout = short
			}
			h := start(t, set)
			conn := stranger(t, h.addr, c.say)
			if c.fin {
				if err := conn.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if n := wantEnd(t, conn); n != 0 {
				t.Errorf("%d bytes came back", n)
			}
			h.wait(t, func(l stats.Loop) bool { return c.counted(l) == 1 && l.ClientsNow == 0 })
			s.nobody(t, 50*time.Millisecond)
			h.strangers(t, codec.ReasonNone, 0)
		})
	}
}

// A balancer on a unix socket is trusted, whatever the networks.
func TestFrontHeaderUnix(t *testing.T) {
	_, dc := telegram(t, faketg.Faults{})
	s := newSite(t)
	set := behind(fronted(s), "10.0.0.0/8")
	set.DC, set.FrontProxy = settings(dc).DC, config.Version1
	set.Listen[0] = listen("unix", "unix:"+filepath.Join(t.TempDir(), "epoxy.sock"))
	h := start(t, set)
	connect := func() *balanced {
		conn, err := net.Dial("unix", set.Listen[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return &balanced{conn, proxyproto.AppendV2(nil, carried, carriedTo), 5}
	}
	cl := &client{Conn: connect(), proto: codec.TLS, tag: codec.Padded, buf: make([]byte, 64<<10)}
	if err := cl.open(2, key); err != nil {
		t.Fatal(err)
	}
	mustPing(t, cl, 64)
	hello := wrongHello(t)
	conn := connect()
	put(t, conn, hello)
	s.spliced(t, conn.Conn, append(proxyproto.AppendV1(nil, carried, carriedTo), hello...))
	h.strangers(t, codec.ReasonHelloDigest, 1)
}
