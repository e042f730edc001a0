package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// How much each scenario of epoxy-bench does: enough to see it work, too little to measure it.
var scenarios = [][]string{
	{"handshake", "--clients", "20", "--total", "200"},
	{"small", "--clients", "20", "--messages", "5000"},
}

// benchRows lets epoxy-bench play apps and a fake Telegram, with Epoxy between them. Its apps check every byte.
func benchRows(ctx context.Context, rows *table, o options, key []byte) error {
	dc, err := freePort()
	if err != nil {
		return err
	}
	tg, err := start(o.bench(), o.verbose, "telegram", "--listen", dc)
	if err != nil {
		return err
	}
	defer rows.stop(tg)
	if err := tg.await(ctx, func(ctx context.Context) error { return connects(ctx, dc) }); err != nil {
		return err
	}
	o.dc = dc
	epoxy, err := startEpoxy(ctx, o)
	if err != nil {
		return err
	}
	defer rows.stop(epoxy)
	o.load(ctx, rows, epoxy, wayDirect, key)
	return nil
}

// benchMiddleRows is benchRows over links to a fake middle proxy, which answers itself.
func benchMiddleRows(ctx context.Context, rows *table, o options, key []byte) error {
	return o.linked(ctx, rows, nil, func(epoxy *program) { o.load(ctx, rows, epoxy, wayMiddle, key) })
}

func (o options) bench() string { return filepath.Join(o.bin, "epoxy-bench") }

// load plays every scenario with every kind of client.
func (o options) load(ctx context.Context, rows *table, epoxy *program, way string, key []byte) {
	plain := hex.EncodeToString(key)
	tls := "ee" + plain + hex.EncodeToString([]byte(domain))
	for _, k := range []struct{ name, secret, protocol string }{
		{"classic, abridged", plain, "classic"},
		{"classic, intermediate", plain, "intermediate"},
		{"secure (dd)", "dd" + plain, "secure"},
		{"fake TLS (ee)", tls, "tls"},
	} {
		for _, scenario := range scenarios {
			rows.run("epoxy-bench", k.name, way, func() (string, error) {
				args := append([]string{"load"}, scenario...)
				return load(ctx, o.bench(), append(args, "--json", "--server", epoxy.addr, "--secret", k.secret, "--protocol", k.protocol))
			})
		}
	}
}

// report is what this program wants to know of the report of `epoxy-bench load --json`.
type report struct {
	Scenario string
	Failed   uint64
	Faults   map[string]uint64
	Steps    []struct {
		Name     string
		Seconds  float64
		Opened   uint64
		Messages uint64
		Opening  latency
		Echo     latency
	}
}

type latency struct {
	P99 float64 `json:"p99_ms"`
}

// load runs one scenario and tells what it did.
func load(ctx context.Context, bench string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rowLimit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, bench, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failure := cmd.Run()
	var r report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		return "", errors.Join(failure, err, errors.New(strings.TrimSpace(stderr.String())))
	}
	if failure != nil || r.Failed > 0 {
		return "", fmt.Errorf("%d clients failed: %v (%v)", r.Failed, r.Faults, failure)
	}
	for _, s := range r.Steps {
		switch {
		case s.Name != r.Scenario:
		case s.Messages > 0:
			return fmt.Sprintf("%d round trips, %.0f/s, 99 %% within %.1f ms", s.Messages, float64(s.Messages)/s.Seconds, s.Echo.P99), nil
		case s.Opened > 0:
			return fmt.Sprintf("%d handshakes, %.0f/s, 99 %% within %.1f ms", s.Opened, float64(s.Opened)/s.Seconds, s.Opening.P99), nil
		}
	}
	return "", fmt.Errorf("the report of %s tells of no work", r.Scenario)
}
