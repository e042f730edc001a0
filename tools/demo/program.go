package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	readyLimit = 10 * time.Second // from the start of a program until it is ready
	endLimit   = 5 * time.Second  // from SIGTERM until SIGKILL
)

// program is a started process and what it said.
type program struct {
	name  string
	addr  string // where it listens
	admin string // where an Epoxy tells of itself
	cmd   *exec.Cmd
	log   lockedBuffer
	done  chan struct{} // closed when the process has ended
	err   error         // how it ended; valid after done
}

// start runs bin with args. The caller ends it with stop.
func start(bin string, verbose bool, args ...string) (*program, error) {
	p := &program{name: filepath.Base(bin), cmd: exec.Command(bin, args...), done: make(chan struct{})}
	var out io.Writer = &p.log
	if verbose {
		out = io.MultiWriter(&p.log, os.Stderr)
	}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// await asks ready again and again until it says nil.
func (p *program) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready (%v): %s", p.name, p.err, p.log.String())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.name, err, p.log.String())
		case <-tick.C:
		}
	}
}

// stop asks the process to end, and makes it end after endLimit.
func (p *program) stop() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %v", p.name, p.err)
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(endLimit):
		err := p.cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%s did not end within %v of SIGTERM", p.name, endLimit), err)
	}
}

// options of an Epoxy.
type options struct {
	bin     string // directory of the program
	state   string // directory for its state
	secret  string // 32 hexadecimal digits
	dc      string // address of datacenter 2, in direct mode; else
	middle  string // URL of what tells of the middle proxies
	front   string // address of the web site for strangers; empty is none
	verbose bool
}

// way returns the flags that say how to come to the datacenter.
func (o options) way() []string {
	if o.middle == "" {
		return []string{"--upstream", "direct", "--dc", fmt.Sprintf("%d=%s", dcID, o.dc)}
	}
	return []string{
		"--tag", adTag, "--public-ip", "127.0.0.1",
		"--telegram-secret", o.middle + "/getProxySecret", "--telegram-config", o.middle + "/getProxyConfig",
	}
}

// startEpoxy starts bin/epoxy on free ports of 127.0.0.1 and waits until it is ready.
func startEpoxy(ctx context.Context, o options) (*program, error) {
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.state, 0o700); err != nil {
		return nil, err
	}
	args := append([]string{
		"run", "--listen", listen, "--secret", o.secret, "--domain", domain, "--allow", "classic,secure,tls",
		"--state-dir", o.state, "--admin", admin,
	}, o.way()...)
	if o.front != "" {
		args = append(args, "--front", o.front)
	}
	p, err := start(filepath.Join(o.bin, "epoxy"), o.verbose, args...)
	if err != nil {
		return nil, err
	}
	p.addr, p.admin = listen, admin
	ready := func(ctx context.Context) error {
		_, err := get(ctx, "http://"+admin+"/readyz")
		return err
	}
	if err := p.await(ctx, ready); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// get returns what url says, an error unless it says it with status 200.
func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", url, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// connects asks whether something accepts connections at addr.
func connects(ctx context.Context, addr string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// freePort returns an address of 127.0.0.1 that was free a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// lockedBuffer keeps what a process writes to both of its outputs.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
