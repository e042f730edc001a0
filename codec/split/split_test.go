package split

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

func vectors(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct{ ID, Frame string }
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, v := range list {
		if all[v.ID], err = hex.DecodeString(v.Frame); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var (
	aTag  = [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	anAsk = Open{
		DC: -2, Transport: codec.Padded, Flags: OpenTag, Credit: 128 << 10, Tag: &aTag,
		Client: netip.MustParseAddrPort("198.51.100.20:33333"), Local: netip.MustParseAddrPort("192.0.2.5:443"),
	}
	aHello = Hello{Min: 1, Max: 3, Features: FeatureBytes, Streams: 9, Credit: 64 << 10, Instance: aTag, Name: "paris"}
)

// samples are one frame of each type.
func samples() [][]byte {
	return [][]byte{
		aHello.Append(nil), AppendStatus(nil, StatusReady, DCState{2, 1, 30}, DCState{-203, 0, 0}), anAsk.Append(nil, 7),
		AppendBound(nil, 7, RouteDirect, -2), AppendData(nil, 7, FlagQuick, make([]byte, 24), 99), AppendAck(nil, 7, 0x81020304),
		AppendClose(nil, 7, WhySlow), AppendCredit(nil, 7, 65536), AppendPing(nil, TypePing, 1), AppendPing(nil, TypePong, 2),
		AppendAway(nil, WhyShutdown), append(AppendHeader(nil, 0x70, 0xff, 3, 5), "later"...),
	}
}

func TestVectors(t *testing.T) {
	data := append(bytes.Repeat([]byte{1}, 8), bytes.Repeat([]byte{2}, 16)...)
	made := map[string][]byte{
		"link-ping": AppendPing(nil, TypePing, 1), "link-data": AppendData(nil, 7, FlagQuick, data, MaxPayload),
		"link-credit": AppendCredit(nil, 7, 65536), "link-close": AppendClose(nil, 7, WhySlow),
	}
	all := vectors(t)
	for id, want := range all {
		if got := made[id]; id != "link-open" && !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", id, got, want)
		}
	}
	f, n, err := Next(all["link-open"])
	if err != nil || n != len(all["link-open"]) || f.Type != TypeOpen || f.Stream != 7 {
		t.Fatalf("%+v, %d, %v", f, n, err)
	}
	o, err := ParseOpen(f.Payload)
	if err != nil || !bytes.Equal(o.Append(nil, 7), all["link-open"]) || o.DC != -2 || o.Transport != codec.Padded ||
		o.Client != netip.MustParseAddrPort("198.51.100.20:33333") || o.Local != anAsk.Local || *o.Tag != aTag {
		t.Errorf("%+v, %v", o, err)
	}
}

// The prefix loop: every shorter frame is short and takes nothing. The split loop: cut anywhere, a stream of frames is the
// same.
func TestPrefixesAndSplits(t *testing.T) {
	wire := bytes.Join(samples(), nil)
	for _, s := range samples() {
		for cut := range s {
			if f, n, err := Next(s[:cut]); err != codec.ErrShort || n != 0 || f.Payload != nil {
				t.Fatalf("%x: %d bytes give %d, %v", s, cut, n, err)
			}
		}
	}
	whole := readAll(t, wire)
	for cut := range wire {
		var got []string
		var kept []byte
		for _, piece := range [][]byte{wire[:cut], wire[cut:]} {
			kept = append(kept, piece...)
			for {
				f, n, err := Next(kept)
				if err == codec.ErrShort {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, describe(f))
				kept = kept[n:]
			}
		}
		if len(kept) > 0 || len(got) != len(whole) {
			t.Fatalf("cut at %d: %d frames, %d bytes left", cut, len(got), len(kept))
		}
		for i := range got {
			if got[i] != whole[i] {
				t.Fatalf("cut at %d: %s, want %s", cut, got[i], whole[i])
			}
		}
	}
}

func describe(f Frame) string {
	return hex.EncodeToString(append(AppendHeader(nil, f.Type, f.Flags, f.Stream, len(f.Payload)), f.Payload...))
}

func readAll(t *testing.T, wire []byte) (all []string) {
	t.Helper()
	for len(wire) > 0 {
		f, n, err := Next(wire)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, describe(f))
		wire = wire[n:]
	}
	return all
}

// A bad header is a fault as soon as it is whole; types of the future are not.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		want *codec.Error
	}{
		"long":           {AppendHeader(nil, TypeData, 0, 7, MaxPayload+1), errSize},
		"long hello":     {AppendHeader(nil, TypeHello, 0, 0, MaxHello+1), errHello},
		"reserved":       {append([]byte{9, 0, 1, 0}, make([]byte, 8)...), errReserved},
		"ping of stream": {AppendHeader(nil, TypePing, 0, 7, 8), errStream},
		"data of none":   {AppendHeader(nil, TypeData, 0, 0, 8), errStream},
		"far stream":     {AppendHeader(nil, TypeData, 0, MaxStream+1, 8), errStream},
	} {
		if _, n, err := Next(c.wire); err != error(c.want) || n != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, _, err := Next(append(AppendHeader(nil, 0x7f, 0xff, 0, 2), 1, 2)); err != nil || len(f.Payload) != 2 {
		t.Errorf("a type of the future: %v", err)
	}
	if _, n, err := Next(AppendHeader(nil, TypeData, 0, 7, MaxPayload)); err != codec.ErrShort || n != 0 {
		t.Errorf("the longest: %v", err)
	}
}

// A payload of a wrong length, and values that do not exist, are refused.
func TestShapes(t *testing.T) {
	for _, wire := range samples() {
		f, _, err := Next(wire)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Type.known() || f.Type == TypeData {
			continue
		}
		if err := parse(f.Type, f.Payload); err != nil {
			t.Errorf("%d: %v", f.Type, err)
		}
		for cut := range f.Payload {
			if parse(f.Type, f.Payload[:cut]) == nil {
				t.Errorf("%d: %d of %d bytes are taken", f.Type, cut, len(f.Payload))
			}
		}
		if parse(f.Type, append(bytes.Clone(f.Payload), 0)) == nil {
			t.Errorf("%d: a byte too many is taken", f.Type)
		}
	}
	ask := anAsk.Append(nil, 7)[HeaderSize:]
	ask[2] = 3
	if _, err := ParseOpen(ask); err == nil {
		t.Error("a fourth transport")
	}
	upside := aHello
	upside.Min = 4
	if _, err := ParseHello(upside.Append(nil)[HeaderSize:]); err == nil {
		t.Error("versions from 4 to 3")
	}
	if _, _, err := ParseBound([]byte{2, 0, 0}); err == nil {
		t.Error("a third route")
	}
}

// parse reads a payload of any type.
func parse(t Type, p []byte) (err error) {
	switch t {
	case TypeHello:
		_, err = ParseHello(p)
	case TypeStatus:
		var n int
		if _, n, err = ParseStatus(p); err == nil {
			for i := range n {
				StatusDC(p, i)
			}
		}
	case TypeOpen:
		_, err = ParseOpen(p)
	case TypeBound:
		_, _, err = ParseBound(p)
	case TypeAck, TypeCredit:
		_, err = ParseWord(p)
	case TypeClose, TypeAway:
		_, err = ParseWhy(p)
	case TypePing, TypePong:
		_, err = ParsePing(p)
	case TypeData:
	}
	return err
}

// Everything that can be asked for comes back as it was.
func TestOpenRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.AddrPort {
			port := rapid.Uint16Min(1).Draw(t, "port")
			if rapid.Bool().Draw(t, "v4") {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip"))), port)
			}
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "ip"))).Unmap(), port)
		})
		o := Open{
			DC: codec.DC(rapid.Int16().Draw(t, "dc")), Transport: codec.Transport(rapid.IntRange(1, 3).Draw(t, "transport")),
			Flags: rapid.SampledFrom([]uint8{0, OpenBytes, OpenDirect}).Draw(t, "flags"), Credit: rapid.Uint32().Draw(t, "credit"),
			Client: addr.Draw(t, "client"), Local: addr.Draw(t, "local"),
		}
		if rapid.Bool().Draw(t, "tagged") {
			o.Tag, o.Flags = &aTag, o.Flags|OpenTag
		}
		f, _, err := Next(o.Append(nil, 5))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseOpen(f.Payload)
		if err != nil || (got.Tag == nil) != (o.Tag == nil) || got.Tag != nil && *got.Tag != *o.Tag {
			t.Fatalf("%+v, %v", got, err)
		}
		got.Tag, o.Tag = nil, nil
		if got != o {
			t.Fatalf("%+v, want %+v", got, o)
		}
	})
}

// A packet comes out of its fragments as it went in, the flags with the last.
func TestFragments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		packet := rapid.SliceOfN(rapid.Byte(), 1, 400).Draw(t, "packet")
		most := rapid.IntRange(1, 100).Draw(t, "most")
		wire := AppendData(nil, 3, FlagQuick, packet, most)
		var got []byte
		for len(wire) > 0 {
			f, n, err := Next(wire)
			if err != nil || len(f.Payload) > most {
				t.Fatal(n, err)
			}
			wire, got = wire[n:], append(got, f.Payload...)
			if last := len(wire) == 0; f.More() == last || f.Quick() != last {
				t.Fatalf("flags %x, last %v", f.Flags, last)
			}
		}
		if !bytes.Equal(got, packet) {
			t.Fatal("other bytes")
		}
	})
}

// Every reason has a word on the link, and every word a reason.
func TestReasons(t *testing.T) {
	for w := WhyNormal; w <= WhyShutdown+1; w++ {
		if w.Reason() == codec.ReasonNone {
			t.Errorf("%d has no reason", w)
		}
	}
	for r := range codec.Reasons {
		if w := WhyOf(codec.Reason(r)); w > WhyShutdown {
			t.Errorf("%v: %d", codec.Reason(r), w)
		}
	}
	for _, w := range []Why{WhySlow, WhyNoRoute, WhyProtocol, WhyLimit, WhyShutdown, WhyLost} {
		if got := WhyOf(w.Reason()); got != w {
			t.Errorf("%d comes back as %d", w, got)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range samples() {
		f.Add(s)
	}
	for _, s := range vectors(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		for len(p) > 0 {
			m, n, err := Next(p)
			if err != nil {
				if n != 0 {
					t.Fatal("an error took bytes")
				}
				return
			}
			if n < HeaderSize || n > HeaderSize+MaxPayload || len(m.Payload) != n-HeaderSize {
				t.Fatalf("%d bytes, payload %d", n, len(m.Payload))
			}
			_ = parse(m.Type, m.Payload)
			if o, err := ParseOpen(m.Payload); err == nil && m.Type == TypeOpen {
				again, err := ParseOpen(o.Append(nil, 1)[HeaderSize:])
				if err != nil || again.Client != o.Client || again.DC != o.DC {
					t.Fatalf("%+v, %v", again, err)
				}
			}
			p = p[n:]
		}
	})
}
