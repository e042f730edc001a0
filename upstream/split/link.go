// Package split has both ends of the links between two servers: one has the clients, the other Telegram.
//
//	client > Session > Stream (loop) > outbox > writer > TLS > reader > lane > guest (loop) > middle or direct
//
// A Front keeps links to backs, and each loop has a Router on them whose Streams are the clients. A Server takes links, and
// each loop has a Back whose guests put those clients on the loop's own Router. Both ends of a link are the same link: TLS 1.3
// on an ordinary net.Conn with two goroutines, a reader and a writer, because gnet has no TLS and links are few. So here, and
// nowhere else, bytes cross from one goroutine to another: what loops send goes through the link's outbox, what comes goes to
// each loop as one batch per read, through its lane. Those two have the only locks, taken once per Send and once per read.
// A stream is no goroutine, and all else belongs to the stream's loop (spec upstream-protocols 6.3).
package split

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"epoxy/codec"
	"epoxy/codec/buf"
	wire "epoxy/codec/split"
	"epoxy/upstream"
)

// Loop is an event loop to which other goroutines may post.
type Loop interface {
	upstream.Loop
	Post(fn func()) error
}

// end is a loop's side of its links: a Router or a Back. The loop calls it.
type end interface {
	welcome(a *lane)
	frame(a *lane, f *wire.Frame, raw []byte) error // raw is the whole frame, to be changed
	flush()                                         // the batch is over
	changed(a *lane)                                // status or away
	drained(a *lane)
	lost(a *lane)
}

// link is one connection between front and back.
type link struct {
	// Fixed once it has lanes.
	conn  net.Conn // TLS, or raw itself
	raw   net.Conn
	owner owner
	hello wire.Hello // theirs
	bytes bool       // streams are of bytes
	rank  int        // of the back, at a front: the lower the better
	lanes []*lane

	out outbox

	// Shared.
	ready, away atomic.Bool
	live        atomic.Int64  // streams, at a front
	carried     atomic.Uint64 // bytes that came
	written     atomic.Uint64 // bytes that went
	once        sync.Once
	why         codec.Reason // why it ended; read behind dead
	dead        chan struct{}

	// Owned by the reader.
	pingsAt time.Time
	pings   int
	lastID  uint32
	now     wire.Frame // that sort is at
}

// owner is whoever a link belongs to.
type owner interface {
	// loopOf returns the number of the loop that has a stream.
	loopOf(id uint32) int
	// control takes a frame of the link itself, but for pings. On the reader.
	control(l *link, f *wire.Frame) error
	// admit reports whether an Open may pass. On the reader.
	admit(l *link, id uint32) (bool, error)
}

var (
	errFlood   = codec.NewError(codec.ReasonLinkFlood, "split: a link that pings too often")
	errType    = codec.NewError(codec.ReasonMessage, "split: a message that this side does not take")
	errCredit  = codec.NewError(codec.ReasonMessage, "split: more bytes than credit")
	errPacket  = codec.NewError(codec.ReasonMessage, "split: a packet that is none")
	errVersion = errors.New("split: the other side speaks another version")
)

func newLink(conn, raw net.Conn, o owner) *link {
	l := &link{conn: conn, raw: raw, owner: o, dead: make(chan struct{})}
	l.out.init()
	return l
}

// attach gives the link a lane to each loop.
func (l *link) attach(ends []end, loops []Loop) {
	for i := range loops {
		a := &lane{link: l, end: ends[i], loop: loops[i]}
		a.room.L, a.run = &a.mu, a.work
		l.lanes = append(l.lanes, a)
	}
}

// kill ends the link. From any goroutine; it does not block.
func (l *link) kill(why codec.Reason) {
	l.once.Do(func() {
		l.why = why
		close(l.dead)
		_ = l.raw.Close()
		l.out.close()
		for _, a := range l.lanes {
			a.mu.Lock()
			a.room.Broadcast()
			a.mu.Unlock()
		}
	})
}

func (l *link) isDead() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// serve runs the link until it ends; its loops then know. more is what came behind the hello.
func (l *link) serve(more []byte) codec.Reason {
	var writer sync.WaitGroup
	writer.Go(l.write)
	l.tell(newsWelcome)
	l.kill(l.read(more))
	writer.Wait()
	l.tell(newsLost)
	return l.why
}

// tell posts news to every loop.
func (l *link) tell(n news) {
	for _, a := range l.lanes {
		a.post(nil, n)
	}
}

// write is the writer.
func (l *link) write() {
	var out []byte
	for {
		var drained, ok bool
		if out, drained, ok = l.out.pull(out[:0]); !ok {
			l.kill(codec.ReasonLinkLost)
			return
		}
		if drained {
			l.tell(newsDrained)
		}
		_ = l.raw.SetWriteDeadline(time.Now().Add(deadTime))
		if _, err := l.conn.Write(out); err != nil {
			l.kill(reasonOf(err))
			return
		}
		l.written.Add(uint64(len(out)))
		if cap(out) > 4*writeMost {
			out = nil
		}
	}
}

// read is the reader. It returns why the link ends.
func (l *link) read(more []byte) codec.Reason {
	b := append(make([]byte, 0, wire.HeaderSize+wire.MaxPayload+readMost), more...)
	batches := make([]*buf.Buffer, len(l.lanes))
	heard := time.Now()
	var asked time.Time
	for {
		used, fault := l.sort(b, batches)
		for i, batch := range batches {
			if batch != nil {
				l.lanes[i].post(batch, 0)
				batches[i] = nil
			}
		}
		if fault != nil {
			return codec.ReasonOf(fault, codec.ReasonMessage)
		}
		b = b[:copy(b, b[used:])]
		if now := time.Now(); now.Sub(asked) > time.Second {
			asked = now
			_ = l.raw.SetReadDeadline(now.Add(pingTime))
		}
		n, err := l.conn.Read(b[len(b):min(len(b)+readMost, cap(b))])
		if n > 0 {
			heard = time.Now()
			l.carried.Add(uint64(n))
			b = b[:len(b)+n]
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return reasonOf(err)
		case time.Since(heard) >= deadTime:
			return codec.ReasonLinkDead
		default:
			asked = time.Time{}
			l.out.urgent(wire.AppendPing(nil, wire.TypePing, uint64(heard.UnixNano())))
		}
	}
}

// sort puts the whole frames of p into the batches of their loops, and returns the bytes that they took.
func (l *link) sort(p []byte, batches []*buf.Buffer) (used int, err error) {
	for {
		var n int
		l.now, n, err = wire.Next(p[used:])
		f := &l.now
		switch {
		case err == codec.ErrShort:
			return used, nil
		case err != nil:
			return used, err
		}
		raw := p[used : used+n]
		used += n
		switch {
		case f.Stream == 0:
			if err := l.control(f); err != nil {
				return used, err
			}
			continue
		case f.Type == wire.TypeOpen:
			if pass, err := l.owner.admit(l, f.Stream); err != nil || !pass {
				if err != nil {
					return used, err
				}
				continue
			}
		}
		i := l.owner.loopOf(f.Stream)
		if batches[i] == nil {
			batches[i] = buf.Chunk.Get()
		}
		batches[i].B = append(batches[i].B, raw...)
	}
}

// control acts on a frame of the link itself.
func (l *link) control(f *wire.Frame) error {
	switch f.Type {
	case wire.TypePing:
		number, err := wire.ParsePing(f.Payload)
		if err != nil {
			return err
		}
		if now := time.Now(); now.Sub(l.pingsAt) >= time.Second {
			l.pingsAt, l.pings = now, 0
		}
		if l.pings++; l.pings > maxPings {
			return errFlood
		}
		l.out.urgent(wire.AppendPing(nil, wire.TypePong, number))
		return nil
	case wire.TypePong:
		_, err := wire.ParsePing(f.Payload)
		return err
	case wire.TypeHello:
		return errType
	default: //exhaustive:ignore
	}
	return l.owner.control(l, f)
}

// greet sends a hello and reads the other side's; more is what came behind it.
func (l *link) greet(own *wire.Hello) (more []byte, err error) {
	if _, err := l.conn.Write(own.Append(nil)); err != nil {
		return nil, err
	}
	var p []byte
	for room := make([]byte, wire.HeaderSize+wire.MaxHello); ; {
		n, err := l.conn.Read(room)
		if p = append(p, room[:n]...); err != nil && n == 0 {
			return nil, err
		}
		f, used, err := wire.Next(p)
		switch {
		case err == codec.ErrShort && len(p) < wire.HeaderSize+wire.MaxHello:
			continue
		case err != nil:
			return nil, err
		case f.Type != wire.TypeHello:
			return nil, errType
		}
		if l.hello, err = wire.ParseHello(f.Payload); err != nil {
			return nil, err
		}
		if !l.hello.Fits() {
			return nil, errVersion
		}
		return p[used:], nil
	}
}

// reasonOf says what ended a connection.
func reasonOf(err error) codec.Reason {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return codec.ReasonLinkDead
	case errors.Is(err, net.ErrClosed):
		return codec.ReasonShutdown
	}
	return codec.ReasonLinkLost
}
