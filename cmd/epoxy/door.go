package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"epoxy/engine/admin"
	"epoxy/engine/config"
)

const (
	askTimeout = time.Minute // for one answer; a reload may resolve names
	maxAnswer  = 256 << 20   // bytes; the largest table has a tenth of it

	exitInterrupted = 130 // as a shell reports SIGINT
)

// caller asks a running proxy by its operator's door.
type caller struct {
	*app
	ctx   context.Context
	http  *http.Client
	place string // of the door, for errors
	base  string // http://HOST:PORT
	token string
	json  bool // print what the door answers
}

// asking makes cmd one that asks a running proxy: args behind it are as many as want allows.
func (a *app) asking(cmd *cobra.Command, least, most int, run func(*caller, []string) error) *cobra.Command {
	var place, token string
	var asJSON bool
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&place, "admin", "", "where the running proxy's door is: ADDR or unix:/path; default: $EPOXY_ADMIN, else "+config.DefaultAdmin)
	f.StringVar(&token, "token", "", "what the door asks for; default: $EPOXY_ADMIN_TOKEN, better than a command line that others can read")
	f.BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usage(errors.New("write " + cmd.UseLine() + "; " + cmd.CommandPath() + " --help says more"))
		}
		return nil
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		c, err := a.caller(orVariable(a, place, "EPOXY_ADMIN", config.DefaultAdmin), orVariable(a, token, "EPOXY_ADMIN_TOKEN", ""))
		if err != nil {
			return usage(err)
		}
		c.json = asJSON
		var stop func()
		c.ctx, stop = a.untilSignal()
		defer stop()
		defer c.http.CloseIdleConnections()
		return run(c, args)
	}
	return cmd
}

// orVariable returns what a flag said, else a variable, else other.
func orVariable(a *app, given, name, other string) string {
	if given != "" {
		return given
	}
	for _, entry := range a.environ {
		if text, ok := strings.CutPrefix(entry, name+"="); ok && text != "" {
			other = text
		}
	}
	return other
}

// untilSignal returns a context that ends with SIGINT, SIGTERM or stop.
func (a *app) untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-a.signals:
			cancel()
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(); watch.Wait() }
}

// caller returns one for the door at place. A wildcard address is asked on loopback.
func (a *app) caller(place, token string) (*caller, error) {
	network, addr := "tcp", place
	if path, ok := strings.CutPrefix(place, "unix:"); ok {
		network, addr = "unix", path
	}
	c := &caller{app: a, place: place, base: "http://localhost", token: token}
	if network == "tcp" {
		host, port, err := net.SplitHostPort(place)
		if err != nil {
			return nil, fmt.Errorf("--admin %q: is no place of a door; write 127.0.0.1:8888 or unix:/path, as --admin of the running proxy", place)
		}
		if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		addr = net.JoinHostPort(host, port)
		c.base = "http://" + addr
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	c.http = &http.Client{Timeout: askTimeout, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, addr)
		},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// get asks for the page at path below the API's root and reads its JSON into v, nil for none. With --json it prints it.
func (c *caller) get(path string, v any) error { return c.exchange(http.MethodGet, path, nil, v) }

// exchange sends body as JSON, nil for none, and reads the answer into v, nil for none. With --json it prints the answer.
func (c *caller) exchange(method, path string, body, v any) error {
	var sent []byte
	if body != nil {
		var err error
		if sent, err = json.Marshal(body); err != nil {
			return err
		}
	}
	answer, err := c.do(method, path, "application/json", sent)
	switch {
	case err != nil:
		return err
	case c.json:
		_, err = c.out.Write(answer)
		return err
	case v != nil:
		return c.read(answer, v)
	}
	return nil
}

// read takes an answer apart.
func (c *caller) read(answer []byte, v any) error {
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s answers something else than this epoxy knows: %w", c.place, err)
	}
	return nil
}

// do asks once. kind is what is sent and wanted.
func (c *caller) do(method, path, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(c.ctx, method, c.base+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", kind)
	r.Header.Set("Content-Type", kind)
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, c.unanswered(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.unanswered(err)
	}
	if res.StatusCode/100 == 2 {
		return answer, nil
	}
	var p admin.Problem
	if json.Unmarshal(answer, &p) != nil || p.Error == "" {
		return nil, fmt.Errorf("%s answers %s; is that the door of epoxy?", c.place, res.Status)
	}
	p.Error = clean(strings.TrimPrefix(strings.TrimPrefix(p.Error, "admin: "), "policy: "), "\n")
	if p.Cure != "" {
		p.Error += "; " + clean(p.Cure, "")
	}
	return nil, errors.New(p.Error)
}

// unanswered words why there is no answer.
func (c *caller) unanswered(err error) error {
	if c.ended() {
		return &exitError{exitInterrupted, errors.New("interrupted")}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s: %w; be the user who runs epoxy, or root, or let the group in with --admin-mode 0660", c.place, e.Err)
		}
		return fmt.Errorf("nobody answers at %s: %w; is epoxy running with --admin %s?", c.place, e.Err, c.place)
	}
	return fmt.Errorf("%s does not answer: %w; is that the door of epoxy?", c.place, err)
}

// ended reports whether a signal came.
func (c *caller) ended() bool { return c.ctx.Err() != nil }

// clean replaces what a terminal would obey.
func clean(text, keep string) string {
	return strings.Map(func(r rune) rune {
		if (r < ' ' || r >= 0x7f && r < 0xa0) && !strings.ContainsRune(keep, r) {
			return '?'
		}
		return r
	}, text)
}
