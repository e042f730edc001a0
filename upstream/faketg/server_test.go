package faketg

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
	"epoxy/engine/reactor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve puts a server on a loop and returns its address.
func serve(t *testing.T, f Faults) (*Server, string) {
	t.Helper()
	r, err := reactor.New(reactor.Options{CPU: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := reactor.Listen("127.0.0.1:0", reactor.ListenOptions{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(f)
	if err := r.AddListener(l, s.On(r)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run() }()
	t.Cleanup(func() {
		r.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, l.Addr()
}

// visit dials and sends an opening with these packets, and returns the way down.
func visit(t *testing.T, addr string, packets ...[]byte) (*net.TCPConn, obfs2.Stream) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	wire, up, down := dialled(codec.Intermediate, 3)
	var clear []byte
	for _, p := range packets {
		clear = frame.Append(clear, codec.Intermediate, p, nil)
	}
	up.XOR(clear, clear)
	if _, err := c.Write(append(wire, clear...)); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Fatal(err)
	}
	return c.(*net.TCPConn), down
}

// TestServerAnswersAfterFIN checks that a half-closed client still gets all that it asked for.
func TestServerAnswersAfterFIN(t *testing.T) {
	s, addr := serve(t, Faults{})
	c, down := visit(t, addr, []byte("abcd"), Command{Op: OpSource, ID: 4, Value: 3_000_000}.Append(nil))
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	down.XOR(p, p)
	var data uint64
	for i := 0; len(p) > 0; i++ {
		a, n, err := frame.NextAnswer(codec.Intermediate, p)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && string(a.Body) != "abcd" {
			t.Fatalf("first answer %q", a.Body)
		}
		if i > 0 {
			if !CheckPattern(a.Body[HeadSize:], 4, data) {
				t.Fatalf("wrong bytes at %d", data)
			}
			data += uint64(len(a.Body) - HeadSize)
		}
		p = p[n:]
	}
	seen := s.Seen()
	if data != 3_000_000 || seen.Packets != 2 || seen.DCs[3] != 1 || len(seen.Visits) != 1 {
		t.Fatalf("%d bytes, seen %+v", data, seen)
	}
	v := seen.Visits[0]
	if wire, _, _ := dialled(codec.Intermediate, 3); string(v.Init[:]) != string(wire) || v.Peer.String() != c.LocalAddr().String() {
		t.Errorf("visit %+v of %v", v, c.LocalAddr())
	}
}

func TestServerFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults Faults
		bytes  int // what comes before the end
		reset  bool
	}{
		"reset":    {Faults{ResetAfter: 5}, -1, true}, // a reset may overtake the bytes
		"close":    {Faults{CloseAfter: 5}, 5, false},
		"one byte": {Faults{OneByte: true}, 16, false},
		"other dc": {Faults{OnlyDC: 2}, 8, false},
		"stall":    {Faults{Stall: true}, 0, false},
	} {
		s, addr := serve(t, c.faults)
		conn, _ := visit(t, addr, []byte("twelve bytes"))
		_ = conn.CloseWrite()
		p, err := io.ReadAll(conn)
		if reset := errors.Is(err, syscall.ECONNRESET); reset != c.reset || err != nil && !reset || c.bytes >= 0 && len(p) != c.bytes {
			t.Errorf("%s: %d bytes, %v", name, len(p), err)
		}
		s.SetFaults(Faults{})
		conn, _ = visit(t, addr, []byte("twelve bytes"))
		if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil {
			t.Errorf("%s: without faults: %v", name, err)
		}
	}
}

// TestServerRefuses checks that a refused client is reset, be it inside its connect.
func TestServerRefuses(t *testing.T) {
	s, addr := serve(t, Faults{Refuse: true})
	c, err := net.Dial("tcp", addr)
	if err == nil {
		_, err = io.ReadAll(c)
		_ = c.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v", err)
	}
	if seen := s.Seen(); seen.Refused != 1 || seen.Accepted != 1 {
		t.Errorf("seen %+v", seen)
	}
}
