package faketg

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// TestMiddleNonceFaults checks what a proxy finds wrong with a faulty nonce.
func TestMiddleNonceFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults MiddleFaults
		want   codec.Reason // 0: it goes on
	}{
		"none":            {MiddleFaults{}, 0},
		"selector":        {MiddleFaults{OtherSelector: true}, codec.ReasonLinkSelector},
		"ahead":           {MiddleFaults{Skew: 31}, codec.ReasonLinkSkew},
		"behind":          {MiddleFaults{Skew: -31}, codec.ReasonLinkSkew},
		"little skew":     {MiddleFaults{Skew: 25}, 0},
		"schema 0":        {MiddleFaults{Schema: new(uint32(0))}, codec.ReasonLinkSchema},
		"schema 2":        {MiddleFaults{Schema: new(uint32(2))}, 0},
		"schema 9":        {MiddleFaults{Schema: new(uint32(9))}, codec.ReasonLinkSchema},
		"sequence number": {MiddleFaults{NonceSeq: true}, codec.ReasonFrameSeq},
		"checksum":        {MiddleFaults{NonceSum: true}, codec.ReasonFrameSum},
		"our own":         {MiddleFaults{Mirror: true}, codec.ReasonLinkNonce},
		"early":           {MiddleFaults{Early: true}, codec.ReasonFrameSize},
		"filler":          {MiddleFaults{ClearFiller: true}, 0},
	} {
		m, seen := newTestMiddle(c.faults)
		p := newProxyEnd(rpc.HandshakeCRC32C)
		nonce, err := m.Feed(p.hello(), nil)
		if err != nil || seen.Nonces != 1 {
			t.Fatalf("%s: %v", name, err)
		}
		hello, err := p.greet(nonce)
		if got := codec.ReasonOf(err, 0); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if err != nil {
			continue
		}
		answer, err := m.Feed(hello, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := p.ready(answer); err != nil {
			t.Errorf("%s: then %v", name, err)
		}
	}
}

// TestMiddleNonceBytes checks the bytes of nonces that look good to a hasty reader.
func TestMiddleNonceBytes(t *testing.T) {
	const random = "0102030405060708090a0b0c0d0e0f10"
	for name, c := range map[string]struct {
		faults MiddleFaults
		want   string
	}{
		"good":   {MiddleFaults{}, "2c000000 feffffff aa87cb7a 61207365 01000000 00f15365" + random},
		"skew":   {MiddleFaults{Skew: 31}, "2c000000 feffffff aa87cb7a 61207365 01000000 1ff15365" + random},
		"seq":    {MiddleFaults{NonceSeq: true}, "2c000000 ffffffff aa87cb7a 61207365 01000000 00f15365" + random},
		"mirror": {MiddleFaults{Mirror: true}, "2c000000 feffffff aa87cb7a 61207365 01000000 00f15365 01020300000000000000000000000000"},
		"other":  {MiddleFaults{OtherSelector: true}, "2c000000 feffffff aa87cb7a 9edf8c9a 01000000 00f15365" + random},
		"schema": {MiddleFaults{Schema: new(uint32(2))}, "30000000 feffffff aa87cb7a 61207365 02000000 00f15365" + random + "00000000"},
	} {
		m, _ := newTestMiddle(c.faults)
		out, err := m.Feed(newProxyEnd(0).hello(), nil)
		if got, want := hex.EncodeToString(out[:len(out)-4]), strings.ReplaceAll(c.want, " ", ""); err != nil || got != want {
			t.Errorf("%s: %v\n got %s\nwant %s", name, err, got, want)
		}
	}
	m, _ := newTestMiddle(MiddleFaults{Early: true})
	out, _ := m.Feed(newProxyEnd(0).hello(), nil)
	if got := hex.EncodeToString(out[44:64]); len(out) != 44+24 || got != "18000000ffffffffdfa230578877665544332211" {
		t.Errorf("early: %x", out[44:])
	}
}

// TestMiddleHandshakeFaults checks what a proxy finds wrong with a faulty handshake.
func TestMiddleHandshakeFaults(t *testing.T) {
	for name, c := range map[string]struct {
		faults MiddleFaults
		offer  uint32
		want   codec.Reason // 0: it goes on
		end    End
		pings  int
	}{
		"refused":     {MiddleFaults{HandshakeError: rpc.RefusedPeer}, 0, codec.ReasonLinkRefused, EndFIN, 0},
		"flags":       {MiddleFaults{HandshakeFlags: 1}, 0, codec.ReasonLinkHandshake, EndNone, 0},
		"high flags":  {MiddleFaults{HandshakeFlags: 0x1000}, 0, 0, EndNone, 0},
		"crc32c":      {MiddleFaults{ForceCRC32C: true}, 0, codec.ReasonLinkChecksum, EndNone, 0},
		"offered":     {MiddleFaults{ForceCRC32C: true}, rpc.HandshakeCRC32C, 0, EndNone, 0},
		"process":     {MiddleFaults{OtherPID: true}, 0, codec.ReasonLinkPID, EndNone, 0},
		"pipelined":   {MiddleFaults{Pipelined: true}, 0, 0, EndNone, 1},
		"with crc32c": {MiddleFaults{Pipelined: true}, rpc.HandshakeCRC32C, 0, EndNone, 1},
	} {
		m, _ := newTestMiddle(c.faults)
		p := newProxyEnd(c.offer)
		nonce, err := m.Feed(p.hello(), nil)
		if err != nil {
			t.Fatal(err)
		}
		hello, err := p.greet(nonce)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := m.Feed(hello, nil)
		if err != nil || m.End() != c.end {
			t.Errorf("%s: %v, end %d", name, err, m.End())
		}
		all, err := p.ready(answer)
		if got := codec.ReasonOf(err, 0); got != c.want || len(all) != c.pings {
			t.Errorf("%s: %v, %d messages", name, err, len(all))
		}
		if name == "refused" {
			if got := hex.EncodeToString(p.clear[8:16]); got != "dabe276afcffffff" {
				t.Errorf("refused with %s", got)
			}
		}
	}
}

// TestMiddleSilences checks the links that stay without an answer.
func TestMiddleSilences(t *testing.T) {
	m, _ := newTestMiddle(MiddleFaults{NoNonce: true})
	if out, err := m.Feed(newProxyEnd(0).hello(), nil); len(out) > 0 || err != nil || m.End() != EndSilence {
		t.Errorf("no nonce: %x, %v, end %d", out, err, m.End())
	}
	for _, f := range []MiddleFaults{{NoHandshake: true}, {WrongKeys: true}} {
		m, _ := newTestMiddle(f)
		p := newProxyEnd(0)
		nonce, err := m.Feed(p.hello(), nil)
		if err != nil {
			t.Fatal(err)
		}
		hello, err := p.greet(nonce)
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.Feed(hello, nil)
		if len(out) > 0 || (err != nil) != f.WrongKeys || (m.End() == EndSilence) != f.NoHandshake {
			t.Errorf("%+v: %x, %v, end %d", f, out, err, m.End())
		}
	}
	m, _, p := opened(t, MiddleFaults{}, 0)
	if out := m.Do(nil, FaultSilence); len(out) > 0 || m.End() != EndSilence {
		t.Errorf("silence says %x", out)
	}
	if out, err := m.Feed(p.say(rpc.AppendPing(nil, 1)), nil); len(out) > 0 || err != nil {
		t.Errorf("silence answers %x, %v", out, err)
	}
}

const stray = "efbefecacefaedfe"

// TestMiddleFaultBytes checks what each fault sends on an open link: the clear bytes at its start, and what a proxy
// makes of them.
func TestMiddleFaultBytes(t *testing.T) {
	for f, c := range map[Fault]struct {
		clear string // from the frame's start
		want  codec.Reason
		count int // messages that can be read
		end   End
	}{
		FaultSum:          {"18000000 01000000 a7ea3084", codec.ReasonFrameSum, 0, EndNone},
		FaultSeq:          {"18000000 02000000 a7ea3084", codec.ReasonFrameSeq, 0, EndNone},
		FaultOdd:          {"19000000 01000000 a7ea3084", codec.ReasonFrameSize, 0, EndNone},
		FaultShort:        {"08000000 01000000 a7ea3084", codec.ReasonFrameSize, 0, EndNone},
		FaultHuge:         {"fcffff7f 01000000 a7ea3084", codec.ReasonFrameSize, 0, EndNone},
		FaultTorn:         {"1c100000 01000000 0dda0344 00000000 0500000000000000", 0, 0, EndReset},
		FaultFIN:          {"", 0, 0, EndFIN},
		FaultReset:        {"", 0, 0, EndReset},
		FaultSilence:      {"", 0, 0, EndSilence},
		FaultStrayAnswer:  {"38000000 01000000 0dda0344 00000000" + stray, 0, 1, EndNone},
		FaultStrayClose:   {"18000000 01000000 a234b65e" + stray, 0, 1, EndNone},
		FaultStrayAck:     {"1c000000 01000000 9b40ac3b" + stray + "00000080", 0, 1, EndNone},
		FaultUnknown:      {"10000000 01000000 0df0ad0b", 0, 1, EndNone},
		FaultEmpty:        {"1c000000 01000000 0dda0344 00000000 0500000000000000", 0, 1, EndNone},
		FaultLarge:        {"00000001 01000000 0dda0344 00000000 0500000000000000", 0, 1, EndNone},
		FaultDeaf:         {"", 0, 0, EndDeaf},
		FaultPings:        {"18000000 01000000 dfa23057 0000000000000000", 0, 1000, EndNone},
		FaultPing:         {"18000000 01000000 dfa23057 8877665544332211", 0, 1, EndNone},
		FaultMalformed:    {"18000000 01000000 9b40ac3b 0500000000000000", codec.ReasonMessage, 0, EndNone},
		FaultCloseStream:  {"18000000 01000000 a234b65e 0500000000000000", 0, 1, EndNone},
		FaultCloseStreams: {"18000000 01000000 a234b65e 0500000000000000", 0, 2, EndNone},
		FaultCloseConn:    {"18000000 01000000 5d42cf1f 0500000000000000", 0, 1, EndNone},
		FaultNotFound:     {"20000000 01000000 0dda0344 00000000 0500000000000000 6cfeffff", 0, 1, EndNone},
	} {
		for _, offer := range []uint32{0, rpc.HandshakeCRC32C} {
			m, seen, p := opened(t, MiddleFaults{}, offer)
			tell(t, m, p, p.request(5, Command{Op: OpEcho}.Append(nil), false))
			tell(t, m, p, p.request(9, Command{Op: OpSink}.Append(nil), false))
			all, err := p.read(m.Do(nil, f))
			if got := codec.ReasonOf(err, 0); got != c.want || len(all) != c.count || m.End() != c.end || seen.Struck != 1 {
				t.Errorf("%v: %v, %d messages, end %d, seen %+v", f, err, len(all), m.End(), seen)
			}
			want := strings.ReplaceAll(c.clear, " ", "")
			if got := hex.EncodeToString(p.clear[:min(len(p.clear), len(want)/2)]); got != want {
				t.Errorf("%v: sent %s, want %s", f, got, want)
			}
		}
	}
	for f := FaultSum; f < faultCount; f++ {
		if got, err := ParseFault(f.String()); got != f || err != nil {
			t.Errorf("%v: %v, %v", f, got, err)
		}
	}
}

// TestMiddleTearsAFrame checks that a torn frame ends inside its body.
func TestMiddleTearsAFrame(t *testing.T) {
	m, _, p := opened(t, MiddleFaults{Then: FaultTorn, After: 2}, 0)
	echo := Command{Op: OpEcho, Size: 100}.Append(nil)
	tell(t, m, p, p.request(5, echo, false))
	wire := p.request(5, echo, false)
	out, err := m.Feed(append(wire, p.request(5, echo, false)...), nil) // the third is too late
	if err != nil || m.End() != EndReset || len(out)%16 == 0 {
		t.Fatalf("%d bytes, %v, end %d", len(out), err, m.End())
	}
	all, err := p.read(out)
	if err != nil || len(all) != 1 || !bytes.Equal(all[0].Data, echo) {
		t.Errorf("%d messages, %v", len(all), err)
	}
}

// TestMiddleFaultAfterAnswers checks Then and After, with answers of sources too.
func TestMiddleFaultAfterAnswers(t *testing.T) {
	if m, _, _ := opened(t, MiddleFaults{Then: FaultFIN}, 0); m.End() != EndFIN {
		t.Errorf("right behind the handshake: end %d", m.End())
	}
	m, _, p := opened(t, MiddleFaults{Then: FaultFIN, After: 3}, 0)
	tell(t, m, p, p.request(1, Command{Op: OpEcho}.Append(nil), false))
	tell(t, m, p, p.request(1, Command{Op: OpSource, Value: 1000, Size: 100}.Append(nil), false))
	if all, err := p.read(m.Pull(nil, 1<<20)); err != nil || len(all) != 2 || m.End() != EndFIN || m.Left() {
		t.Errorf("%d messages, %v, end %d", len(all), err, m.End())
	}
	if out := m.Answer(nil, 1, make([]byte, 8)); len(out) > 0 {
		t.Errorf("an ended link says %x", out)
	}
}

func TestMiddleFaultWords(t *testing.T) {
	var f MiddleFaults
	for _, word := range strings.Fields(`refuse hang-up deaf no-nonce selector nonce-seq nonce-sum mirror early wrong-keys no-handshake
		crc32c pid pipelined pad-each filler trickle=20ms life=2s-10s skew=-40 schema=0 refuse-handshake=-4 flags=0x1 then=pings after=100`) {
		if err := f.Set(word); err != nil {
			t.Errorf("%s: %v", word, err)
		}
	}
	if f.Schema == nil || *f.Schema != 0 {
		t.Errorf("schema %v", f.Schema)
	}
	f.Schema = nil
	want := MiddleFaults{
		Refuse: true, HangUp: true, Deaf: true, Trickle: 20 * time.Millisecond, LifeMin: 2 * time.Second, LifeMax: 10 * time.Second,
		NoNonce: true, OtherSelector: true, Skew: -40, NonceSeq: true, NonceSum: true, Mirror: true, Early: true,
		WrongKeys: true, NoHandshake: true, HandshakeError: rpc.RefusedPeer, HandshakeFlags: 1, ForceCRC32C: true,
		OtherPID: true, Pipelined: true, Then: FaultPings, After: 100, PadEach: true, ClearFiller: true,
	}
	if f != want {
		t.Errorf("%+v", f)
	}
	for _, word := range []string{"", "storm", "mirror=1", "life=2s", "life=10s-2s", "then=storm", "skew", "skew=x", "schema=-1", "after=-1", "trickle=5"} {
		if err := new(MiddleFaults).Set(word); err == nil || !strings.HasPrefix(err.Error(), "faketg: ") {
			t.Errorf("%q: %v", word, err)
		}
	}
}

// TestMiddleWithoutFaultsAllocatesNothing checks the way of a packet, so that the fake does not blur what is measured.
func TestMiddleWithoutFaultsAllocatesNothing(t *testing.T) {
	m, _, p := opened(t, MiddleFaults{}, rpc.HandshakeCRC32C)
	packet := Command{Op: OpEcho, Size: 172}.Append(nil)
	body := p.prefix.Append(nil, packet, true)
	body[8] = 1
	up := p.enc
	wire, out := make([]byte, 0, 8192), make([]byte, 0, 8192)
	got := testing.AllocsPerRun(50, func() {
		wire = up.Flush(up.Append(wire[:0], body), 0)
		answer, err := m.Feed(wire, out[:0])
		if err != nil || len(answer) < 200 {
			t.Fatalf("%d bytes, %v", len(answer), err)
		}
	})
	if got > 0 {
		t.Errorf("%v allocations", got)
	}
}
