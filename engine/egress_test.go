package engine_test

import (
	"net/netip"
	"testing"

	"epoxy/codec"
	"epoxy/engine/stats"
	"epoxy/upstream/egress"
	"epoxy/upstream/faketg"
)

// Clients reach their datacenter through every kind of proxy, past those that fail.
func TestProxyDirect(t *testing.T) {
	login := proxyManners{user: "alice", password: "s3cret"}
	trickle, web := login, login
	trickle.trickle, web.http = true, true
	for name, list := range map[string][]proxyManners{
		"socks5": {{}}, "password": {login}, "byte by byte": {trickle}, "http": {{http: true}}, "http password": {web},
		"garbage first":  {{garbage: true}, login},
		"refusals first": {{code: 1}, {http: true, code: 2}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			tg, dc := telegram(t, faketg.Faults{})
			set := settings(dc)
			var ways []*wayOut
			for _, m := range list {
				w := wayTo(t, m)
				ways = append(ways, w)
				set.UpstreamProxies = append(set.UpstreamProxies, w.proxy())
			}
			h := start(t, set)
			for _, w := range ways {
				if w.asked.Load() != 0 {
					t.Error("asked before there is a client")
				}
			}
			for _, kind := range []way{{codec.Classic, codec.Abridged}, {codec.TLS, codec.Padded}} {
				c := dial(t, h.addr, kind, 2)
				for _, size := range []int{64, 4096, 300_000} {
					mustPing(t, c, size)
				}
				_ = c.Close()
			}
			h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
			if n := ways[len(ways)-1].carried.Load(); n != 2 || tg.Seen().Accepted != 2 {
				t.Errorf("the last proxy carried %d, the datacenter has seen %d", n, tg.Seen().Accepted)
			}
		})
	}
}

// Nobody gets through with a wrong password, over a proxy that hangs up, or where none listens; the client is closed and
// never goes to the datacenter directly.
func TestProxyRefuses(t *testing.T) {
	wrong := func(w *wayOut) egress.Proxy {
		p := w.proxy()
		p.Password = "other"
		return p
	}
	for name, c := range map[string]struct {
		proxy   egress.Proxy
		why     codec.Reason
		carried bool
	}{
		"password":      {wrong(wayTo(t, proxyManners{user: "alice", password: "s3cret"})), codec.ReasonEgressAuth, false},
		"http password": {wrong(wayTo(t, proxyManners{http: true, user: "alice", password: "s3cret"})), codec.ReasonEgressAuth, false},
		"rules":         {wayTo(t, proxyManners{code: 2}).proxy(), codec.ReasonEgressRefused, false},
		"garbage":       {wayTo(t, proxyManners{garbage: true}).proxy(), codec.ReasonEgressShape, false},
		"nobody":        {egress.Proxy{Addr: netip.MustParseAddrPort("127.0.0.1:1")}, codec.ReasonDialRefused, false},
		"hangs up":      {wayTo(t, proxyManners{hangUp: true}).proxy(), codec.ReasonNone, true},
	} {
		t.Run(name, func(t *testing.T) {
			tg, dc := telegram(t, faketg.Faults{})
			set := settings(dc)
			set.UpstreamProxies = []egress.Proxy{c.proxy}
			h := start(t, set)
			client := dial(t, h.addr, ways[0], 2)
			_ = client.send(make([]byte, 64))
			wantEnd(t, client)
			h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
			l := h.snapshot().Sum()
			if !c.carried && (l.DialsFailed[c.why] == 0 || tg.Seen().Accepted != 0) || c.carried != (l.Dials > 0) {
				t.Errorf("dials %d, failed %v, the datacenter has seen %d", l.Dials, l.DialsFailed, tg.Seen().Accepted)
			}
		})
	}
}

// Fault 40: links go through a proxy that says where the middle proxy sees it, even past one that does not.
func TestProxyLinks(t *testing.T) {
	for name, list := range map[string][]proxyManners{
		"one": {{user: "alice", password: "s3cret"}}, "the second": {{noBind: true}, {}}, "past HTTP": {{http: true}, {trickle: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := middles(t, faketg.MiddleFaults{}, 2)
			set := linkSettings(t, m)
			var last *wayOut
			for _, one := range list {
				last = wayTo(t, one)
				set.UpstreamProxies = append(set.UpstreamProxies, last.proxy())
			}
			h := start(t, set)
			h.readyLinks(t, 2, 1)
			mustPing(t, dial(t, h.addr, ways[2], 2), 4096)
			if last.carried.Load() == 0 {
				t.Error("the link went another way")
			}
			sound(t, m.Seen())
		})
	}
}

// Fault 40: without that address there is no link, and clients are closed.
func TestProxyNeedsBind(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	set := linkSettings(t, m)
	set.UpstreamProxies = []egress.Proxy{wayTo(t, proxyManners{noBind: true}).proxy()}
	h := start(t, set)
	h.wait(t, func(l stats.Loop) bool { return l.Middle.Failed[codec.ReasonEgressBind] > 0 })
	c := dial(t, h.addr, ways[2], 2)
	_ = c.send(make([]byte, 64))
	wantEnd(t, c)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonNoLink] == 1 })
	if l := h.snapshot().Sum(); l.Middle.Ready != 0 {
		t.Errorf("%d links", l.Middle.Ready)
	}
}
