package admin

import (
	"errors"
	"net"
	"testing"
)

func TestBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := newBounded(l, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			c, err := b.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	var inside []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for range 2 {
		inside = append(inside, <-accepted)
	}
	if len(b.room) != 2 {
		t.Errorf("room for %d is taken", len(b.room))
	}
	select {
	case <-accepted:
		t.Fatal("the third came in while two are there")
	default:
	}
	_ = inside[0].Close()
	_ = inside[0].Close() // gives no more room than it took
	third := <-accepted
	defer third.Close()
	defer inside[1].Close()
	if err := b.Close(); err != nil { // while Accept waits for room
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept ended with %v", err)
	}
	if err := b.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the second Close: %v", err)
	}
}
