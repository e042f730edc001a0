package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// tap is a connection that remembers what a Sight needs. One goroutine may read while another writes.
type tap struct {
	net.Conn
	stop func() bool // ends the watch of the context

	begun time.Time // when the connection stood

	mu    sync.Mutex
	sent  []byte
	got   []byte
	wrote time.Time     // when the last bytes left, or the connection stood
	heard time.Duration // from there to the first byte that came
	ended time.Time     // when a read failed
	end   End
}

// dial connects. The connection ends with ctx.
func dial(ctx context.Context, source netip.Addr, to netip.AddrPort) (*tap, error) {
	d := net.Dialer{Timeout: dialLimit}
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return &tap{Conn: conn, stop: context.AfterFunc(ctx, func() { conn.Close() }), begun: now, wrote: now}, nil
}

// Close closes the connection.
func (t *tap) Close() error {
	t.stop()
	return t.Conn.Close()
}

// drop closes the connection, however it stands.
func (t *tap) drop() { _ = t.Close() }

// Read reads and remembers.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if n > 0 && t.heard == 0 {
		t.heard = max(now.Sub(t.wrote), 1)
	}
	t.got = append(t.got, p[:min(n, max(maxAnswer-len(t.got), 0))]...)
	if err != nil && t.ended.IsZero() {
		t.ended = now
		switch {
		case err == io.EOF:
			t.end = FIN
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			t.end = Open
		default:
			t.end = RST
		}
	}
	return n, err
}

// Write writes and remembers. The time counts from before the write: an answer can be here when it returns.
func (t *tap) Write(p []byte) (int, error) {
	t.mu.Lock()
	t.wrote = time.Now()
	t.sent = append(t.sent, p[:min(len(p), max(maxAnswer-len(t.sent), 0))]...)
	t.mu.Unlock()
	return t.Conn.Write(p)
}

// finish sends FIN.
func (t *tap) finish() {
	t.mu.Lock()
	t.wrote = time.Now()
	t.mu.Unlock()
	if half, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // a peer that closed meanwhile is seen by the reader
	}
}

// drain reads until the connection ends or nothing was to be heard for limit after now.
func (t *tap) drain(limit time.Duration) {
	if err := t.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, t) // how it ends is remembered by Read
}

// sight returns what was seen. Nobody reads any more.
func (t *tap) sight() Sight {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended.IsZero() {
		t.ended = time.Now()
	}
	return Sight{Parts: parts(t.got, t.sent), End: t.end, Ended: max(t.ended.Sub(t.wrote), 0), First: t.heard}
}

// step is something that a script does: wait, send, finish, in this order.
type step struct {
	pause time.Duration
	send  []byte
	fin   bool
}

// script is what a raw probe does; then it listens.
type script []step

// play does the script over t, listens and closes. It listens for limit after the last byte, but a script
// that takes long by itself is granted less, and its end counts from its beginning.
func (s script) play(t *tap, limit time.Duration) Sight {
	defer t.drop()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(io.Discard, t) // how it ends is remembered by Read
	}()
	s.send(t, heard)
	took := time.Since(t.begun)
	if err := t.SetReadDeadline(time.Now().Add(max(limit-took, min(limit, fastLimit)))); err != nil {
		t.drop()
	}
	<-heard
	seen := t.sight()
	if limit > fastLimit {
		seen.Ended = t.ended.Sub(t.begun)
	}
	return seen
}

// send does the steps until the other side ended the connection.
func (s script) send(t *tap, ended <-chan struct{}) {
	for _, step := range s {
		if step.pause > 0 {
			wait := time.NewTimer(step.pause)
			select {
			case <-wait.C:
			case <-ended:
				wait.Stop()
				return
			}
		}
		if len(step.send) > 0 {
			if _, err := t.Write(step.send); err != nil {
				return // the reader sees why
			}
		}
		if step.fin {
			t.finish()
		}
	}
}
