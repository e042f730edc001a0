package faketg

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// hexBytes is bytes that JSON holds as hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// session is a conversation of a link, byte for byte, as other proxies have it.
type session struct {
	ID         string
	Secret     hexBytes
	ServerIP   netip.Addr `json:"server_ip"`
	ServerPort uint16     `json:"server_port"`
	ClientIP   netip.Addr `json:"client_ip"`
	ClientPort uint16     `json:"client_port"`
	Nonce      hexBytes   `json:"nonce_server"`
	Time       int64      `json:"client_ts"`
	Checksum   string     `json:"checksum_after_handshake"`
	Up         []struct {
		Label string
		Wire  hexBytes
	} `json:"proxy_to_me"`
	Down []struct {
		Label string
		Body  hexBytes
		Wire  hexBytes
	} `json:"me_to_proxy"`
}

// listener is a Behind that says nothing.
type listener struct {
	packets [][]byte
	quick   []bool
	closed  []uint64
	refuse  bool
}

func (l *listener) Packet(_ uint64, packet []byte, quick bool) bool {
	l.packets = append(l.packets, bytes.Clone(packet))
	l.quick = append(l.quick, quick)
	return !l.refuse
}
func (l *listener) Closed(id uint64) { l.closed = append(l.closed, id) }

// TestMiddleSpeaksTheVectors checks both directions of whole sessions, byte for byte.
func TestMiddleSpeaksTheVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/sessions.json")
	if err != nil {
		t.Fatal(err)
	}
	var sessions []session
	if err := json.Unmarshal(text, &sessions); err != nil || len(sessions) < 3 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	for _, v := range sessions {
		peer, err := rpc.ParseHandshake(v.Down[1].Body)
		if err != nil {
			t.Fatal(err)
		}
		back, seen := new(listener), new(MiddleSeen)
		m := NewMiddle(MiddleOptions{
			Secret: v.Secret, Process: peer.Sender, Behind: back, Seen: seen, NoCRC32C: v.Checksum == "crc32",
			Proxy: netip.AddrPortFrom(v.ClientIP, v.ClientPort), Here: netip.AddrPortFrom(v.ServerIP, v.ServerPort),
			Rand: func(p []byte) { copy(p, v.Nonce) }, Unix: func() int64 { return v.Time + 3 },
		})
		for i, up := range v.Up {
			out, err := m.Feed(bytes.Clone(up.Wire), nil)
			if err != nil {
				t.Fatalf("%s, %s: %v", v.ID, up.Label, err)
			}
			switch {
			case i < 2 && !bytes.Equal(out, v.Down[i].Wire):
				t.Fatalf("%s, %s: answer %x, want %x", v.ID, up.Label, out, v.Down[i].Wire)
			case i >= 2 && len(out) > 0:
				t.Fatalf("%s, %s: answer %x", v.ID, up.Label, out)
			}
		}
		for _, down := range v.Down[2:] {
			msg, err := rpc.Parse(down.Body)
			if err != nil {
				t.Fatal(err)
			}
			var out []byte
			switch msg.Kind {
			case rpc.Answer:
				out = m.Answer(out, msg.ID, msg.Data)
			case rpc.SimpleAck:
				out = m.Ack(out, msg.ID, msg.Confirm)
			case rpc.CloseExt:
				out = m.CloseExt(out, msg.ID)
			default:
				out = m.Say(out, down.Body)
			}
			if !bytes.Equal(out, down.Wire) {
				t.Fatalf("%s, %s: wrote %x, want %x", v.ID, down.Label, out, down.Wire)
			}
		}
		if len(back.packets) != 2 || back.quick[0] || !back.quick[1] || seen.Pongs != 1 || seen.StrayCloses != 1 || seen.ClosedByUs != 1 || m.Streams() != 0 {
			t.Errorf("%s: %d packets, %v, seen %+v", v.ID, len(back.packets), back.quick, seen)
		}
		if got := seen.LinkList[0]; got.CRC32C != (v.Checksum == "crc32c") || got.Proxy.Port() != v.ClientPort || got.Here.Port() != v.ServerPort {
			t.Errorf("%s: link %+v", v.ID, got)
		}
		if got := seen.StreamList[0]; got.ID != 1 || !got.Tagged || got.Transport != codec.Padded || len(seen.StreamList) != 1 {
			t.Errorf("%s: streams %+v", v.ID, seen.StreamList)
		}
	}
}

// TestMiddleAnswersHoweverTheBytesCome cuts what a proxy says anywhere behind the nonce.
func TestMiddleAnswersHoweverTheBytesCome(t *testing.T) {
	echo := Command{Op: OpEcho, ID: 1, Size: 600}.Append(nil)
	rapid.Check(t, func(rt *rapid.T) {
		offer := uint32(rpc.HandshakeCRC32C * rapid.IntRange(0, 1).Draw(rt, "offer"))
		m, seen, p := opened(t, MiddleFaults{PadEach: rapid.Bool().Draw(rt, "pad")}, offer)
		wire := p.request(5, echo, true)
		wire = append(wire, p.say(rpc.AppendPing(nil, 99))...)
		wire = append(wire, p.request(6, []byte("twenty-eight bytes of a msg."), false)...)
		wire = append(wire, p.say(rpc.AppendCloseConn(nil, 5))...)
		wire = append(wire, p.say([]byte("what"))...)
		var out []byte
		for len(wire) > 0 {
			n := min(rapid.IntRange(1, 300).Draw(rt, "n"), len(wire))
			var err error
			if out, err = m.Feed(wire[:n], out); err != nil {
				rt.Fatal(err)
			}
			wire = wire[n:]
		}
		all, err := p.read(out)
		if err != nil || len(all) != 4 {
			rt.Fatalf("%d messages, %v", len(all), err)
		}
		if a := all[0]; a.Kind != rpc.SimpleAck || a.ID != 5 || a.Confirm != Confirm(echo) {
			rt.Errorf("ack %+v", a)
		}
		if a := all[1]; a.Kind != rpc.Answer || a.ID != 5 || !bytes.Equal(a.Data, echo) {
			rt.Errorf("answer %+v", a)
		}
		if a := all[2]; a.Kind != rpc.Pong || a.ID != 99 {
			rt.Errorf("pong %+v", a)
		}
		if a := all[3]; a.Kind != rpc.Answer || a.ID != 6 || string(a.Data) != "twenty-eight bytes of a msg." {
			rt.Errorf("answer %+v", a)
		}
		if seen.ClosedByProxy != 1 || seen.OpenStreams != 1 || seen.Requests != 2 || seen.Unknown != 1 || seen.Tags[testTag] != 2 ||
			seen.Transports[codec.Padded] != 2 || seen.LinkDCs[2] != 1 || seen.LinkList[0].CRC32C != (offer != 0) {
			rt.Errorf("seen %+v", seen)
		}
		if s := seen.StreamList[0]; s.Client.String() != "203.0.113.9:5" || s.Proxy.String() != "192.0.2.5:443" || s.DC != 2 {
			rt.Errorf("stream %+v", s)
		}
		if seen.Malformed+seen.Changed+seen.WrongFlags+seen.Reused+seen.AnsweredCloses+seen.StrayCloses+seen.Late != 0 {
			rt.Errorf("a good proxy is blamed: %+v", seen)
		}
	})
}

// TestMiddleNoticesWhatNoProxyShouldDo goes through the counters of bad manners.
func TestMiddleNoticesWhatNoProxyShouldDo(t *testing.T) {
	packet := Command{Op: OpSink}.Append(nil)
	m, seen, p := opened(t, MiddleFaults{}, 0)
	tell(t, m, p, p.request(1, packet, false))
	tell(t, m, p, p.request(2, packet, false))
	tell(t, m, p, p.say(rpc.AppendCloseConn(nil, 1)))
	tell(t, m, p, p.request(1, packet, false)) // used again
	all, err := p.read(m.CloseExt(nil, 2))
	if err != nil || len(all) != 1 || all[0].Kind != rpc.CloseExt || all[0].ID != 2 {
		t.Fatalf("close: %+v, %v", all, err)
	}
	tell(t, m, p, p.request(2, packet, false))
	tell(t, m, p, p.say(rpc.AppendCloseConn(nil, 2)))
	tell(t, m, p, p.say(rpc.AppendCloseConn(nil, 77)))
	tell(t, m, p, p.say(rpc.AppendCloseExt(nil, 3)))
	tell(t, m, p, p.request(0, packet, false))
	tell(t, m, p, p.request(4, packet, false))
	good := p.prefix
	p.prefix = rpc.NewPrefix(&rpc.Common{Transport: codec.Abridged})
	tell(t, m, p, p.request(4, packet, false)) // another transport, no tag
	p.prefix = rpc.NewPrefix(&rpc.Common{})
	tell(t, m, p, p.request(5, packet, false)) // no transport
	p.prefix = good
	plain := p.prefix.Append(nil, packet, false)
	plain[4] |= rpc.FlagPlain
	tell(t, m, p, p.say(plain)) // stream 5, with an auth key, called plain
	want := MiddleSeen{Reused: 1, Late: 1, AnsweredCloses: 1, StrayCloses: 1, Malformed: 2, Changed: 1, WrongFlags: 2, Untagged: 1}
	got := MiddleSeen{
		Reused: seen.Reused, Late: seen.Late, AnsweredCloses: seen.AnsweredCloses, StrayCloses: seen.StrayCloses,
		Malformed: seen.Malformed, Changed: seen.Changed, WrongFlags: seen.WrongFlags, Untagged: seen.Untagged,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("seen %+v, want %+v", got, want)
	}
}

// TestMiddlePullsInTurns checks that sources of two streams share the link.
func TestMiddlePullsInTurns(t *testing.T) {
	m, _, p := opened(t, MiddleFaults{}, rpc.HandshakeCRC32C)
	for id := range uint64(2) {
		tell(t, m, p, p.request(id+1, Command{Op: OpSource, ID: uint32(id), Value: 20_000, Size: 1000}.Append(nil), false))
	}
	var at [2]uint64
	var order []uint64
	for m.Left() {
		out := m.Pull(nil, 5000)
		if len(out) > 7000 {
			t.Fatalf("%d bytes at once", len(out))
		}
		all, err := p.read(out)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			c, n, err := ParseHead(a.Data)
			i := a.ID - 1
			if err != nil || c.Value != at[i] || !CheckPattern(a.Data[n:], uint32(i), at[i]) {
				t.Fatalf("at %v: %+v, %v", at, c, err)
			}
			at[i] += uint64(c.Size)
			order = append(order, a.ID)
		}
		if at[0] == 10_000 { // the second goes on alone
			tell(t, m, p, p.say(rpc.AppendCloseConn(nil, 1)))
		}
	}
	if at[0] >= 20_000 || at[1] != 20_000 || order[0] == order[1] || order[1] == order[2] {
		t.Errorf("%v bytes, order %v", at, order)
	}
}

// TestMiddleClosesOnWhatItDoesNotLike checks the middle proxy's own checks.
func TestMiddleClosesOnWhatItDoesNotLike(t *testing.T) {
	for name, change := range map[string]func(*proxyEnd){
		"another secret": func(p *proxyEnd) { p.nonce.Selector++ },
		"no secret":      func(p *proxyEnd) { p.nonce.Selector = 0 },
		"early":          func(p *proxyEnd) { p.nonce.Time -= rpc.MaxSkew + 1 },
		"late":           func(p *proxyEnd) { p.nonce.Time += rpc.MaxSkew + 1 },
		"schema":         func(p *proxyEnd) { p.nonce.Schema = 0 },
	} {
		m, seen := newTestMiddle(MiddleFaults{})
		p := newProxyEnd(0)
		change(p)
		if out, err := m.Feed(p.hello(), nil); err == nil || len(out) > 0 || seen.BadNonces != 1 {
			t.Errorf("%s: %x, %v", name, out, err)
		}
	}
	for name, change := range map[string]func(*proxyEnd){
		"another address": func(p *proxyEnd) { p.addrs.ProxyAddr = netip.MustParseAddrPort("10.0.0.1:41234") },
		"another time":    func(p *proxyEnd) { p.addrs.Time++ },
		"flags":           func(p *proxyEnd) { p.handshake.Flags = 1 },
	} {
		m, seen := newTestMiddle(MiddleFaults{})
		p := newProxyEnd(0)
		nonce, err := m.Feed(p.hello(), nil)
		if err != nil {
			t.Fatal(err)
		}
		change(p)
		hello, err := p.greet(nonce)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := m.Feed(hello, nil); err == nil || seen.BadHandshakes != 1 || seen.Handshakes != 0 || (len(out) > 0) != (name == "flags") {
			t.Errorf("%s: %x, %v", name, out, err)
		}
	}
}

func FuzzMiddle(f *testing.F) {
	p := newProxyEnd(0)
	f.Add(p.hello(), []byte{}, 3)
	f.Add([]byte{}, p.prefix.Append(nil, Command{Op: OpEcho, Size: 8}.Append(nil), true), 7)
	f.Add([]byte{}, rpc.AppendCloseConn(nil, 1), 1)
	f.Fuzz(func(t *testing.T, raw, body []byte, step int) {
		fresh, _ := newTestMiddle(MiddleFaults{})
		_, _ = fresh.Feed(bytes.Clone(raw), nil)
		if len(body) == 0 || len(body)%4 != 0 {
			return
		}
		var answers [2][]byte
		for i, step := range []int{len(body) + 64, max(step, 1)} {
			m, _, p := opened(t, MiddleFaults{}, 0)
			for wire := p.say(body); len(wire) > 0; {
				n := min(step, len(wire))
				out, err := m.Feed(wire[:n], answers[i])
				if err != nil {
					t.Fatal(err)
				}
				answers[i], wire = out, wire[n:]
			}
		}
		if !bytes.Equal(answers[0], answers[1]) {
			t.Fatalf("cut: %x, whole: %x", answers[1], answers[0])
		}
	})
}
