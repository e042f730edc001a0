package doctor

import (
	"encoding/binary"
	"net"
	"testing"
	"time"
)

// ntpClock runs an NTP server whose clock is off until the test ends, and returns its address.
func ntpClock(t *testing.T, off time.Duration) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		var p [ntpSize]byte
		for {
			n, from, err := conn.ReadFrom(p[:])
			if err != nil {
				return
			}
			if n != ntpSize || p[0] != ntpAsk {
				continue
			}
			p[0], p[1] = 4<<3|ntpServer, 2
			copy(p[24:32], p[40:])
			now := uint64(time.Now().Add(off).Unix()) + ntpEpoch
			binary.BigEndian.PutUint64(p[32:], now<<32)
			binary.BigEndian.PutUint64(p[40:], now<<32)
			_, _ = conn.WriteTo(p[:], from)
		}
	}()
	return conn.LocalAddr().String()
}

// TestNTPTime reads times of both eras.
func TestNTPTime(t *testing.T) {
	for seconds, want := range map[uint32]string{
		0xebc17b80: "2025-05-04T05:37:04Z",
		0x00000000: "2036-02-07T06:28:16Z",
	} {
		got := ntpTime(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, seconds), 1<<31)).UTC()
		if got.Truncate(time.Second).Format(time.RFC3339) != want || got.Nanosecond() != 5e8 {
			t.Errorf("%08x is %v, want %s and a half", seconds, got, want)
		}
	}
}
