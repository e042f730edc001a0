package socks

import (
	"bytes"
	"encoding/base64"
	"net/netip"

	"epoxy/codec"
)

// CONNECT (RFC 9110 9.3.6): a head of lines in both directions, then the connection's bytes.
//
//	CONNECT host:port HTTP/1.1 CRLF Host: host:port CRLF [Proxy-Authorization: Basic base64 CRLF] CRLF
//	HTTP/1.x code [text] CRLF (header CRLF)* CRLF
const (
	crlf        = "\r\n"
	headEnd     = crlf + crlf
	httpVersion = "HTTP/1."        // 0 or 1 follows
	codeAt      = len("HTTP/1.1 ") // three digits
	statusSize  = codeAt + 3       // behind it a space or the line's end
	wantsLogin  = 407              // Proxy Authentication Required
	basicHeader = "Proxy-Authorization: Basic "
)

var (
	errHTTP        = codec.NewError(codec.ReasonEgressShape, "socks: not an HTTP/1 answer")
	errHTTPSize    = codec.NewError(codec.ReasonEgressShape, "socks: HTTP headers above 8 KiB")
	errHTTPLogin   = codec.NewError(codec.ReasonEgressAuth, "socks: the HTTP proxy wants other credentials")
	errHTTPRefused = codec.NewError(codec.ReasonEgressRefused, "socks: the HTTP proxy refused the connection")
)

// AppendConnect appends an HTTP CONNECT to a valid address; user and password may be empty both. A user has no colon.
func AppendConnect(b []byte, to netip.AddrPort, user, password string) []byte {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	b = to.AppendTo(append(b, "CONNECT "...))
	b = to.AppendTo(append(b, " HTTP/1.1\r\nHost: "...))
	b = append(b, crlf...)
	if user != "" || password != "" {
		b = append(b, basicHeader...)
		b = base64.StdEncoding.AppendEncode(b, []byte(user+":"+password))
		b = append(b, crlf...)
	}
	return append(b, crlf...)
}

// ParseConnect returns the status of the proxy's answer, 200 to 299, and the bytes that its head took; headers are not
// looked at. Any other status is an error as soon as its line is whole.
func ParseConnect(p []byte) (status, used int, err error) {
	n := min(len(p), len(httpVersion))
	if string(p[:n]) != httpVersion[:n] {
		return 0, 0, errHTTP
	}
	head, _, whole := bytes.Cut(p[:min(len(p), MaxHeader)], []byte(headEnd))
	line, _, lineWhole := bytes.Cut(head, []byte(crlf))
	if whole || lineWhole {
		if status = parseStatus(line); status == 0 {
			return 0, 0, errHTTP
		}
		switch {
		case status == wantsLogin:
			return 0, 0, errHTTPLogin
		case status/100 != 2:
			return 0, 0, errHTTPRefused
		}
	}
	switch {
	case whole:
		return status, len(head) + len(headEnd), nil
	case len(p) >= MaxHeader:
		return 0, 0, errHTTPSize
	}
	return 0, 0, codec.ErrShort
}

// parseStatus returns the three digits of a status line, 0 when it is none.
func parseStatus(line []byte) int {
	if len(line) < statusSize || line[codeAt-1] != ' ' || line[codeAt-2]|1 != '1' || len(line) > statusSize && line[statusSize] != ' ' {
		return 0
	}
	status := 0
	for _, c := range line[codeAt:statusSize] {
		if c < '0' || c > '9' {
			return 0
		}
		status = status*10 + int(c-'0')
	}
	return status
}
