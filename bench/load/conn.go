package load

import (
	"time"

	"epoxy/codec"
	"epoxy/upstream"
)

// conn is one client on its loop: the machine, its socket and where it is in the lane's task.
type conn struct {
	lane   *lane
	sock   upstream.Socket
	client Client
	index  int           // in lane.conns
	begun  time.Duration // when it dialled or sent the echo that is under way
	up     uint64        // bytes to upload
	down   uint64        // bytes to download that were not asked for yet
	busy   bool          // the task waits for it
	proven bool          // its first echo came back
	synced bool          // its upload is confirmed, or there was none
	gone   bool          // it left the lane
}

// begin does the lane's task; false says that there is nothing to wait for.
func (c *conn) begin() bool {
	t := &c.lane.task
	switch t.job {
	case jobOpen, jobCycle:
		return c.dial()
	case jobEcho:
		return c.echo(t.size)
	case jobPaced:
		c.park()
		return true
	case jobTransfer:
		return c.transfer(t.down, t.up)
	case jobHold:
		c.sock.Write(c.client.Download(c.out(), t.down, t.packet))
		c.sock.Pause()
		return false
	case jobRelease:
		c.synced = true
		c.sock.Resume()
		return c.client.Awaited() > 0
	case jobClose:
	}
	return false
}

func (c *conn) out() []byte { return c.lane.loop.Scratch()[:0] }

func (c *conn) dial() bool {
	c.begun = c.lane.clock()
	target := upstream.Target{Addr: c.lane.server, Timeout: dialTime, Opts: c.lane.source()}
	sock, why := c.lane.loop.Dial(target, c)
	if why != codec.ReasonNone {
		c.lane.tally.fault(why.String())
		c.lane.remove(c)
		return false
	}
	c.sock = sock
	c.lane.open++
	return true
}

// echo sends the next message, unless the task has no more.
func (c *conn) echo(size int) bool {
	if !c.lane.more() {
		return false
	}
	c.begun = c.lane.clock()
	c.sock.Write(c.client.Echo(c.out(), size))
	return true
}

// park lets the client wait for its tick.
func (c *conn) park() { c.lane.parked = append(c.lane.parked, c) }

func (c *conn) transfer(down, up uint64) bool {
	c.up, c.down, c.synced = up, down, up == 0
	if down > 0 {
		c.ask()
	}
	if up > 0 {
		c.pump()
	}
	return down+up > 0
}

// ask asks for the next bytes of a download.
func (c *conn) ask() {
	n := c.down
	if w := c.lane.task.window; w > 0 {
		n = min(n, w)
	}
	c.down -= n
	c.sock.Write(c.client.Download(c.out(), n, c.lane.task.packet))
}

// pump uploads while the socket takes it.
func (c *conn) pump() {
	for turn := 0; c.up > 0 && c.sock.Queued() == 0; turn++ {
		if turn == turnsPerEvent {
			c.sock.Again()
			return
		}
		out := c.out()
		for c.up > 0 && len(out) < uploadAhead {
			n := min(c.up, uploadPacket)
			out = c.client.Upload(out, int(n))
			c.up -= n
			c.lane.tally.Up += n
		}
		if c.up == 0 {
			out = c.client.Sync(out)
		}
		c.sock.Write(out)
	}
}

// Opened says hello.
func (c *conn) Opened(upstream.Socket) {
	hello, err := c.client.Hello(c.out(), c.lane.loop.Unix())
	if err != nil {
		c.fail(err.Error())
		return
	}
	c.sock.Write(hello)
	if c.client.Ready() {
		c.sock.Write(c.client.Echo(c.out(), pingSize))
	}
}

// Data checks what came and takes the next step.
func (c *conn) Data(_ upstream.Socket, p []byte) {
	if c.gone {
		return
	}
	done, err := c.client.Feed(p)
	t := &c.lane.tally
	t.Down += uint64(done.Data)
	switch {
	case err != nil:
		c.fail(err.Error())
	case done.Ready:
		c.sock.Write(c.client.Echo(c.out(), pingSize))
	case done.Echoes > 0 && !c.proven:
		c.proven = true
		t.Opened++
		t.Opening.Add(c.lane.clock() - c.begun)
		if c.lane.task.job == jobCycle {
			c.leave()
		}
		c.finish()
	case done.Echoes > 0:
		t.Messages += uint64(done.Echoes)
		t.Echo.Add(c.lane.clock() - c.begun)
		c.next()
	default:
		c.synced = c.synced || done.Synced
		switch {
		case !c.busy || !c.proven || c.client.Awaited() > 0 || c.lane.task.job <= jobPaced:
		case c.down > 0:
			c.ask()
		case c.synced:
			c.finish()
		}
	}
}

// next sends the next message now or after the time to think.
func (c *conn) next() {
	t := &c.lane.task
	switch {
	case !c.busy:
	case t.once:
		c.finish()
	case t.job == jobPaced:
		c.park()
	case t.think > 0:
		c.sock.SetTimer(c.lane.loop.Now() + t.think)
	case !c.echo(t.size):
		c.finish()
	}
}

// Timer ends the time to think.
func (c *conn) Timer(upstream.Socket) {
	if c.busy && !c.echo(c.lane.task.size) {
		c.finish()
	}
}

func (c *conn) Drained(upstream.Socket) { c.pump() }
func (c *conn) Again(upstream.Socket)   { c.pump() }

// EOF is a fault: no proxy may end a client that did not ask for it.
func (c *conn) EOF(upstream.Socket) { c.fail("the proxy closed") }

// Closed is a fault unless we wanted it.
func (c *conn) Closed(_ upstream.Socket, why codec.Reason) {
	c.lane.closed()
	c.sock = nil
	if !c.gone {
		c.fail(why.String())
	}
}

// leave ends the client in an orderly way.
func (c *conn) leave() {
	c.lane.remove(c)
	c.sock.Close(codec.ReasonClientClosed)
}

// fail ends the client and counts why.
func (c *conn) fail(why string) {
	if c.gone {
		return
	}
	c.lane.tally.fault(why)
	c.lane.remove(c)
	if c.sock != nil {
		c.sock.Abort(codec.ReasonClientReset)
	}
	c.finish()
}

func (c *conn) finish() {
	if c.busy {
		c.busy = false
		c.lane.finished()
	}
}
