package rig

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"epoxy/bench/load"
)

// Mode is how a proxy reaches Telegram.
type Mode string

// The modes.
const (
	Direct Mode = "direct" // a connection per client
	Middle Mode = "middle" // many clients over few links to middle proxies
	Relay  Mode = "relay"  // no proxy but a relay of TCP: clients speak to the datacenter itself
)

// Proxy says how to start one and how to speak to it.
type Proxy struct {
	Name    string   `json:"name"`
	Mode    Mode     `json:"mode"`
	Argv    []string `json:"command"`
	Addr    string   `json:"address"`
	Secret  string   `json:"-"`
	Metrics string   `json:"metrics,omitempty"` // URL, of a proxy in Go
}

// Key is the secret of our own proxies, domain its site, tag that of middle proxies; nobody but this machine ever uses them.
const (
	Key    = "7f0c5a3e9d1b48e26a4f8c0d2e6b9a13"
	domain = "www.example.com"
	tag    = "00112233445566778899aabbccddeeff"
)

// Telegram is the fake one as a process of its own.
type Telegram struct {
	*Child
	DC, Middle, Lists string // addresses: of the datacenter, the middle proxy, and of the HTTP server that tells of it
}

// StartTelegram starts the fake Telegram with more arguments of epoxy-bench telegram.
func (r *Rig) StartTelegram(ctx context.Context, more ...string) (*Telegram, error) {
	var ports [3]string
	for i := range ports {
		at, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		ports[i] = at
	}
	t := &Telegram{DC: ports[0], Middle: ports[1], Lists: ports[2]}
	listen := t.DC
	if r.DC != "" {
		at, err := netip.ParseAddrPort(r.DC)
		if err != nil {
			return nil, fmt.Errorf("rig: %w", err)
		}
		// A proxy that has Telegram's addresses built in takes any of them, so all of this machine's have to answer.
		t.DC, listen = r.DC, netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port()).String()
	}
	argv := append([]string{r.Bench, "telegram", "--listen", listen, "--middle", t.Middle, "--config-listen", t.Lists}, more...)
	c, err := r.Start("telegram", r.LoadCPU, argv...)
	if err != nil {
		return nil, err
	}
	t.Child = c
	if err := r.listens(ctx, c, t.Lists); err != nil {
		c.Stop()
		return nil, err
	}
	return t, nil
}

// EpoxyProxy returns Epoxy under a name in a mode at a free address in front of t. flags say at least that Key is a secret.
func (r *Rig) EpoxyProxy(name string, mode Mode, t *Telegram, flags ...string) (*Proxy, error) {
	at, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	argv := []string{
		r.Epoxy, "run", "--listen", at, "--domain", domain, "--allow", "classic,secure,tls",
		"--admin", admin, "--drain", "0s", "--state-dir", filepath.Join(r.Dir, name+".state"), "--upstream", string(mode),
	}
	if mode == Middle {
		argv = append(argv, "--telegram-secret", "http://"+t.Lists+load.SecretPath, "--telegram-config", "http://"+t.Lists+load.ConfigPath,
			"--public-ip", "127.0.0.1", "--tag", tag) // with a tag nobody falls back on a datacenter, so a client is one descriptor
	} else {
		argv = append(argv, "--dc", "2="+t.DC)
	}
	return &Proxy{
		Name: name, Mode: mode, Argv: append(argv, flags...), Addr: at,
		Secret: "ee" + Key + hex.EncodeToString([]byte(domain)), Metrics: "http://" + admin + "/metrics",
	}, nil
}

// StartProxy starts a proxy and returns when a client of it got an answer.
func (r *Rig) StartProxy(ctx context.Context, p *Proxy) (*Child, error) {
	c, err := r.Start(p.Name, r.ProxyCPU, p.Argv...)
	if err != nil {
		return nil, err
	}
	if err = r.listens(ctx, c, p.Addr); err == nil {
		err = r.answers(ctx, c, p)
	}
	if err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

// answers waits for a client's first answer.
func (r *Rig) answers(ctx context.Context, c *Child, p *Proxy) error {
	for start := time.Now(); ; {
		report, err := r.Load(ctx, p, 0, "handshake", "--total", "1", "--clients", "1", "--timeout", "5s")
		if err == nil && report.OK() {
			return nil
		}
		if err == nil {
			err = errSilent
		}
		if time.Since(start) > readyTime {
			return r.failure(c, err)
		}
		if err := pause(ctx, c, readyStep); err != nil {
			return r.failure(c, err)
		}
	}
}

var errSilent = errors.New("no client gets an answer")

// listens returns when somebody listens at addr.
func (r *Rig) listens(ctx context.Context, c *Child, addr string) error {
	for start := time.Now(); ; {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Since(start) > readyTime {
			return r.failure(c, err)
		}
		if err := pause(ctx, c, readyStep); err != nil {
			return r.failure(c, err)
		}
	}
}

// Load plays a scenario of epoxy-bench load against p in a process of its own and measures process pid, unless it is 0. Clients who
// failed are in the report and no error.
func (r *Rig) Load(ctx context.Context, p *Proxy, pid int, args ...string) (*load.Report, error) {
	argv := append([]string{r.Bench, "load"}, args...)
	argv = append(argv, "--server", p.Addr, "--json")
	if p.Mode == Relay {
		argv = append(argv, "--protocol", "direct")
	} else {
		argv = append(argv, "--secret", p.Secret)
	}
	if pid > 0 {
		argv = append(argv, "--pid", strconv.Itoa(pid))
		if p.Metrics != "" {
			argv = append(argv, "--metrics", p.Metrics)
		}
	}
	argv = pinned(r.LoadCPU, argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * stopTime
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	failure := cmd.Run()
	report := new(load.Report)
	switch err := json.Unmarshal(out.Bytes(), report); {
	case ctx.Err() != nil:
		return report, context.Cause(ctx)
	case err != nil:
		return report, fmt.Errorf("rig: load %s: %w: %s", args[0], errors.Join(failure, err), strings.TrimSpace(errs.String()))
	case failure != nil && report.OK():
		return report, fmt.Errorf("rig: load %s: %w: %s", args[0], failure, strings.TrimSpace(errs.String()))
	}
	return report, nil
}

var errNoPort = errors.New("rig: no free port on 127.0.0.1 from 20000 to 32000")

// FreeAddr returns an address of this machine where nobody listens.
func FreeAddr() (string, error) {
	for range portTries {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(portFrom+rand.IntN(portTo-portFrom)))
		l, err := net.Listen("tcp", at)
		if err == nil {
			return at, l.Close()
		}
	}
	return "", errNoPort
}
