package reactor

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// startHybrid runs a poller until the test ends.
func startHybrid(t *testing.T, event func(fd int, events uint32)) *hybridPoller {
	t.Helper()
	h, err := newHybridPoller()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- h.run(event) }()
	t.Cleanup(func() {
		if err := errors.Join(h.post(func(any) error { return errStop }, nil), <-done, h.close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

// A task that posts itself again does not keep events from their turn.
func TestHybridTaskAgain(t *testing.T) {
	a, b, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.Close(a), unix.Close(b) }()
	seen := make(chan struct{})
	over := false // the loop's
	h := startHybrid(t, func(fd int, events uint32) {
		if fd == a && events&unix.EPOLLIN != 0 {
			over = true
			close(seen)
		}
	})
	if err := h.add(a); err != nil {
		t.Fatal(err)
	}
	var again func(any) error
	again = func(any) error {
		if over {
			return nil
		}
		return h.post(again, nil)
	}
	if err := h.post(again, nil); err != nil {
		t.Fatal(err)
	}
	if _, e := sysWrite(int32(b), []byte{1}); e != 0 {
		t.Fatal(e)
	}
	<-seen
}

// The world stops for a loop that waits with its processor held, whatever it does in between.
func TestHybridLetsTheWorldStop(t *testing.T) {
	h := startHybrid(t, func(int, uint32) {})
	ran := make(chan struct{})
	for range 50 {
		if err := h.post(func(any) error { ran <- struct{}{}; return nil }, nil); err != nil {
			t.Fatal(err)
		}
		<-ran
		runtime.GC()
	}
}

// Room that a flood of posts took is given back.
func TestHybridFlood(t *testing.T) {
	h, err := newHybridPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.close() }()
	ran := 0
	for range 2 * keptTasks {
		if err := h.post(func(any) error { ran++; return nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	if stop := h.drain(); stop || ran != 2*keptTasks || h.spare != nil {
		t.Errorf("stop %v, %d ran, room for %d is kept", stop, ran, cap(h.spare))
	}
	_ = h.post(func(any) error { return errStop }, nil)
	_ = h.post(func(any) error { ran++; return nil }, nil)
	if !h.drain() || ran != 2*keptTasks {
		t.Error("the task that stops did not")
	}
}

func TestHybridWaitError(t *testing.T) {
	h, err := newHybridPoller()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	if err := h.run(nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("a closed poller waits: %v", err)
	}
}

// Waits hold the processor after a row of short ones, until one is long.
func TestPace(t *testing.T) {
	var p pace
	for range 3 {
		for i := range quickWaits {
			if p.quick() {
				t.Fatalf("quick after %d waits", i)
			}
			p.ended(true)
		}
		for range 2 {
			if p.ended(true); !p.quick() {
				t.Fatal("not quick after a row of short waits")
			}
		}
		p.ended(false)
	}
}
