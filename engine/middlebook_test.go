package engine_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
	"epoxy/upstream/middle"
)

// Without a tag, or with --tag-optional, clients go to the datacenter directly while no link works, and over links when
// one does; the ways are in the metrics.
func TestMiddleFallsBack(t *testing.T) {
	for name, change := range map[string]func(*config.Settings){
		"no tag":       func(s *config.Settings) { s.Tag, s.Upstream = nil, config.UpstreamMiddle },
		"tag optional": func(s *config.Settings) { s.TagOptional = true },
	} {
		t.Run(name, func(t *testing.T) {
			tg, dc := telegram(t, faketg.Faults{})
			m := middles(t, faketg.MiddleFaults{Refuse: true}, 2)
			set := linkSettings(t, m, dc)
			change(set)
			h := start(t, set)
			h.wait(t, func(l stats.Loop) bool {
				return l.Middle.Failed[codec.ReasonUpstreamReset] > 0 && l.DC[2].ByDirect == 1
			})
			direct := h.clients(t, 2, 2)
			if seen, l := tg.Seen(), h.snapshot().Sum(); seen.Packets != 2 || l.DC[2].StreamsNow != 2 || l.DC[2].ByMiddle != 0 {
				t.Errorf("%d packets, DC 2 %+v", seen.Packets, l.DC[2])
			}
			m.SetFaults(faketg.MiddleFaults{})
			h.readyLinks(t, 2, 1)
			h.wait(t, func(l stats.Loop) bool { return l.DC[2].ByMiddle == 1 && l.DC[2].ByDirect == 0 })
			over := h.clients(t, 2, 2)
			for _, c := range append(direct, over...) {
				mustPing(t, c, 64)
			}
			l := h.snapshot().Sum()
			if l.DC[2].StreamsNow != 2 || l.DC[2].Middle.StreamsNow != 2 || m.Seen().OpenStreams != 2 || l.ClientsNow != 4 {
				t.Errorf("DC 2 %+v, %d streams seen", l.DC[2], m.Seen().OpenStreams)
			}
		})
	}
}

// B16: one datacenter's middle proxy is down at the start; the others' clients are served all the same.
func TestMiddleOneDown(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2)
	m.Publish(append(m.Listening, load.MiddleAddr{DC: 4, Addr: deadPort(t)})...)
	h := start(t, linkSettings(t, m))
	h.readyLinks(t, 2, 1)
	down := dial(t, h.addr, ways[3], 4)
	if err := down.send(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	h.clients(t, 8, 2)
	h.wait(t, func(l stats.Loop) bool { return l.Middle.Failed[codec.ReasonDialRefused] > 0 })
	h.clients(t, 8, 2)
	wantEnd(t, down)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonNoLink] == 1 && l.ClientsNow == 16 })
}

// B17: the address book loses an address: the streams on it move to another one, and its links end.
func TestMiddleAddressRemoved(t *testing.T) {
	m := middles(t, faketg.MiddleFaults{}, 2, 2)
	set := linkSettings(t, m)
	list := filepath.Join(t.TempDir(), "list")
	set.TelegramConfig = list
	publish := func(addrs ...load.MiddleAddr) {
		t.Helper()
		if err := os.WriteFile(list+".new", load.MiddleList(addrs), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(list+".new", list); err != nil {
			t.Fatal(err)
		}
	}
	publish(m.Listening...)
	h := start(t, set)
	h.readyLinks(t, 2, 1)
	all := h.clients(t, 1, 2)
	h.readyLinks(t, 2, 2) // the spare one is at the other address
	all = append(all, h.clients(t, 15, 2)...)
	publish(m.Listening[0])
	h.wait(t, func(l stats.Loop) bool {
		return l.Middle.Ended[codec.ReasonLinkSpare] == 1 && l.DC[2].Middle.Links[middle.Draining] == 0
	})
	for _, c := range all {
		mustPing(t, c, 64)
	}
	if l := h.snapshot().Sum(); l.ClientsNow != 16 || l.Middle.Migrated[middle.Moved] == 0 || l.Middle.Migrated[middle.Busy] > 0 {
		t.Errorf("%d clients, migrated %v", l.ClientsNow, l.Middle.Migrated)
	}
	for _, addr := range h.snapshot().ReadyTargets {
		if addr != m.Listening[0].Addr {
			t.Errorf("a link to %v is ready", addr)
		}
	}
	sound(t, m.Seen())
}

// A secret that Telegram changed is fetched anew when links fail for it, and clients do not notice.
func TestMiddleSecretChanges(t *testing.T) {
	h, m := linked(t)
	all := h.clients(t, 4, 2)
	asked := m.Resources.Asked(load.SecretPath)
	m.SetSecret(load.NewMiddleSecret())
	for _, c := range all {
		mustPing(t, c, 64) // links that are up do not need it
	}
	before := h.snapshot().Sum().Middle.Ready
	m.Strike(faketg.FaultFIN, 0)
	h.wait(t, func(l stats.Loop) bool { return l.Middle.Ready > before })
	for _, c := range all {
		mustPing(t, c, 64)
	}
	s := h.snapshot()
	if n := m.Resources.Asked(load.SecretPath); n != asked+1 || s.Refresh.Forced != 1 || s.Book.Old == nil {
		t.Errorf("the secret was asked for %d times, %d forced", n-asked, s.Refresh.Forced)
	}
	if m.Seen().BadNonces == 0 {
		t.Error("nobody used the old secret")
	}
}

// Links may come from an address that others see differently: --public-ip makes the keys fit, without it none is ready.
func TestMiddlePublicIP(t *testing.T) {
	public := netip.MustParseAddr("203.0.113.7")
	for _, told := range []bool{true, false} {
		m := middles(t, faketg.MiddleFaults{}, 2)
		o := m.Settings()
		o.ProxyIP = public
		m.Set(o)
		set := linkSettings(t, m)
		if told {
			set.PublicV4 = public
		}
		h := start(t, set)
		if !told {
			h.wait(t, func(l stats.Loop) bool { return l.Middle.Failed[codec.ReasonLinkMute] > 0 && l.ReadyLinks() == 0 })
			continue
		}
		h.readyLinks(t, 2, 1)
		h.clients(t, 4, 2)
		if s := m.Seen().StreamList[0]; s.Proxy.Addr() != public || s.Link.Addr() != public {
			t.Errorf("seen %+v", s)
		}
	}
}
