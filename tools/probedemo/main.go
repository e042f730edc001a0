// Package main is the demo of the censor's side: probes Epoxy, haproxy and Epoxy without its front against an nginx.
//
// It starts all of them on 127.0.0.1, expects no difference of the first two and many of the third, and
// ends what it started.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"epoxy/bench/probe"
	"epoxy/codec"
)

const (
	domain   = "www.example.com"
	manyAt   = 15 // differences that a proxy without a front shows at least
	startup  = 10 * time.Second
	farewell = 5 * time.Second
)

func main() {
	bin := flag.String("bin", "bin", "directory of the epoxy program")
	slow := flag.Bool("slow", false, "also send the probes that wait for timeouts, which takes minutes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, filepath.Join(*bin, "epoxy"), *slow)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leg is one comparison with nginx.
type leg struct {
	name   string
	target *server
	secret *codec.Key
	differ bool // expected
}

// run starts everything, does the comparisons and ends everything.
func run(ctx context.Context, epoxy string, slow bool) error {
	programs, err := find("nginx", "haproxy")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "probedemo")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ports, err := freePorts(4)
	if err != nil {
		return err
	}
	site, relay, fronted, bare := ports[0], ports[1], ports[2], ports[3]
	if err := writeSite(dir, site, relay); err != nil {
		return err
	}
	var key codec.Key
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	secret := "ee" + hex.EncodeToString(key[:]) + hex.EncodeToString([]byte(domain))
	settings := func(port netip.AddrPort, more ...string) []string {
		return append([]string{"run", "--listen", port.String(), "--domain", domain, "--allow", "tls", "--secret", secret, "--admin", "off", "--upstream", "direct"}, more...)
	}
	nginx := server{at: site, name: programs[0], args: []string{"-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "nginx.conf")}}
	haproxy := server{at: relay, name: programs[1], args: []string{"-db", "-f", filepath.Join(dir, "haproxy.cfg")}}
	front := server{at: fronted, name: epoxy, args: settings(fronted, "--front", site.String())}
	silent := server{at: bare, name: epoxy, args: settings(bare)}
	if err := nginx.start(ctx); err != nil {
		return err
	}
	defer nginx.stop()
	var failed error
	for _, l := range []leg{
		{"Epoxy with --front, against nginx: no difference is expected", &front, &key, false},
		{"haproxy in front of nginx, the control: no difference is expected", &haproxy, nil, false},
		{fmt.Sprintf("Epoxy without --front: %d differences or more are expected", manyAt), &silent, &key, true},
	} {
		fmt.Printf("\n== %s\n\n", l.name)
		if err := l.probe(ctx, site, slow && !l.differ); err != nil {
			fmt.Printf("\nNOT AS EXPECTED: %v\n", err)
			failed = errors.New("probedemo: not all as expected, see above")
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}

// probe starts the leg's server, compares it with the site and ends it.
func (l *leg) probe(ctx context.Context, site netip.AddrPort, slow bool) error {
	if err := l.target.start(ctx); err != nil {
		return err
	}
	defer l.target.stop()
	report, err := probe.Run(ctx, probe.Options{Target: l.target.at, Reference: site, Domain: domain, Secret: l.secret, Slow: slow, Slack: probe.Slack, ReplayAfter: time.Second})
	if err != nil {
		return err
	}
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	switch {
	case l.differ && report.Different < manyAt:
		return fmt.Errorf("%d differences, %d or more were expected", report.Different, manyAt)
	case !l.differ && report.Different > 0:
		return fmt.Errorf("%d differences, none were expected", report.Different)
	}
	fmt.Println("as expected")
	return nil
}

// find looks for programs, in sbin too, where Debian has them and users have no path to.
func find(names ...string) (paths []string, err error) {
	for _, name := range names {
		path, err := exec.LookPath(name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			return nil, fmt.Errorf("probedemo: no %s on this machine; it needs nginx and haproxy: apt-get install nginx-light haproxy", name)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// freePorts returns ports of 127.0.0.1 that nobody listens on now.
func freePorts(n int) (ports []netip.AddrPort, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).AddrPort())
	}
	return ports, nil
}

// server is a program that listens.
type server struct {
	at     netip.AddrPort
	name   string
	args   []string
	cancel context.CancelFunc
	done   chan struct{} // closed when it ended, with err
	err    error
}

// start starts it and waits until it listens.
func (s *server) start(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, s.name, s.args...)
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = farewell // then it is killed
	if err := cmd.Start(); err != nil {
		s.cancel()
		return err
	}
	s.done = make(chan struct{})
	go func() {
		defer close(s.done)
		s.err = cmd.Wait()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(startup); time.Now().Before(end); {
		select {
		case <-s.done:
			s.cancel()
			return fmt.Errorf("probedemo: %s ended at its start: %w", filepath.Base(s.name), s.err)
		case <-tick.C:
		}
		if conn, err := net.Dial("tcp", s.at.String()); err == nil {
			return conn.Close()
		}
	}
	s.stop()
	return fmt.Errorf("probedemo: %s does not listen on %s", filepath.Base(s.name), s.at)
}

// stop ends it, in an orderly way when it lets us.
func (s *server) stop() {
	s.cancel()
	<-s.done
}
