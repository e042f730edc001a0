package egress

import (
	"epoxy/codec"
	"epoxy/upstream"
)

// open makes the socket what the handler asked for meanwhile, and tells it.
func (hs *handshake) open() {
	c := hs.conn
	hs.loop.works(hs.proxy)
	hs.loop.Count[hs.proxy].Opened++
	c.socket.SetTimer(hs.timer)
	if hs.paused {
		c.socket.Pause()
	}
	wrote := hs.out.len() > 0
	if wrote {
		c.socket.Write(hs.out.b.B)
	}
	hs.out.drop()
	if hs.fin {
		c.socket.CloseWrite()
	}
	hs.h.Opened(c)
	if wrote && !hs.over && c.socket.Queued() == 0 {
		hs.h.Drained(c)
	}
}

// settle delivers what came behind the reply and leaves the socket to the handler; while that is paused, it waits.
func (hs *handshake) settle(rest []byte) {
	c := hs.conn
	if len(rest) > 0 && !hs.paused && !hs.over {
		hs.h.Data(c, rest)
		rest = nil
	}
	switch {
	case hs.over: // Closed follows
	case len(rest) > 0:
		hs.keep(rest)
		hs.held = true
		c.socket.Pause()
	default:
		hs.in.drop()
		c.hs = nil
		c.socket.SetHandler(hs.h)
		if hs.held && !hs.paused {
			c.socket.Resume()
		}
	}
}

// EOF ends a handshake.
func (hs *handshake) EOF(upstream.Socket) {
	switch {
	case hs.over:
	case hs.step == reached:
		hs.h.EOF(hs.conn)
	default:
		hs.drop(codec.ReasonEgressRefused, false)
	}
}

// Drained is the handler's.
func (hs *handshake) Drained(upstream.Socket) {
	if hs.step == reached && !hs.over {
		hs.h.Drained(hs.conn)
	}
}

// Timer is the handler's, or the end of the proxy's time. A SOCKS5 proxy that was asked for the target has shown that it
// is there, so it is the target that does not answer.
func (hs *handshake) Timer(upstream.Socket) {
	now := hs.loop.Now()
	if hs.over {
		return
	}
	if hs.timer != 0 && now >= hs.timer {
		hs.timer = 0
		hs.h.Timer(hs.conn)
	}
	switch {
	case hs.over || hs.step == reached:
	case now >= hs.limit:
		hs.drop(codec.ReasonDialTime, hs.step == asked && hs.loop.routes[hs.proxy].Kind == SOCKS5)
	default:
		hs.arm()
	}
}

// Again is the handler's turn, or that of bytes which waited for it.
func (hs *handshake) Again(upstream.Socket) {
	if hs.again {
		hs.again = false
		hs.h.Again(hs.conn)
	}
	if hs.held && !hs.paused && !hs.over {
		hs.settle(hs.in.b.B)
	}
}

// Closed goes on with the next proxy, unless the handler closed or had been told of the target.
func (hs *handshake) Closed(_ upstream.Socket, why codec.Reason) {
	if !hs.over && hs.step != reached {
		if why == codec.ReasonPeerReset || why == codec.ReasonPeerClosed {
			why = codec.ReasonEgressRefused
		}
		hs.failed(why)
		hs.in.drop()
		if why != codec.ReasonShutdown && why != codec.ReasonPanic && hs.dial() {
			return
		}
	}
	if hs.step != reached {
		why = hs.last // what the handler closed with, or the last proxy ended with
	}
	hs.over = true
	hs.in.drop()
	hs.out.drop()
	hs.h.Closed(hs.conn, why)
}

// write keeps p for the target.
func (hs *handshake) write(p []byte) {
	switch {
	case hs.over || hs.fin || len(p) == 0:
	case hs.step == reached:
		hs.conn.socket.Write(p)
	default:
		hs.out.add(p)
	}
}

// pause notes the handler's wish; bytes that wait for it have the loop's next turn.
func (hs *handshake) pause(on bool) {
	hs.paused = on
	switch {
	case hs.over || hs.step != reached:
	case on:
		hs.conn.socket.Pause()
	case hs.held:
		hs.conn.socket.Again()
	default:
		hs.conn.socket.Resume()
	}
}

func (hs *handshake) closeWrite() {
	if hs.over || hs.fin {
		return
	}
	hs.fin = true
	if hs.step == reached {
		hs.conn.socket.CloseWrite()
	}
}

func (hs *handshake) close(why codec.Reason) {
	if hs.over {
		return
	}
	if hs.step != reached {
		hs.abort(why)
		return
	}
	hs.over = true
	hs.conn.socket.Close(why)
}

func (hs *handshake) abort(why codec.Reason) {
	if !hs.over {
		hs.over, hs.last = true, why
	}
	hs.conn.socket.Abort(why)
}

func (hs *handshake) setTimer(at int64) {
	if hs.over {
		return
	}
	hs.timer = at
	if hs.step == reached {
		hs.conn.socket.SetTimer(at)
		return
	}
	hs.arm()
}
