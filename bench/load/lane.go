package load

import (
	"net/netip"
	"time"

	"epoxy/upstream"
)

// job is what the clients of a lane are to do.
type job uint8

const (
	jobOpen     job = iota // connect, handshake, one echo, stay
	jobCycle               // connect, handshake, one echo, close
	jobEcho                // send messages one after another
	jobPaced               // the same, each when its tick comes
	jobTransfer            // download and upload
	jobHold                // ask for a download and stop reading
	jobRelease             // read on to the end of the download
	jobClose
)

// task is a job with its numbers, for one lane.
type task struct {
	job      job
	count    int           // clients to make, or to use: 0 is all
	atOnce   int           // clients that do it at the same time; 0 is all
	size     int           // content bytes of an echo
	once     bool          // one echo each
	messages uint64        // echoes all in all; 0 is until
	until    time.Duration // the lane's clock
	think    int64         // milliseconds between an answer and the next echo
	down, up uint64        // bytes of each client
	packet   int           // content bytes of a downloaded packet
	window   uint64        // bytes asked for at once; 0 is all of them
}

// lane is the share of one event loop in a group of clients. Its loop owns it, but for the first fields.
type lane struct {
	// Fixed after start.
	loop    upstream.Loop
	server  netip.AddrPort
	sources []*upstream.DialOptions
	start   time.Time

	// Owned by the loop.
	who    Identity
	conns  []*conn
	serial uint32 // id of the next client: its pattern
	stride uint32 // ids of the lanes do not meet
	tally  Tally
	task   task
	next   int // clients of the task that began
	busy   int // clients that are at it
	sent   uint64
	open   int           // sockets
	parked []*conn       // clients of jobPaced who wait for their tick
	done   chan struct{} // closed at the end of the task; nil between tasks
}

func (l *lane) clock() time.Duration { return time.Since(l.start) }

// begin starts a task; done is closed when every client finished it.
func (l *lane) begin(t task, done chan struct{}) {
	if t.count == 0 {
		t.count = len(l.conns)
	}
	if t.atOnce == 0 {
		t.atOnce = t.count
	}
	l.task, l.next, l.sent, l.parked, l.done = t, 0, 0, nil, done
	if t.job == jobClose {
		for len(l.conns) > 0 {
			l.conns[0].leave()
		}
	}
	l.fill()
}

// fill lets clients begin while there is room for them, and ends the task after the last.
func (l *lane) fill() {
	for l.busy < l.task.atOnce && l.next < l.task.count {
		l.next++
		c := l.client()
		if c == nil {
			break
		}
		c.busy = true
		l.busy++
		if !c.begin() {
			c.busy = false
			l.busy--
		}
	}
	if l.busy == 0 && l.done != nil && !l.closing() {
		close(l.done)
		l.done = nil
	}
}

// client returns the next client of the task, nil when too many failed.
func (l *lane) client() *conn {
	if l.task.job > jobCycle {
		if l.next > len(l.conns) {
			l.next = l.task.count
			return nil
		}
		return l.conns[l.next-1]
	}
	l.serial += l.stride
	c := &conn{lane: l, client: NewClient(&l.who, l.serial), index: len(l.conns)}
	l.conns = append(l.conns, c)
	return c
}

func (l *lane) closing() bool { return l.task.job == jobClose && l.open > 0 }

func (l *lane) finished() {
	l.busy--
	l.fill()
}

// closed says that a socket is gone.
func (l *lane) closed() {
	l.open--
	if l.task.job == jobClose {
		l.fill()
	}
}

// remove takes a client out of the lane. Those that have begun the task stay in front of the others.
func (l *lane) remove(c *conn) {
	if l.task.job > jobCycle && c.index < l.next {
		l.next--
		l.task.count--
		l.swap(c.index, l.next)
	}
	last := len(l.conns) - 1
	l.swap(c.index, last)
	l.conns[last] = nil
	l.conns = l.conns[:last]
	c.gone = true
}

func (l *lane) swap(i, j int) {
	l.conns[i], l.conns[j] = l.conns[j], l.conns[i]
	l.conns[i].index, l.conns[j].index = i, j
}

// more takes one message out of the task's budget, if any is left.
func (l *lane) more() bool {
	t := &l.task
	if !t.once && (t.messages > 0 && l.sent >= t.messages || t.until > 0 && l.clock() >= t.until) {
		return false
	}
	l.sent++
	return true
}

// source returns the socket options of the next connection: its source address.
func (l *lane) source() *upstream.DialOptions {
	if len(l.sources) == 0 {
		return nil
	}
	return l.sources[int(l.serial/max(l.stride, 1))%len(l.sources)]
}

// giveUp ends all clients that the task waits for.
func (l *lane) giveUp(why string) {
	l.next = l.task.count
	for i := len(l.conns) - 1; i >= 0; i-- {
		if i < len(l.conns) && l.conns[i].busy {
			l.conns[i].fail(why)
		}
	}
	if l.done != nil { // sockets that do not close
		close(l.done)
		l.done = nil
	}
}
