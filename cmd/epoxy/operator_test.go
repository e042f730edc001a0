package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/policy"
)

// SIGHUP reads flags, variables and file again: what changed is handed over and told; a bad file changes nothing; the next signal
// still stops.
func TestReloadBySignal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "epoxy.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("max_clients = 10\n")
	w := newWorld(t)
	code := make(chan int, 1)
	go func() {
		code <- w.main([]string{"run", "--admin", "off", "--secret", testKey, "--drain", "0", "--config", file, "--loops", "1"})
	}()
	<-w.engine.started
	told := func(what string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !strings.Contains(w.errs.String(), what); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%q is not told:\n%s", what, w.errs)
			}
		}
	}
	write("max_clients = 20\nloops = 7\n")
	w.signal <- syscall.SIGHUP
	told(`max-clients: 10 becomes 20`)
	told("clients_kept=3")
	if strings.Contains(w.errs.String(), "loops: 1 becomes") {
		t.Error("the file beats the flag")
	}
	write("max_clients = 'many'\n")
	w.signal <- syscall.SIGHUP
	told("everything stays as it was")
	told("epoxy.toml:1")
	close(w.engine.finish)
	w.signal <- syscall.SIGTERM
	if c := <-code; c != exitOK {
		t.Errorf("exit code %d", c)
	}
	if s := w.engine.settings; s.MaxClients != 20 {
		t.Errorf("max-clients is %d", s.MaxClients)
	}
	if strings.Contains(w.errs.String(), testKey) {
		t.Error("the secret is told")
	}
}

// An order to drain stops as a signal does; the second one is told that it is under way.
func TestDrainByOrder(t *testing.T) {
	w := newWorld(t)
	o := w.app.operator(nil, config.Default(), w.engine, slog.New(slog.DiscardHandler), logs.New(slog.LevelInfo, nil))
	if err := o.Drain(-1); err != nil {
		t.Fatal(err)
	}
	if err := o.Drain(time.Second); err == nil {
		t.Error("a second order is taken")
	}
	close(w.engine.finish)
	if err := o.wait(); err != nil {
		t.Error(err)
	}
}

// Keys that do not all fit into the tables are not added in part.
func TestAddKeysWhole(t *testing.T) {
	w := newWorld(t)
	w.engine.tables = policy.NewTables(2)
	o := w.app.operator(nil, config.Default(), w.engine, slog.New(slog.DiscardHandler), logs.New(slog.LevelInfo, nil))
	key := func(text string) policy.Key {
		k, err := policy.ParseKey(policy.ClientIP, text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	if n, err := o.AddKeys("a", []policy.Key{key("10.0.0.1"), key("10.0.0.2"), key("10.0.0.3")}); n != 0 || err == nil || w.engine.tables.Len() != 0 {
		t.Errorf("%d added, %v, %d there", n, err, w.engine.tables.Len())
	}
	if n, err := o.AddKeys("a", []policy.Key{key("10.0.0.1"), key("10.0.0.2")}); n != 2 || err != nil {
		t.Errorf("%d added, %v", n, err)
	}
	if n, err := o.AddKeys("a", []policy.Key{key("10.0.0.1"), key("10.0.0.2")}); n != 0 || err != nil {
		t.Errorf("again: %d added, %v", n, err)
	}
}
