package scout

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"time"

	"epoxy/codec/faketls"
)

// visit is a real client: it sees what the site picks of ALPN and whom its certificate names. It returns
// the sizes of the records that a page comes in. Whatever fails is not known then, nothing more.
func (p *probe) visit(ctx context.Context, f *finding) []int {
	conn, wire, err := p.handshake(ctx, &tls.Config{NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		return nil
	}
	state := conn.ConnectionState()
	f.ALPN = state.NegotiatedProtocol
	if p.sni != "" && state.PeerCertificates[0].VerifyHostname(p.sni) != nil {
		f.Warnings = append(f.Warnings, fmt.Sprintf(warnName, p.sni))
	}
	if f.ALPN == "h2" {
		wire.Close()
		if conn, wire, err = p.handshake(ctx, &tls.Config{NextProtos: []string{"http/1.1"}}); err != nil {
			return nil
		}
	}
	defer wire.Close()
	defer context.AfterFunc(ctx, func() { wire.Close() })()
	return getPage(conn, wire, p.sni)
}

// takesTLS12 reports whether the site takes a client without TLS 1.3.
func (p *probe) takesTLS12(ctx context.Context) bool {
	_, wire, err := p.handshake(ctx, &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	if err != nil {
		return false
	}
	wire.Close()
	return true
}

// handshake connects and does a whole TLS handshake. Nothing secret is sent and nothing that comes is
// believed, so the certificate's issuer does not matter; a site that stands behind us often has one of
// its own.
func (p *probe) handshake(ctx context.Context, config *tls.Config) (conn *tls.Conn, wire *recorder, err error) {
	raw, _, err := p.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	wire = &recorder{Conn: raw}
	config.ServerName, config.InsecureSkipVerify = p.sni, true
	conn = tls.Client(wire, config)
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if err = conn.HandshakeContext(ctx); err != nil {
		wire.Close()
	}
	return conn, wire, err
}

// getPage asks for the front page and returns the sizes of the records it came in.
func getPage(conn *tls.Conn, wire *recorder, host string) []int {
	buf := make([]byte, 16<<10)
	// Tickets come unasked, in records of their own: let them pass.
	_ = conn.SetReadDeadline(time.Now().Add(silence))
	_, _ = conn.Read(buf)
	before := len(wire.sizes)
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\nConnection: close\r\n\r\n"
	end := time.Now().Add(answerTime)
	_ = conn.SetDeadline(end)
	if _, err := conn.Write([]byte(request)); err != nil {
		return nil
	}
	for got := 0; got < maxPage; {
		n, err := conn.Read(buf)
		if err != nil {
			break
		}
		got += n
		quiet := time.Now().Add(pageSilence)
		if quiet.After(end) {
			quiet = end
		}
		_ = conn.SetReadDeadline(quiet)
	}
	return wire.sizes[before:]
}

// ramp reports whether a page's records begin small on purpose: of the size of a packet, then larger, or
// more than three that are all small. A first one that is much smaller is the head of the answer.
func ramp(sizes []int) bool {
	if len(sizes) > 0 && sizes[0] < fullRecord {
		sizes = sizes[1:]
	}
	if len(sizes) == 0 || sizes[0] > smallRecord {
		return false
	}
	larger := slices.Max(sizes) > smallRecord
	return larger && sizes[0] >= fullRecord || !larger && len(sizes) > 3
}

// recorder notes the sizes of the application-data records that are read, headers included.
type recorder struct {
	net.Conn
	head  [faketls.HeaderSize]byte
	have  int // bytes of head
	left  int // bytes of the record still to come
	sizes []int
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		if r.left > 0 {
			take := min(r.left, len(rest))
			r.left, rest = r.left-take, rest[take:]
			continue
		}
		took := copy(r.head[r.have:], rest)
		rest = rest[took:]
		if r.have += took; r.have == len(r.head) {
			r.have, r.left = 0, int(binary.BigEndian.Uint16(r.head[3:]))
			if r.head[0] == 0x17 {
				r.sizes = append(r.sizes, len(r.head)+r.left)
			}
		}
	}
	return n, err
}
