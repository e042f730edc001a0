package engine_test

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/engine/quota"
	"epoxy/engine/stats"
	"epoxy/upstream/faketg"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// limited runs a proxy whose one secret has limits.
func limited(t *testing.T, change func(*config.Settings)) *house {
	t.Helper()
	_, dc := telegram(t, faketg.Faults{})
	s := settings(dc)
	change(s)
	return start(t, s)
}

func (h *house) usage(t *testing.T, name string) quota.Usage {
	t.Helper()
	for _, u := range h.Usage() {
		if u.Name == name {
			return u
		}
	}
	t.Fatalf("no usage of %s", name)
	return quota.Usage{}
}

// A secret's limit of clients is exact, however many come at once on two loops.
func TestSecretMaxClients(t *testing.T) {
	const most, come = 5, 40
	h := limited(t, func(s *config.Settings) { s.Secrets[0].MaxClients, s.Secrets[0].MaxAddresses = most, 1 })
	var served atomic.Int64
	var all sync.WaitGroup
	clients := make([]*client, come)
	for i := range clients {
		all.Go(func() {
			c, err := open(h.addr, ways[2], 2, key)
			if err != nil {
				return
			}
			clients[i] = c
			if c.ping(64) == nil {
				served.Add(1)
			}
		})
	}
	all.Wait()
	u := h.usage(t, "a")
	if served.Load() != most || u.Clients != most || u.Refused[codec.ReasonSecretClients] != come-most || u.Addresses != 1 {
		t.Errorf("%d served, %d counted from %d addresses, %d refused", served.Load(), u.Clients, u.Addresses, u.Refused[codec.ReasonSecretClients])
	}
	for _, c := range clients {
		if c != nil {
			_ = c.Close()
		}
	}
	h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
	if u := h.usage(t, "a"); u.Clients != 0 {
		t.Errorf("%d clients are left in the ledger", u.Clients)
	}
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
}

// halfway connects, says hello, is answered, and says no more.
func halfway(t *testing.T, h *house) *client {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := &client{Conn: conn, proto: codec.TLS, tag: codec.Padded, buf: make([]byte, 64<<10)}
	if err := c.hello(key, uint32(time.Now().Unix())); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that was answered and never opened gives its place back.
func TestSecretMaxClientsOpening(t *testing.T) {
	h := limited(t, func(s *config.Settings) { s.Secrets[0].MaxClients = 1 })
	for range 3 {
		c := halfway(t, h)
		h.wantRefused(t, ways[2], codec.ReasonSecretClients)
		_ = c.Close()
		h.wait(t, func(l stats.Loop) bool { return l.ClientsNow == 0 })
	}
	mustPing(t, dial(t, h.addr, ways[2], 2), 64)
}

// A quota ends all clients near its bound, refuses others, outlives the process, and begins anew by a reset.
func TestSecretQuota(t *testing.T) {
	const bytes, size = 8 << 20, 100_000
	dir := t.TempDir()
	limit := func(s *config.Settings) { s.Secrets[0].Quota, s.StateDir = bytes, dir }
	h := limited(t, limit)
	one, two := dial(t, h.addr, ways[2], 2), dial(t, h.addr, ways[3], 2)
	total := 0
	for range bytes {
		if one.ping(size) != nil || two.ping(size) != nil {
			break
		}
		total += 4 * size
	}
	_ = wantEnd(t, one)
	_ = wantEnd(t, two)
	h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonSecretQuota] == 2 })
	const over = 2*2<<20 + 4*256<<10 // see package quota
	if u := h.usage(t, "a"); u.Up+u.Down < bytes || u.Up+u.Down > bytes+over || total > bytes+over || u.Clients != 0 {
		t.Errorf("%d bytes came through, %d are counted, the quota is %d", total, u.Up+u.Down, bytes)
	}
	h.wantRefused(t, ways[2], codec.ReasonSecretQuota)
	h.Stop()

	h = limited(t, limit)
	h.wantRefused(t, ways[3], codec.ReasonSecretQuota)
	if !h.ResetQuota("a") || h.ResetQuota("b") {
		t.Error("a reset knows another secret")
	}
	mustPing(t, dial(t, h.addr, ways[3], 2), 64)
}

// A rate slows clients and loses nothing.
func TestSecretRate(t *testing.T) {
	h := limited(t, func(s *config.Settings) { s.Secrets[0].RateUp, s.Secrets[0].RateDown = 4<<20, 4<<20 })
	for _, w := range []way{ways[2], ways[3]} {
		c := dial(t, h.addr, w, 2)
		for range 10 {
			mustPing(t, c, 200_000)
		}
	}
}

// A secret that is switched off or has expired lets nobody in.
func TestSecretOff(t *testing.T) {
	h := limited(t, func(s *config.Settings) { s.Secrets[0].Disabled = true })
	h.wantRefused(t, ways[2], codec.ReasonSecretDisabled)
	h.wantRefused(t, ways[3], codec.ReasonSecretDisabled)
	h = limited(t, func(s *config.Settings) { s.Secrets[0].Expires = time.Now().Add(-time.Second) })
	h.wantRefused(t, ways[2], codec.ReasonSecretExpired)
}

// B26: a secret is removed while its clients are connected: they stay for the drain time and no longer, others are not
// touched. Without drain time they are ended at once.
func TestSecretRemoved(t *testing.T) {
	for _, drain := range []time.Duration{time.Hour, 0} {
		_, dc := telegram(t, faketg.Faults{})
		other := codec.Key{1, 2, 3}
		with := func(list ...string) *config.Settings {
			s := settings(dc)
			s.Drain, s.SecretDrain = time.Hour, drain
			s.Secrets = nil
			for _, name := range list {
				k := key
				if name == "b" {
					k = other
				}
				s.Secrets = append(s.Secrets, config.NamedSecret{Name: name, Secret: secret.Secret{Key: k}})
			}
			return s
		}
		h := start(t, with("a", "b"))
		goes := dial(t, h.addr, ways[3], 2)
		mustPing(t, goes, 64)
		stays, err := open(h.addr, ways[2], 2, other)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = stays.Close() })
		mustPing(t, stays, 64)
		if _, err := h.Apply(changed(t, func() *config.Settings { return with("b") }, func(*config.Settings) {})); err != nil {
			t.Fatal(err)
		}
		if drain == 0 {
			_ = wantEnd(t, goes)
			h.wait(t, func(l stats.Loop) bool { return l.Closed[codec.ReasonSecretRemoved] == 1 })
		} else {
			mustPing(t, goes, 64)
		}
		mustPing(t, stays, 64)
		if all := h.Usage(); len(all) != 1 || all[0].Name != "b" || all[0].Clients != 1 {
			t.Errorf("usage of %d secrets", len(all))
		}
	}
}
