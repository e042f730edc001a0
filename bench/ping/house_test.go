package ping

import (
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/upstream/faketg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience  = 20 * time.Second       // for what must come
	impatient = 400 * time.Millisecond // for what must not come
)

var (
	key      = codec.Key{0xd0, 0xd6, 0xe1, 0x11, 0xba, 0xda, 0x55, 0x11, 0xfc, 0xce, 0x95, 0x84, 0xde, 0xad, 0xbe, 0xef}
	fakeTLS  = secret.Secret{Key: key, Kind: secret.FakeTLS, Domain: "example.com"}
	everyone = []codec.Protocol{codec.Classic, codec.Secure, codec.TLS}
)

// serve hands every connection to a goroutine of its own until the test ends.
func serve(t *testing.T, handle func(net.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var open []net.Conn // belongs to the goroutine below until it ended
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
			go handle(c)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-ended
		for _, c := range open {
			c.Close()
		}
	})
	return netip.MustParseAddrPort(ln.Addr().String())
}

// telegram is a fake datacenter; only is faketg.DC.Only.
func telegram(t *testing.T, only codec.DC) netip.AddrPort {
	return serve(t, func(c net.Conn) {
		defer c.Close()
		dc := faketg.NewDC(random)
		dc.Only = only
		buf := make([]byte, 4<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			out, bad := dc.Feed(buf[:n], nil)
			if _, err := c.Write(out); err != nil || bad != nil {
				return
			}
		}
	})
}

// proxy is an Epoxy with these protocols and datacenters, and no front.
func proxy(t *testing.T, dcs map[codec.DC][]netip.AddrPort, allow ...codec.Protocol) Target {
	t.Helper()
	at, err := config.ParseEndpoint("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := config.Default()
	s.Listen = []config.Listen{{Name: "port1", Endpoint: at}}
	s.Secrets = []config.NamedSecret{{Name: "a", Secret: secret.Secret{Key: key}}}
	s.Domain, s.Allow, s.Upstream, s.DC, s.Loops = "example.com", config.AllowOf(allow...), config.UpstreamDirect, dcs, 1
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return target(netip.MustParseAddrPort(e.Addrs()[0]))
}

func target(at netip.AddrPort) Target {
	return Target{Host: at.Addr().String(), Port: int(at.Port()), Secret: fakeTLS}
}

// nobody is a port at which nobody listens.
func nobody(t *testing.T) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	return netip.MustParseAddrPort(ln.Addr().String())
}

// faulty returns where and how r failed.
func faulty(r *Result) string {
	step, e := r.Failed()
	if e == nil {
		return "ok"
	}
	if e.Fault == TransportError {
		return step + " " + strconv.Itoa(int(e.Code))
	}
	return step + " " + e.Fault.String()
}

// want compares the faults of results, by protocol, with step and word.
func want(t *testing.T, all []Result, by map[codec.Protocol]string) {
	t.Helper()
	if len(all) == 0 {
		t.Fatal("no results")
	}
	for i := range all {
		r := &all[i]
		if got := faulty(r); got != by[r.Protocol] {
			_, e := r.Failed()
			t.Errorf("DC %d, %s %s: %s, want %s (%v)", r.DC, r.Protocol, r.Transport, got, by[r.Protocol], e)
		}
	}
}

func alike(fault string) map[codec.Protocol]string {
	return map[codec.Protocol]string{codec.Classic: fault, codec.Secure: fault, codec.TLS: fault}
}

func only(all []Result, keep func(*Result) bool) []Result {
	return slices.DeleteFunc(slices.Clone(all), func(r Result) bool { return !keep(&r) })
}

// deaf reads and says nothing.
func deaf(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
