package engine_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"epoxy/engine/config"
)

// Segment sizes of the apps' networks.
const leastSegment, mostSegment = 500, 1460

// A03 A04: the hellos of real clients are answered, as each kind of front was measured to answer and as none, so that every app
// takes the flight, however the network cuts it.
func TestClientsTakeEveryProfile(t *testing.T) {
	hellos := capturedHellos(t)
	fronts := realFronts(t)
	houses := make([]*house, len(fronts))
	for i, f := range fronts { // all are measured at the same time
		set := settings()
		if f.addr != "" {
			set.Fronts = []config.Front{{Addr: netip.MustParseAddrPort(f.addr)}}
			set.FrontMeasure = time.Hour
		}
		houses[i] = start(t, set)
	}
	for i, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			h := houses[i]
			if f.addr != "" {
				eventually(t, func() bool { return !h.FrontStatus()[0].Measured.IsZero() && h.FrontStatus()[0].TLS13 }, func() string {
					return fmt.Sprintf("the front is not measured: %+v", h.FrontStatus()[0])
				})
			}
			for name, hello := range hellos {
				flight, fresh := answered(t, h.addr, hello, 0)
				for mss := leastSegment; mss <= mostSegment; mss++ {
					if choosy(mss) {
						flight, fresh := answered(t, h.addr, hello, mss+stamps)
						taken(t, name, flight, fresh, mss)
					} else {
						taken(t, name, flight, fresh, mss)
					}
				}
			}
		})
	}
}

// choosy says whether Epoxy's choice of the group depends on the segment size: one ends near the end of a hybrid ServerHello.
func choosy(mss int) bool { return 1236%mss <= 30 }

// stamps is what TCP's timestamps take from each segment.
const stamps = 12

// taken lets every app check the flight in segments of mss.
func taken(t *testing.T, client string, flight, hello []byte, mss int) {
	t.Helper()
	for name, check := range apps {
		if err := check(segments(flight, mss), hello, key[:]); err != nil {
			t.Errorf("%s with the hello of %s, segments of %d: %v", name, client, mss, err)
		}
	}
}

// answered sends a copy of hello, made fresh and signed now, on a connection with this segment size, and returns what came back
// until it fell silent, and the copy.
func answered(t *testing.T, addr string, hello []byte, mss int) (flight, fresh []byte) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if mss > 0 {
			failure := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, mss) })
			return errors.Join(failure, err)
		}
		return nil
	}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fresh = bytes.Clone(hello)
	random(fresh[44:76]) // the session id
	put(t, c, resign(fresh))
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return wantFlight(t, c, fresh), fresh
}

// capturedHellos returns the hellos of the client libraries that were captured, and older and smaller ones of the specification.
func capturedHellos(t *testing.T) map[string][]byte {
	t.Helper()
	type sent struct{ Client, Name, Hello string }
	all := map[string][]byte{}
	take := func(hellos []sent) {
		for _, s := range hellos {
			p, err := hex.DecodeString(s.Hello)
			if err != nil || len(p) < 100 || p[43] != 32 {
				t.Fatalf("%s%s: %v, session id of %d", s.Client, s.Name, err, p[43])
			}
			all[s.Client+s.Name] = p
		}
	}
	var captured struct{ Hellos []sent }
	var vectors struct {
		Hellos []sent `json:"client_hello"`
	}
	for file, into := range map[string]any{"captured.json": &captured, "vectors.json": &vectors} {
		text, err := os.ReadFile(filepath.Join("..", "codec", "faketls", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	take(captured.Hellos)
	take(vectors.Hellos)
	if len(all) < 6 {
		t.Fatalf("%d hellos", len(all))
	}
	return all
}
