package egress

import (
	"epoxy/codec"
	"epoxy/codec/buf"
	"epoxy/codec/socks"
	"epoxy/upstream"
)

// step says where a handshake stands.
//
//	dialling > greeted > (login) > asked > reached
//
// A failure goes back to dialling while a proxy is left. HTTP has no greeting.
type step uint8

const (
	dialling step = iota // the proxy
	greeted              // methods were offered
	login                // user and password went
	asked                // for the target
	reached              // the handler was told; bytes behind the reply wait for its Resume
)

var errBind = codec.NewError(codec.ReasonEgressBind, "egress: the proxy does not say where the target sees us")

// handshake is the Handler of a connection's socket until the connection is the handler's own.
type handshake struct {
	conn     *conn
	loop     *Loop
	h        upstream.Handler
	to       upstream.Target
	deadline int64        // loop time when the dial gives up
	limit    int64        // when this proxy had its time
	timer    int64        // the handler's; 0 is unset
	tried    uint64       // bit i: proxy i had its chance
	proxy    int          // the present one
	last     codec.Reason // of the last failure
	in       waiting      // an answer whose rest is to come, then what came behind the reply
	out      waiting      // what the handler wrote
	step     step
	spare    bool // the proxy is not at fault
	paused   bool // by the handler
	held     bool // the socket is paused because bytes wait in in
	fin      bool // the handler wants no more written
	again    bool // the handler wants its turn
	over     bool // closed by the handler, or gone
}

// waiting is bytes in a pooled buffer; the zero value has none.
type waiting struct{ b *buf.Buffer }

func (w *waiting) len() int {
	if w.b == nil {
		return 0
	}
	return w.b.Len()
}

func (w *waiting) add(p []byte) {
	if w.b == nil {
		w.b = buf.Partial.Get()
	}
	w.b.B = append(w.b.B, p...)
}

func (w *waiting) drop() {
	if w.b != nil {
		buf.Partial.Put(w.b)
		w.b = nil
	}
}

// dial turns to the next proxy; false when none is left, and then last says why.
func (hs *handshake) dial() bool {
	l := hs.loop
	for {
		i, more := l.pick(&hs.to, hs.tried)
		left := hs.deadline - l.Now()
		if i < 0 || left <= 0 {
			return false
		}
		if more {
			left = min(left, max(left/2, leastTime))
		}
		hs.tried |= 1 << i
		hs.proxy, hs.step, hs.spare = i, dialling, false
		l.Count[i].Dials++
		to := upstream.Target{
			Addr: l.routes[i].Addr, Path: l.routes[i].Path, Timeout: left, Opts: hs.to.Opts, Patient: hs.to.Patient,
		}
		socket, why := l.Loop.Dial(to, hs)
		if why == codec.ReasonNone {
			hs.conn.socket = socket
			hs.limit = l.Now() + left
			hs.arm()
			if hs.again {
				socket.Again()
			}
			return true
		}
		if hs.failed(why); why == codec.ReasonShutdown {
			return false
		}
	}
}

// failed notes that the present proxy did not reach the target.
func (hs *handshake) failed(why codec.Reason) {
	hs.last = why
	hs.loop.Count[hs.proxy].Failed[why]++
	switch {
	case why == codec.ReasonShutdown, why == codec.ReasonPanic:
	case hs.spare:
		hs.loop.works(hs.proxy)
	default:
		hs.loop.rest(hs.proxy, why)
	}
}

// drop ends the socket to the present proxy; Closed follows. spare says that the proxy is not at fault.
func (hs *handshake) drop(why codec.Reason, spare bool) {
	hs.spare = spare
	hs.conn.socket.Abort(why)
}

// arm sets the socket's timer, which the handler and the handshake share.
func (hs *handshake) arm() {
	at := hs.limit
	if hs.timer != 0 {
		at = min(at, hs.timer)
	}
	hs.conn.socket.SetTimer(at)
}

// say writes one message of the handshake and says what is awaited then.
func (hs *handshake) say(p []byte, next step) {
	hs.conn.socket.Write(p)
	hs.step = next
}

// Opened greets the proxy.
func (hs *handshake) Opened(upstream.Socket) {
	p, room := &hs.loop.routes[hs.proxy], hs.loop.Scratch()[:0]
	if p.Kind == HTTP {
		hs.say(socks.AppendConnect(room, hs.to.Addr, p.User, p.Password), asked)
	} else {
		hs.say(socks.AppendGreeting(room, p.User != ""), greeted)
	}
}

// Data reads the proxy's answers.
func (hs *handshake) Data(_ upstream.Socket, p []byte) {
	if hs.over {
		return
	}
	if hs.in.b != nil {
		hs.in.add(p)
		p = hs.in.b.B
	}
	for hs.step != reached {
		n, err := hs.take(p)
		switch {
		case err == codec.ErrShort:
			hs.keep(p)
			return
		case err != nil:
			why := codec.ReasonOf(err, codec.ReasonEgressShape)
			hs.drop(why, why == codec.ReasonEgressRefused || why == codec.ReasonEgressBind)
			return
		}
		p = p[n:]
	}
	hs.open()
	hs.settle(p)
}

// keep keeps what is left of the proxy's bytes; p may lie in the same buffer.
func (hs *handshake) keep(p []byte) {
	if hs.in.b != nil {
		hs.in.b.B = append(hs.in.b.B[:0], p...)
	} else if len(p) > 0 {
		hs.in.add(p)
	}
}

// take reads one answer and says what comes next.
func (hs *handshake) take(p []byte) (int, error) {
	proxy, room := &hs.loop.routes[hs.proxy], hs.loop.Scratch()[:0]
	if proxy.Kind == HTTP {
		_, n, err := socks.ParseConnect(p)
		if err == nil {
			hs.step = reached
		}
		return n, err
	}
	switch hs.step {
	case greeted:
		method, n, err := socks.ParseMethod(p, proxy.User != "")
		switch {
		case err != nil:
			return 0, err
		case method == socks.Password:
			hs.say(socks.AppendAuth(room, proxy.User, proxy.Password), login)
		case method == socks.NoAuth:
			hs.say(socks.AppendRequest(room, hs.to.Addr), asked)
		}
		return n, nil
	case login:
		n, err := socks.ParseAuth(p)
		if err == nil {
			hs.say(socks.AppendRequest(room, hs.to.Addr), asked)
		}
		return n, err
	case asked:
		bound, n, err := socks.ParseReply(p)
		if err != nil {
			return 0, err
		}
		bound = usable(bound, hs.to.Addr)
		if hs.to.NeedsBind && !bound.IsValid() {
			return 0, errBind
		}
		hs.conn.bound = bound
		hs.step = reached
		return n, nil
	case dialling, reached:
	}
	return 0, codec.ErrShort // nothing was asked yet
}
