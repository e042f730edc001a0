package probe

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// purpose is what a TLS client does behind its handshake.
type purpose uint8

const (
	get    purpose = iota // GET / in the protocol that ALPN chose, all of the answer
	idle                  // nothing
	leave                 // close_notify and FIN at once
	resume                // GET / twice, the second time with the first one's ticket, which is what is compared
)

// client is a real TLS client, crypto/tls.
type client struct {
	purpose   purpose
	configure func(c *tls.Config) // changes the configuration of a browser that any certificate is good for
}

// play connects by way of dial and returns what was seen of the last connection.
func (c *client) play(ctx context.Context, domain string, limit time.Duration, dial func() (*tap, error)) Sight {
	config := &tls.Config{InsecureSkipVerify: true, ServerName: domain, NextProtos: []string{"h2", "http/1.1"}}
	if c.configure != nil {
		c.configure(config)
	}
	if c.purpose == resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		first, err := dial()
		if err != nil {
			return unreachable(err)
		}
		c.speak(ctx, first, config, domain, limit)
	}
	t, err := dial()
	if err != nil {
		return unreachable(err)
	}
	return c.speak(ctx, t, config, domain, limit)
}

// unreachable is a Sight of no connection.
func unreachable(err error) Sight {
	return Sight{Facts: []Fact{{FactConnect, cause(err)}}}
}

// speak shakes hands over t and does what the client is for, for which it has time, listens for limit and closes.
func (c *client) speak(ctx context.Context, t *tap, config *tls.Config, domain string, limit time.Duration) Sight {
	defer t.drop()
	if err := t.SetDeadline(time.Now().Add(max(limit, answerLimit))); err != nil {
		return unreachable(err)
	}
	conn := tls.Client(t, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		t.drain(limit)
		s := t.sight()
		s.Facts = []Fact{{FactError, cause(err)}}
		return s
	}
	state := conn.ConnectionState()
	facts := sessionFacts(&state)
	switch c.purpose {
	case get, resume:
		facts = append(facts, fetch(ctx, conn, state.NegotiatedProtocol, domain)...)
	case leave:
		if err := conn.CloseWrite(); err == nil {
			t.finish()
		}
	case idle:
	}
	if state.NegotiatedProtocol == "h2" && (c.purpose == get || c.purpose == resume) {
		return t.opening(facts)
	}
	t.drain(limit)
	s := t.sight()
	s.Facts = facts
	return s
}

// opening returns what was seen of a handshake up to the first encrypted record. Behind that, frames and
// records of HTTP/2 mix as the clocks of both sides have it.
func (t *tap) opening(facts []Fact) Sight {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := parts(t.got, t.sent)
	if at := slices.IndexFunc(all, func(p Part) bool { return p.Kind == kindCCS }); at >= 0 {
		all = all[:min(at+2, len(all))]
	}
	return Sight{Parts: all, Facts: facts, First: t.heard}
}

// sessionFacts says what a handshake agreed on.
func sessionFacts(state *tls.ConnectionState) []Fact {
	sum, size := sha256.New(), 0
	for _, cert := range state.PeerCertificates {
		sum.Write(cert.Raw)
		size += len(cert.Raw)
	}
	return []Fact{
		{FactVersion, tls.VersionName(state.Version)},
		{FactSuite, tls.CipherSuiteName(state.CipherSuite)},
		{FactALPN, state.NegotiatedProtocol},
		{FactChain, fmt.Sprintf("%d, %d bytes, sha256 %.6x", len(state.PeerCertificates), size, sum.Sum(nil))},
		{FactResumed, fmt.Sprint(state.DidResume)},
	}
}

// fetch asks for / and says what came.
func fetch(ctx context.Context, conn *tls.Conn, protocol, domain string) []Fact {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+domain+"/", nil)
	if err != nil {
		return []Fact{{FactStatus, cause(err)}}
	}
	res, done, err := send(conn, req, protocol)
	if err != nil {
		return []Fact{{FactStatus, cause(err)}}
	}
	defer done()
	defer res.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(res.Body, maxAnswer))
	body := fmt.Sprintf("%d bytes, sha256 %.6x", n, sum.Sum(nil))
	if err != nil {
		body += ", " + cause(err)
	}
	return []Fact{{FactStatus, res.Proto + " " + res.Status}, {FactHeader, headerText(res.Header)}, {FactBody, body}}
}

// send sends req over conn and returns the answer; done ends what else it holds.
func send(conn *tls.Conn, req *http.Request, protocol string) (res *http.Response, done func(), err error) {
	if protocol == "h2" {
		t := &http.Transport{
			ForceAttemptHTTP2: true,
			DialTLSContext:    func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		}
		res, err = t.RoundTrip(req)
		if err != nil {
			t.CloseIdleConnections()
			return nil, nil, err
		}
		return res, t.CloseIdleConnections, nil
	}
	req.Close = true
	if err = req.Write(conn); err != nil {
		return nil, nil, err
	}
	res, err = http.ReadResponse(bufio.NewReader(conn), req)
	if err != nil {
		return nil, nil, err
	}
	return res, func() {}, nil
}

// headerText prints a header in a fixed order, without what differs by nature.
func headerText(h http.Header) string {
	var lines []string
	for name, values := range h {
		if !slices.Contains(volatile, strings.ToLower(name)) {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

// cause is an error without addresses, which differ between two servers.
func cause(err error) string {
	for op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil; {
		err = op.Err
	}
	return err.Error()
}
