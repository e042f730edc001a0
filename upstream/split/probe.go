package split

import (
	"context"
	"log/slog"
	"time"

	"epoxy/codec"
	wire "epoxy/codec/split"
)

// Probe links to a back and leaves. ready is what the back says of Telegram. creds as in FrontOptions.
func Probe(ctx context.Context, addr string, creds *Creds) (ready bool, err error) {
	f := NewFront(FrontOptions{Backs: []string{addr}, Creds: creds, Log: slog.New(slog.DiscardHandler)})
	l, p, err := f.backs[0].connect(ctx)
	if err != nil {
		return false, err
	}
	defer l.raw.Close()
	_ = l.raw.SetDeadline(time.Now().Add(helloTime))
	for room := make([]byte, wire.MaxHello); ; {
		fr, used, err := wire.Next(p)
		switch {
		case err == codec.ErrShort:
			n, err := l.conn.Read(room)
			if p = append(p, room[:n]...); err != nil {
				return false, err
			}
		case err != nil:
			return false, err
		case fr.Type == wire.TypeStatus:
			flags, _, err := wire.ParseStatus(fr.Payload)
			return flags&wire.StatusReady != 0, err
		default:
			p = p[used:]
		}
	}
}
