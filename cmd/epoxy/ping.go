package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"epoxy/bench/ping"
	"epoxy/codec"
	"epoxy/codec/secret"
)

// pingFlags is what was asked, in the asker's words.
type pingFlags struct {
	server, secret, domain string
	port                   int
	dcs, protocol          string
	count                  int
	timeout                time.Duration
	json                   bool
}

const (
	maxLine  = 4 << 10 // bytes of a link or secret from standard input
	maxCount = 1000    // rounds
)

func (a *app) ping() *cobra.Command {
	var f pingFlags
	cmd := &cobra.Command{
		Use:   "ping [LINK]",
		Short: "Ask Telegram through a proxy, and say which step fails",
		Long: `Ping asks datacenters a real question through any MTProxy, the first one that Telegram's apps ask (req_pq_multi), and
says how long each step took, which one failed and why. It needs no account. The proxy is a link, tg://proxy?... or
https://t.me/proxy?..., or --server, --port and --secret. Other users of the machine can read a command line: with - the
link is read from standard input, or with --server only the secret. No secret is printed.

The protocol is the one that apps speak with such a secret: classic with a plain one, in both its framings, secure with
dd, tls with ee or a --domain. "all" asks in every protocol, tls only with a domain, and tells a wrong secret from a
protocol that is not allowed.

The exit code is 0 when every datacenter answered, 1 when one did not, 2 when it was asked wrongly.`,
		Example: `  epoxy ping 'https://t.me/proxy?server=proxy.example.net&port=443&secret=ee00...'
  epoxy ping --server 203.0.113.7 --secret 00112233445566778899aabbccddeeff --domain www.example.com --protocol all
  epoxy ping - --dc 2,-2,203 --json < link.txt`,
		Args: onlyLink,
		RunE: func(_ *cobra.Command, args []string) error {
			target, err := a.pingTarget(&f, args)
			if err != nil {
				return usage(err)
			}
			o, err := f.options(target.Secret)
			if err != nil {
				return usage(err)
			}
			return a.pingAll(target, o, f.json)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.server, "server", "", "the proxy's name or address, in place of a link")
	fs.IntVar(&f.port, "port", httpsPort, "the proxy's port, with --server")
	fs.StringVar(&f.secret, "secret", "", "the proxy's secret, with --server")
	fs.StringVar(&f.domain, "domain", "", "the web site that fake-TLS looks like; default: that of an ee secret")
	fs.StringVar(&f.dcs, "dc", "1,2,3,4,5", "datacenters to ask for, with commas between; negative ones are for media, 203 is a CDN")
	fs.StringVar(&f.protocol, "protocol", "auto", "auto, all, or some of classic, secure, tls with commas between")
	fs.IntVar(&f.count, "count", 1, "how many times to ask each")
	fs.DurationVar(&f.timeout, "timeout", ping.Timeout, "how long one step may take")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	return cmd
}

// onlyLink takes one argument at most, and repeats none.
func onlyLink(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(errors.New(cmd.CommandPath() + " takes one link; put it in quotes, because shells take & for themselves"))
	}
	return nil
}

// pingTarget finds the proxy that link or flags name.
func (a *app) pingTarget(f *pingFlags, args []string) (t ping.Target, err error) {
	link := ""
	if len(args) > 0 {
		link = args[0]
	}
	if link == "-" {
		if link, err = firstLine(a.in); err != nil {
			return t, err
		}
		if f.server != "" && f.secret == "" {
			f.secret, link = link, ""
		}
	}
	switch {
	case link != "" && (f.server != "" || f.secret != "" || f.port != httpsPort):
		return t, errors.New("there are a link and --server, --port or --secret; give one of both")
	case link != "":
		if t.Host, t.Port, t.Secret, err = secret.ParseLink(link); err != nil {
			return t, errors.New("the link: " + strings.TrimPrefix(err.Error(), "secret: "))
		}
	case f.server == "":
		return t, errors.New("there is no proxy to ping; give its link, or --server, --port and --secret")
	default:
		if t.Secret, err = secret.Parse(f.secret); err != nil {
			return t, errors.New("--secret: is no secret: " + strings.TrimPrefix(err.Error(), "secret: "))
		}
		t.Host, t.Port = strings.Trim(f.server, "[]"), f.port
	}
	if t.Port < 1 || t.Port > 65535 {
		return t, fmt.Errorf(`--port "%d": is not a port; write 1 to 65535`, t.Port)
	}
	if strings.ContainsFunc(t.Host, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		return t, errors.New("the server's name has characters that no name has")
	}
	if f.domain != "" {
		if err := secret.CheckDomain(f.domain); err != nil {
			return t, fmt.Errorf("--domain %q: %s", f.domain, strings.TrimPrefix(err.Error(), "secret: "))
		}
		t.Secret = t.Secret.As(secret.FakeTLS, strings.ToLower(f.domain))
	}
	return t, nil
}

// firstLine returns the first line of r without spaces around it.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadString('\n')
	if line = strings.TrimSpace(line); line != "" {
		return line, nil
	}
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("standard input: %w", err)
	}
	return "", errors.New("standard input: is empty; it takes the link, or with --server the secret")
}

// options reads the flags that say what to ask with s.
func (f *pingFlags) options(s secret.Secret) (o ping.Options, err error) {
	for text := range strings.SplitSeq(f.dcs, ",") {
		dc, err := strconv.ParseInt(strings.TrimSpace(text), 10, 16)
		if err != nil {
			return o, fmt.Errorf("--dc %q: is no list of datacenters; write numbers with commas between, such as 2,-4,203", f.dcs)
		}
		o.DCs = append(o.DCs, codec.DC(dc))
	}
	switch f.protocol {
	case "auto":
		o.Protocols = []codec.Protocol{ping.ProtocolOf(s.Kind)}
	case "all":
		o.Protocols = []codec.Protocol{codec.Classic, codec.Secure}
		if s.Domain != "" {
			o.Protocols = append(o.Protocols, codec.TLS)
		}
	default:
		for word := range strings.SplitSeq(f.protocol, ",") {
			p := protocolOf(word)
			switch {
			case p == codec.ProtocolNone:
				return o, fmt.Errorf("--protocol %q: write auto, all, or some of classic, secure, tls", f.protocol)
			case p == codec.TLS && s.Domain == "":
				return o, fmt.Errorf("--protocol %q: fake-TLS names a web site; add --domain www.example.com", f.protocol)
			}
			o.Protocols = append(o.Protocols, p)
		}
	}
	switch {
	case f.count < 1 || f.count > maxCount:
		return o, fmt.Errorf(`--count "%d": write 1 to %d`, f.count, maxCount)
	case f.timeout <= 0:
		return o, fmt.Errorf("--timeout %q: is no time to wait; write such as 10s", f.timeout)
	}
	o.Count, o.Timeout = f.count, f.timeout
	return o, nil
}

func protocolOf(word string) codec.Protocol {
	for _, p := range []codec.Protocol{codec.Classic, codec.Secure, codec.TLS} {
		if strings.TrimSpace(word) == p.String() {
			return p
		}
	}
	return codec.ProtocolNone
}

// pingAll pings until done or a signal, and prints.
func (a *app) pingAll(t ping.Target, o ping.Options, asJSON bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-a.signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	p := pinged{server: net.JoinHostPort(t.Host, strconv.Itoa(t.Port)), secret: t.Secret.Masked(), results: a.pinger(ctx, t, o)}
	if asJSON {
		if err := p.writeJSON(a.out); err != nil {
			return err
		}
	} else {
		p.writeText(a.out)
	}
	if n := p.failed(); n > 0 {
		return fmt.Errorf("%d of %d pings failed", n, len(p.results))
	}
	return nil
}
