// Command demo shows Epoxy at work on one machine, with no Telegram and no network: gotd's test server
// plays the datacenter, Epoxy stands in front of it, directly and over links to a fake middle proxy, and gotd's client
// comes through it with every kind of secret, as far as an encrypted call; with fake TLS also while Epoxy answers as web servers
// of several kinds do. It prints a table and exits with 1 when a
// row failed.
//
// It is a module of its own so that the proxy's go.mod stays short.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// limit is how long the whole demo may take.
const limit = 3 * time.Minute

// domain is the front's name in the fake-TLS secret; nothing connects to it.
const domain = "front.example"

func main() {
	bin := flag.String("bin", "../../bin", "directory of the built epoxy and epoxy-bench")
	verbose := flag.Bool("v", false, "show the logs of the started programs")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	failed, err := run(ctx, *bin, *verbose)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
	case failed > 0:
		fmt.Fprintf(os.Stderr, "demo: %d rows failed\n", failed)
	default:
		return
	}
	cancel()
	os.Exit(1)
}

// run starts everything, goes through the rows and stops everything again. It returns how many rows failed.
func run(ctx context.Context, bin string, verbose bool) (failed int, err error) {
	dir, err := os.MkdirTemp("", "epoxy-demo-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	key := make([]byte, 16)
	rand.Read(key) // never fails

	var rows table
	rows.head()
	o := options{bin: bin, secret: hex.EncodeToString(key), verbose: verbose}
	for _, part := range []struct {
		name string
		play func(context.Context, *table, options, []byte) error
	}{
		{"gotd", gotdRows}, {"gotd-middle", gotdMiddleRows}, {"gotd-front", frontRows}, {"bench", benchRows}, {"bench-middle", benchMiddleRows},
	} {
		o.state = filepath.Join(dir, part.name)
		if err := part.play(ctx, &rows, o, key); err != nil {
			return rows.failed, err
		}
	}
	return rows.failed, nil
}

// gotdRows lets gotd's client talk to gotd's test server, first alone and then with Epoxy between them.
func gotdRows(ctx context.Context, rows *table, o options, key []byte) error {
	tg, err := startTelegram(ctx)
	if err != nil {
		return err
	}
	defer tg.stop()
	rows.run("gotd", "no proxy", "-", func() (string, error) { return tg.call(ctx, direct) })

	o.dc = tg.addr
	epoxy, err := startEpoxy(ctx, o)
	if err != nil {
		return err
	}
	defer rows.stop(epoxy)
	for _, k := range secrets(key) {
		rows.run("gotd", k.name, wayDirect, func() (string, error) { return tg.call(ctx, through(epoxy.addr, k.secret)) })
	}
	return nil
}

// gotdMiddleRows is gotdRows with a fake middle proxy between Epoxy and the test server. At the end it asks the middle
// proxy what it saw.
func gotdMiddleRows(ctx context.Context, rows *table, o options, key []byte) error {
	tg, err := startTelegram(ctx)
	if err != nil {
		return err
	}
	defer tg.stop()
	return o.linked(ctx, rows, []string{"--forward", tg.addr}, func(epoxy *program) {
		for _, k := range secrets(key) {
			rows.run("gotd", k.name, wayMiddle, func() (string, error) { return tg.call(ctx, through(epoxy.addr, k.secret)) })
		}
	})
}

// kind is one kind of secret, in the bytes that a gotd client takes.
type kind struct {
	name   string
	secret []byte
}

// secrets returns all the ways to a proxy with this key. A prefix in front of the 16 bytes names the framing.
func secrets(key []byte) []kind {
	prefixed := func(tag byte, rest string) []byte { return append(append([]byte{tag}, key...), rest...) }
	return []kind{
		{"classic, abridged", prefixed(0xef, "")},
		{"classic, intermediate", prefixed(0xee, "")},
		{"plain secret, padded", key},
		{"secure (dd)", prefixed(0xdd, "")},
		{tlsKind, prefixed(0xee, domain)},
	}
}

// tlsKind is the name of the one kind that fronts matter to.
const tlsKind = "fake TLS (ee)"

// How Epoxy comes to the datacenter.
const (
	wayDirect = "direct"
	wayMiddle = "middle"
)

// table prints its rows as they come.
type table struct{ failed int }

func (t *table) head() {
	fmt.Printf("%-12s %-24s %-7s %-7s %9s  %s\n", "CLIENT", "PROTOCOL", "WAY", "RESULT", "TIME", "WHAT")
}

// run adds the row of what f does and tells of.
func (t *table) run(client, protocol, way string, f func() (string, error)) {
	start := time.Now()
	what, err := f()
	took, result := time.Since(start), "ok"
	if err != nil {
		result, what = "FAILED", strings.Join(strings.Fields(err.Error()), " ")
		t.failed++
	}
	fmt.Printf("%-12s %-24s %-7s %-7s %6d ms  %s\n", client, protocol, way, result, took.Milliseconds(), what)
}

// stop ends p. After a failure, or when p does not end well, which is one, it shows what p said.
func (t *table) stop(p *program) {
	err := p.stop()
	if err != nil {
		t.failed++
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	if t.failed > 0 {
		fmt.Fprintf(os.Stderr, "demo: what %s said:\n%s", p.name, p.log.String())
	}
}
