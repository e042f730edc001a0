package faketg

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec/frame"
)

// TestCallerMeetsDC cuts both directions of a Caller's conversation anywhere.
func TestCallerMeetsDC(t *testing.T) {
	echo := Command{Op: OpEcho, ID: 1, Size: 700}.Append(nil)
	for _, transport := range transports {
		rapid.Check(t, func(rt *rapid.T) {
			caller, opening := NewCaller(counting, transport, -3)
			wire := caller.Send(opening[:], echo, false)
			wire = caller.Send(wire, []byte("quick ack me"), true)
			dc := NewDC(counting)
			var down []byte
			for len(wire) > 0 {
				n := min(rapid.IntRange(1, 300).Draw(rt, "up"), len(wire))
				var err error
				if down, err = dc.Feed(wire[:n], down); err != nil {
					rt.Fatal(err)
				}
				wire = wire[n:]
			}
			var bodies [][]byte
			var acks []uint32
			for len(down) > 0 {
				n := min(rapid.IntRange(1, 300).Draw(rt, "down"), len(down))
				if err := caller.Feed(down[:n], func(a frame.Answer) {
					if a.Body == nil {
						acks = append(acks, a.Confirm)
					} else {
						bodies = append(bodies, bytes.Clone(a.Body))
					}
				}); err != nil {
					rt.Fatal(err)
				}
				down = down[n:]
			}
			if dc.DC != -3 || dc.Packets != 2 || len(bodies) != 2 || !bytes.Equal(bodies[0], echo) || !bytes.HasPrefix(bodies[1], []byte("quick ack me")) {
				rt.Fatalf("%v: %d packets, answers %x", transport, dc.Packets, bodies)
			}
			if len(acks) != 1 || acks[0] != Confirm([]byte("quick ack me")) {
				rt.Errorf("%v: acks %x", transport, acks)
			}
		})
	}
}

func FuzzCaller(f *testing.F) {
	caller, opening := NewCaller(counting, transports[0], 2)
	wire := caller.Send(opening[:], Command{Op: OpEcho, Size: 40}.Append(nil), true)
	dc := NewDC(counting)
	down, err := dc.Feed(wire, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0), down, 5)
	f.Fuzz(func(t *testing.T, kind byte, wire []byte, step int) {
		var sums [2]int
		var errs [2]error
		for i, step := range []int{len(wire), max(step, 1)} {
			caller, _ := NewCaller(counting, transports[int(kind)%len(transports)], 2)
			for p := bytes.Clone(wire); len(p) > 0 && errs[i] == nil; {
				n := min(step, len(p))
				errs[i] = caller.Feed(p[:n], func(a frame.Answer) { sums[i] += len(a.Body) + 1 })
				p = p[n:]
			}
		}
		if sums[0] != sums[1] || errs[0] != errs[1] {
			t.Fatalf("whole: %d, %v; cut: %d, %v", sums[0], errs[0], sums[1], errs[1])
		}
	})
}
