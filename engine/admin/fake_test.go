package admin

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"epoxy/engine/policy"
)

// control is a process that does what is asked and remembers it.
type control struct {
	mu     sync.Mutex
	tables *policy.Tables
	levels map[string]string
	drain  time.Duration
	reset  string
	err    error // of everything that can fail
}

func newControl() *control {
	return &control{tables: policy.NewTables(8), levels: map[string]string{"": "info"}}
}

func (c *control) Reload(context.Context) (Reload, error) {
	return Reload{Applied: []string{"tag"}, Restart: []string{"loops"}}, c.err
}

func (c *control) Drain(limit time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drain = limit
	return c.err
}

func (c *control) Levels() map[string]string { return c.levels }

func (c *control) SetLevel(part, level string) error {
	if part == "nobody" {
		return fmt.Errorf("%w: no part is called that; write one of loop, front", ErrNotFound)
	}
	c.levels[part] = level
	return c.err
}

func (c *control) Secrets() []Secret {
	return []Secret{
		{Name: "alice", State: "on", Clients: 3, UpBytes: 10, DownBytes: 100, Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{Name: "bob", State: "quota", QuotaBytes: 5, QuotaUsedBytes: 5, DownBytes: 500},
		{Name: "carol", State: "off"},
	}
}

func (c *control) ResetSecret(name string) error {
	if name != "bob" {
		return ErrNotFound
	}
	c.reset = name
	return c.err
}

func (c *control) Tables() (all []TableInfo) {
	for _, i := range c.tables.Names() {
		all = append(all, TableInfo{Name: i.Name, Keys: i.Len})
	}
	return all
}

func (c *control) Table(name string) ([]policy.Key, error) { return c.tables.List(name), c.err }

func (c *control) AddKeys(table string, keys []policy.Key) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.tables.Add(table, keys...)
}

func (c *control) DelKeys(table string, keys []policy.Key) (int, error) {
	return c.tables.Del(table, keys...), c.err
}

// fakeStatus has something in every field.
func fakeStatus() Status {
	return Status{
		Version: "v9", Commit: "c0ffee", UptimeSeconds: 12.5, Ready: true, HealthyWhy: "engine: no way", ReadyWhy: "x",
		Clients:     Clients{Now: 3, Limit: 100, Ports: []Port{{Name: "port1", Now: 3}}},
		Handshakes:  Handshakes{Accepted: 9, Good: map[string]uint64{"tls": 3}, Refused: map[string]uint64{"full": 1}, Strangers: map[string]uint64{"replay": 2}, Closed: map[string]uint64{"idle": 1}},
		Datacenters: []Datacenter{{Name: "2", Way: "middle", Streams: 3, Links: map[string]uint64{"ready": 4}, RoundTripSeconds: 0.05}},
		Fronts:      []Front{{Domain: "a.example", Target: "192.0.2.1:443", Measured: time.Unix(1e9, 0).UTC(), Error: "x", Warnings: []string{"y"}}},
		Loops:       []Loop{{Clients: 3, BusyShare: 0.5}},
		Busiest:     BusiestOf(newControl().Secrets()),
	}
}

func TestBusiest(t *testing.T) {
	b := fakeStatus().Busiest
	if len(b.ByBytes) != 2 || b.ByBytes[0].Name != "bob" || len(b.ByClients) != 1 || b.ByClients[0].Name != "alice" {
		t.Errorf("busiest are %+v", b)
	}
	many := make([]Secret, 40)
	for i := range many {
		many[i] = Secret{Name: fmt.Sprint(i), Clients: uint64(i)}
	}
	if b := BusiestOf(many); len(b.ByClients) != 10 || b.ByClients[0].Name != "39" || len(b.ByBytes) != 0 {
		t.Errorf("busiest of many are %+v", b)
	}
}
