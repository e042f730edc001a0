package session

import (
	"crypto/rand"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/engine/replay"
	"epoxy/upstream/upstreamtest"
)

// trueRandom is a loop whose random bytes cost what they do in life.
type trueRandom struct{ *upstreamtest.Loop }

func (trueRandom) Rand(p []byte) { _, _ = rand.Read(p) }

// BenchmarkHandshake is a session's own cost of letting a client in, from its first byte to the first that goes up, and
// of its end: no sockets.
func BenchmarkHandshake(b *testing.B) {
	const clients = 512
	for name, group := range map[string]faketls.Group{"x25519": faketls.X25519, "hybrid": faketls.X25519MLKEM768} {
		b.Run(name, func(b *testing.B) {
			r := newRig(allAllowed)
			r.env.Loop = trueRandom{r.loop}
			r.port.Use(&Sites{Default: &faketls.Profile{Group: group}})
			shares, err := faketls.NewShares(r.loop.Rand)
			if err != nil {
				b.Fatal(err)
			}
			var hellos, openings [clients][]byte
			for i := range clients {
				c := faketls.ClientHello{Domain: "example.com", Secret: testKey, Unix: testTime, Shares: shares}
				if hellos[i], err = c.Append(nil, r.loop.Rand); err != nil {
					b.Fatal(err)
				}
				stream := append(r.init(testKey, codec.Padded, 2), r.seal(make([]byte, 40))...)
				openings[i] = faketls.AppendRecords([]byte("\x14\x03\x03\x00\x01\x01"), stream, faketls.ClientPayload)
			}
			out := make([]byte, 0, faketls.MaxFlight)
			up := make([]byte, 0, obfs2.InitSize)
			scratch := make([]byte, faketls.MaxHelloWire)
			feed := func(p []byte) { r.s.Data(r.sock, scratch[:copy(scratch, p)]) }
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%clients == 0 {
					b.StopTimer()
					r.env.Replay = replay.New(1 << 12)
					b.StartTimer()
				}
				r.connect("192.0.2.1:4000")
				r.sock.Out, r.tg.up = out, up
				feed(hellos[i%clients])
				feed(openings[i%clients])
				if r.s.State() != Relay || len(r.tg.up) != 40 {
					b.Fatalf("state %v, %d bytes went up", r.s.State(), len(r.tg.up))
				}
				r.sock.Finish(codec.ReasonPeerReset)
			}
		})
	}
}
