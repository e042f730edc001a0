package load

import (
	"bytes"
	"testing"

	"epoxy/codec"
	"epoxy/codec/frame"
	"epoxy/upstream/faketg"
)

var transports = []codec.Transport{codec.Abridged, codec.Intermediate, codec.Padded}

// waiting returns a client that has two echoes, a download and an upload under way.
func waiting(t codec.Transport) Client {
	c := NewClient(&Identity{Transport: t}, 9)
	c.echoSent, c.dataEnd, c.sunk = 700, 900, 12
	return c
}

// answers is what that client waits for, in clear.
func answers(t codec.Transport) []byte {
	var wire []byte
	for i, cmd := range []faketg.Command{
		{Op: faketg.OpEcho, ID: 9, Size: 64},
		{Op: faketg.OpEcho, ID: 9, Value: 64, Size: 636},
		{Op: faketg.OpData, ID: 9, Size: 600},
		{Op: faketg.OpData, ID: 9, Value: 600, Size: 300},
		{Op: faketg.OpSynced, ID: 9, Value: 12},
	} {
		wire = frame.Append(wire, t, cmd.Append(nil), make([]byte, i%4))
	}
	return wire
}

// TestReadHoweverItComes cuts the answers in two at every place.
func TestReadHoweverItComes(t *testing.T) {
	for _, transport := range transports {
		wire := answers(transport)
		want := Progress{Echoes: 2, Data: 900, Synced: true}
		for cut := range len(wire) + 1 {
			c := waiting(transport)
			head, err := c.read(wire[:cut])
			if err != nil {
				t.Fatalf("%v, %d bytes: %v", transport, cut, err)
			}
			tail, err := c.read(wire[cut:])
			if err != nil {
				t.Fatalf("%v cut at %d: %v", transport, cut, err)
			}
			sum := Progress{Echoes: head.Echoes + tail.Echoes, Data: head.Data + tail.Data, Synced: head.Synced || tail.Synced}
			if sum != want {
				t.Fatalf("%v cut at %d: %+v", transport, cut, sum)
			}
		}
	}
}

func TestReadRefuses(t *testing.T) {
	packet := func(cmd faketg.Command, pad int) []byte {
		body := append(cmd.Append(nil), make([]byte, pad)...)
		return append(frame.AppendHeader(nil, codec.Padded, len(body), false), body...)
	}
	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"another client":   {packet(faketg.Command{Op: faketg.OpEcho, ID: 8, Size: 4}, 0), errAnswer},
		"an echo too far":  {packet(faketg.Command{Op: faketg.OpEcho, ID: 9, Value: 64, Size: 4}, 0), errAnswer},
		"too much data":    {packet(faketg.Command{Op: faketg.OpData, ID: 9, Size: 904}, 0), errAnswer},
		"a question":       {packet(faketg.Command{Op: faketg.OpSync, ID: 9}, 0), errAnswer},
		"a lost upload":    {packet(faketg.Command{Op: faketg.OpSynced, ID: 9, Value: 8}, 0), errSunk},
		"a damaged upload": {packet(faketg.Command{Op: faketg.OpSynced, ID: 9, Value: 12, Size: 1}, 0), errSunk},
		"4 bytes of pad":   {packet(faketg.Command{Op: faketg.OpEcho, ID: 9, Size: 4}, 4), errFrame},
		"a short packet":   {[]byte("\x08\x00\x00\x00"), errFrame},
		"-429":             {[]byte("\x04\x00\x00\x00\x53\xfe\xff\xff"), errRefused},
		"a quick ack":      {append([]byte("\x01\x02\x03\x80"), answers(codec.Padded)[4:]...), errFrame},
	} {
		client := waiting(codec.Padded)
		if _, err := client.read(c.wire); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestPathAllocatesNothing holds for a client whose ciphers live.
func TestPathAllocatesNothing(t *testing.T) {
	for _, p := range protocol {
		who := newIdentity(t, p)
		c, m := NewClient(who, 3), newMiddleman(who)
		hello, err := c.Hello(nil, 1795000000)
		if err != nil {
			t.Fatal(err)
		}
		if who.TLS {
			if _, err := c.Feed(m.feed(t, hello)); err != nil {
				t.Fatal(err)
			}
		}
		const rounds = 50
		out := make([]byte, 0, 4096)
		var echoes [][]byte
		for range rounds + 2 {
			echoes = append(echoes, m.feed(t, c.Echo(out[:0], 200)))
		}
		next := 0
		got := testing.AllocsPerRun(rounds, func() {
			if done, err := c.Feed(echoes[next]); err != nil || done.Echoes != 1 {
				t.Fatalf("%v: %+v, %v", p, done, err)
			}
			next++
		})
		if got += testing.AllocsPerRun(rounds, func() { c.Echo(out[:0], 200) }); got > 0 {
			t.Errorf("%v: %v allocations", p, got)
		}
	}
}

// FuzzRead feeds a client anything: it never panics, and cuts change nothing.
func FuzzRead(f *testing.F) {
	for i, transport := range transports {
		f.Add(byte(i), answers(transport), uint16(5))
	}
	f.Add(byte(1), []byte("\x04\x00\x00\x00\x6c\xfe\xff\xff"), uint16(1))
	f.Fuzz(func(t *testing.T, kind byte, wire []byte, step uint16) {
		transport := transports[int(kind)%len(transports)]
		whole, parts := waiting(transport), waiting(transport)
		want, wantErr := whole.read(bytes.Clone(wire))
		var got Progress
		var err error
		for n := max(int(step), 1); len(wire) > 0 && err == nil; {
			k := min(n, len(wire))
			var done Progress
			done, err = parts.read(wire[:k])
			got.Echoes += done.Echoes
			got.Data += done.Data
			got.Synced = got.Synced || done.Synced
			wire = wire[k:]
		}
		if err != wantErr || err == nil && (got != want || whole.packets != parts.packets) {
			t.Fatalf("cut: %+v, %v; whole: %+v, %v", got, err, want, wantErr)
		}
	})
}

// FuzzStrip feeds the records anything: cuts change nothing.
func FuzzStrip(f *testing.F) {
	f.Add([]byte("\x17\x03\x03\x00\x03abc\x17\x03\x03\x00\x01d"), uint16(1))
	f.Add([]byte("\x17\x03\x03\x00\x00"), uint16(2))
	f.Fuzz(func(t *testing.T, wire []byte, step uint16) {
		var whole, parts records
		all := bytes.Clone(wire)
		n, wantErr := whole.strip(all)
		var got []byte
		var err error
		for size := max(int(step), 1); len(wire) > 0 && err == nil; {
			p := bytes.Clone(wire[:min(size, len(wire))])
			wire = wire[len(p):]
			var k int
			k, err = parts.strip(p)
			got = append(got, p[:k]...)
		}
		if err != wantErr || !bytes.Equal(got, all[:n]) {
			t.Fatalf("cut: %x, %v; whole: %x, %v", got, err, all[:n], wantErr)
		}
	})
}
