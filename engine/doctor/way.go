package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"epoxy/codec"
	"epoxy/codec/socks"
	"epoxy/upstream/egress"
)

// way is how Telegram is reached: directly, or through a proxy.
type way struct {
	proxy *egress.Proxy
	alone bool // there is no other
}

// String says so in a sentence.
func (w way) String() string {
	if w.proxy == nil {
		return ""
	}
	return " through " + w.proxy.String()
}

// trouble is why an exchange failed: the finding's name, half a sentence, and the cure.
type trouble struct {
	name, what, cure string
}

// reached is a connection to an address of Telegram's.
type reached struct {
	net.Conn
	local netip.AddrPort // as Telegram sees it, when nothing in between changes it
	took  time.Duration
}

// reach connects to an address by the way. conn ends with ctx, which has a deadline.
func (d *doctor) reach(ctx context.Context, w way, to netip.AddrPort) (*reached, *trouble) {
	start := d.Now()
	if w.proxy == nil {
		conn, err := d.telegramDialer(to)(ctx, "tcp", to.String())
		if err != nil {
			return nil, unreached(to, err)
		}
		r := &reached{Conn: conn, took: d.Now().Sub(start)}
		if a, ok := conn.LocalAddr().(*net.TCPAddr); ok {
			r.local = netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
		}
		return r, nil
	}
	conn, t := d.enter(ctx, *w.proxy)
	if t != nil {
		return nil, t
	}
	local, err := through(conn, *w.proxy, to)
	if err != nil {
		conn.Close()
		return nil, &trouble{"proxy_refused", "the proxy could not connect: " + silent(err), "allow " + to.String() + " there, or see why the proxy cannot reach it"}
	}
	return &reached{Conn: conn, local: local, took: d.Now().Sub(start)}, nil
}

// telegramDialer dials as the loops do, from the address that the operator chose. Interface and mark are left out.
func (d *doctor) telegramDialer(to netip.AddrPort) func(context.Context, string, string) (net.Conn, error) {
	from := d.set.BindV4
	if to.Addr().Is6() {
		from = d.set.BindV6
	}
	if d.Dial != nil || !from.IsValid() {
		return d.dial
	}
	return (&net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}).DialContext
}

// unreached words a failed dial.
func unreached(to netip.AddrPort, err error) *trouble {
	t := &trouble{"dc_down", "no connection: " + silent(err), "see whether the firewall or the provider blocks " + to.String() + "; the next try may tell whether Telegram has a fault"}
	if strings.Contains(err.Error(), "network is unreachable") || strings.Contains(err.Error(), "no route") {
		t.cure = "this machine has no way there; with IPv6 addresses write --prefer only-v4"
	}
	if strings.Contains(err.Error(), "cannot assign requested address") {
		t.cure = "--bind-v4 and --bind-v6 must be addresses of this machine"
	}
	return t
}

// silent is plain, with a short word for what did not come in time.
func silent(err error) string {
	e, ok := errors.AsType[net.Error](err)
	switch {
	case ok && e.Timeout(), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, io.EOF):
		return "it closed the connection"
	case errors.Is(err, net.ErrClosed):
		return "no answer in time" // ours, at the end of all time
	}
	return plain(err)
}

// enter connects to a proxy and shows it our credentials.
func (d *doctor) enter(ctx context.Context, p egress.Proxy) (net.Conn, *trouble) {
	network, addr := "tcp", p.Addr.String()
	if p.Path != "" {
		network, addr = "unix", p.Path
	}
	conn, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, &trouble{"proxy_down", "no connection: " + silent(err), "start it, or correct --upstream-proxy"}
	}
	if end, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(end) // when that fails, so does what follows
	}
	if p.Kind == egress.HTTP {
		return conn, nil
	}
	if err := greet(conn, p); err != nil {
		conn.Close()
		t := &trouble{"proxy_foreign", silent(err), "see whether it is a SOCKS5 proxy; for HTTP CONNECT write http://"}
		if codec.ReasonOf(err, codec.ReasonNone) == codec.ReasonEgressAuth {
			t.name, t.cure = "proxy_login", "correct user and password in --upstream-proxy"
		}
		return nil, t
	}
	return conn, nil
}

// greet agrees on a method with a SOCKS5 proxy, and logs in.
func greet(conn net.Conn, p egress.Proxy) error {
	login := p.User != ""
	var method socks.Method
	err := ask(conn, socks.AppendGreeting(nil, login), func(b []byte) (n int, err error) {
		method, n, err = socks.ParseMethod(b, login)
		return n, err
	})
	if err != nil || method != socks.Password {
		return err
	}
	return ask(conn, socks.AppendAuth(nil, p.User, p.Password), socks.ParseAuth)
}

// through asks a proxy for a connection and returns the address that its far end has, invalid when it does not say.
func through(conn net.Conn, p egress.Proxy, to netip.AddrPort) (local netip.AddrPort, err error) {
	if p.Kind == egress.HTTP {
		return local, ask(conn, socks.AppendConnect(nil, to, p.User, p.Password), func(b []byte) (int, error) {
			_, n, err := socks.ParseConnect(b)
			return n, err
		})
	}
	err = ask(conn, socks.AppendRequest(nil, to), func(b []byte) (n int, err error) {
		local, n, err = socks.ParseReply(b)
		return n, err
	})
	return local, err
}

// ask sends a question and reads byte by byte until parse has its answer, so that nothing behind it is taken.
func ask(conn net.Conn, question []byte, parse func([]byte) (int, error)) error {
	if _, err := conn.Write(question); err != nil {
		return err
	}
	var answer []byte
	for {
		var b [1]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			return err
		}
		answer = append(answer, b[0])
		if _, err := parse(answer); err != codec.ErrShort {
			return err
		}
	}
}

// ways returns how Telegram is reached, and what is wrong with proxies; those that cannot be used are left out.
func (d *doctor) ways(ctx context.Context) (ways []way, found []Finding) {
	all := d.set.UpstreamProxies
	if len(all) == 0 {
		return []way{{alone: true}}, nil
	}
	good := make([]bool, len(all))
	found = together(len(all), func(i int) []Finding {
		ctx, cancel := context.WithTimeout(ctx, d.Probe)
		defer cancel()
		conn, t := d.enter(ctx, all[i])
		if t != nil {
			return one(Finding{Check: "telegram", Name: t.name, Level: Fault, Text: fmt.Sprintf("--upstream-proxy %v: %s", all[i], t.what), Cure: t.cure})
		}
		conn.Close()
		good[i] = true
		return nil
	})
	for i := range all {
		if good[i] {
			ways = append(ways, way{proxy: &all[i], alone: len(all) == 1})
		}
	}
	return ways, found
}
