package day

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

const domain = "www.example.com" // of the example file

// client speaks to a proxy as an app with padded packets does, on a blocking socket.
type client struct {
	net.Conn
	tls      bool
	hello    []byte // as it was sent
	up, down obfs2.Stream
	records  faketls.Reader
	plain    []byte // deciphered and not yet read
	buf      []byte
}

// visit says how a client comes.
type visit struct {
	to, from string // to is host:port, from an address of ours; empty is any
	key      codec.Key
	tls      bool
}

func random(p []byte) { _, _ = rand.Read(p) }

// come connects and opens for DC 2.
func come(v visit) (*client, error) {
	d := net.Dialer{Timeout: patience}
	if v.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(v.from)}
	}
	conn, err := d.Dial("tcp", v.to)
	if err != nil {
		return nil, err
	}
	c := &client{Conn: conn, tls: v.tls, buf: make([]byte, 4<<10)}
	if err := c.open(v.key); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) open(key codec.Key) error {
	c.wait()
	if c.tls {
		shares, err := faketls.NewShares(random)
		if err != nil {
			return err
		}
		h := faketls.ClientHello{Domain: domain, Secret: key, Unix: uint32(time.Now().Unix()), Shares: shares}
		if c.hello, err = h.Append(nil, random); err != nil {
			return err
		}
		if err := c.greet(c.hello, key); err != nil {
			return err
		}
	}
	for {
		var seed [obfs2.InitSize]byte
		random(seed[:])
		wire, up, down, ok := obfs2.ClientInit(&seed, &key, codec.Padded, 2)
		if ok {
			c.up, c.down = up, down
			return c.raw(wire[:])
		}
	}
}

// greet sends a hello and checks that the answer is one of a proxy that knows the key.
func (c *client) greet(hello []byte, key codec.Key) error {
	if _, err := c.Write(hello); err != nil {
		return err
	}
	var flight []byte
	for {
		n, err := c.Read(c.buf)
		flight = append(flight, c.buf[:n]...)
		used, bad := faketls.CheckFlight(flight, &key, hello[11:43])
		switch {
		case bad == nil && used == len(flight):
			_, err := c.Write([]byte{0x14, 3, 3, 0, 1, 1})
			return err
		case bad == nil:
			return fmt.Errorf("%d bytes behind the flight", len(flight)-used)
		case bad != codec.ErrShort:
			return bad
		case err != nil:
			return err
		}
	}
}

// wait gives what follows its time.
func (c *client) wait() { _ = c.SetDeadline(time.Now().Add(patience)) }

// raw sends p, in records when the client has them.
func (c *client) raw(p []byte) error {
	if c.tls {
		p = faketls.AppendRecords(nil, p, faketls.ClientPayload)
	}
	_, err := c.Write(p)
	return err
}

// ping sends size random bytes in one packet and wants them back.
func (c *client) ping(size int) error {
	c.wait()
	body := make([]byte, size)
	random(body)
	body[0] |= 1 // no unencrypted message by chance
	p := frame.Append(nil, codec.Padded, body, nil)
	c.up.XOR(p, p)
	if err := c.raw(p); err != nil {
		return err
	}
	for {
		got, used, err := frame.Next(codec.Padded, c.plain)
		switch {
		case err == nil && !bytes.Equal(got.Body[:min(size, len(got.Body))], body):
			return fmt.Errorf("%d bytes came back, and not the %d sent", len(got.Body), size)
		case err == nil:
			c.plain = append(c.plain[:0], c.plain[used:]...)
			return nil
		case err != codec.ErrShort:
			return err
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads once from the socket into plain.
func (c *client) fill() error {
	n, err := c.Read(c.buf)
	p := c.buf[:n]
	if c.tls {
		m, bad := c.records.Strip(p)
		if bad != nil {
			return bad
		}
		p = p[:m]
	}
	c.down.XOR(p, p)
	c.plain = append(c.plain, p...)
	if n > 0 {
		return nil
	}
	return err
}

// visitor is a client who is let in and stays until the test ends.
func visitor(t testing.TB, v visit) *client {
	t.Helper()
	c, err := come(v)
	if err != nil {
		t.Fatalf("%s: %v", v.to, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	mustPing(t, c, 1000)
	return c
}

func mustPing(t testing.TB, c *client, size int) {
	t.Helper()
	if err := c.ping(size); err != nil {
		t.Fatalf("ping of %d bytes: %v", size, err)
	}
}

// served reports whether a new client gets an echo.
func served(v visit) bool {
	c, err := come(v)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	return c.ping(64) == nil
}

// wantEnd reads until the proxy ends the connection.
func wantEnd(t testing.TB, c *client) {
	t.Helper()
	c.wait()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection stays open")
	}
}

// wantClosed waits until nobody listens at an address.
func wantClosed(t testing.TB, addr string) {
	t.Helper()
	eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	}, func() string { return addr + " is still open" })
}
