// Package upstream holds the few words that sessions and upstreams exchange: Socket, Handler, Loop, Router, Stream, Sink.
//
// Everything here happens on one event loop. No method may be called from another goroutine, and none
// calls back into its caller: a Handler or Sink is only ever called by the loop, never from inside a
// method of a Socket or Stream that the same Handler is calling. So there is no re-entrance to guard against.
package upstream

import (
	"net/netip"

	"epoxy/codec"
	"epoxy/codec/rpc"
)

// Socket is one non-blocking connection of the loop. The reactor's connection implements it.
//
// A Socket is dead once Handler.Closed was called: every method is then a no-op.
type Socket interface {
	// Write sends p, or queues what the kernel does not take. p is not kept and not changed. There is no
	// error: a broken socket reports by Handler.Closed, after the current event. After CloseWrite, Close
	// or Abort the bytes are dropped.
	Write(p []byte)
	// Queued returns how many bytes wait in user memory for the kernel.
	Queued() int
	// Pause stops Data and EOF until Resume, from this moment on: nothing read but undelivered is left
	// behind. Both may be called in any state and any number of times.
	Pause()
	// Resume undoes Pause. Data follows from the loop, not from inside Resume.
	Resume()
	// CloseWrite sends FIN when the queue is empty; reading goes on.
	CloseWrite()
	// Close stops reading, sends what is queued, then FIN, then closes. Handler.Closed(why) follows, at the
	// latest when the drain time of the reactor is over.
	Close(why codec.Reason)
	// Abort drops the queue and closes with RST. Handler.Closed(why) follows.
	Abort(why codec.Reason)
	// SetTimer asks for Handler.Timer at loop time at (Loop.Now, milliseconds); 0 takes it back. There is
	// one timer per socket; a new time replaces the old. It may fire up to 16 ms late, and up to 1.1 s late when set
	// more than 8 s ahead.
	SetTimer(at int64)
	// Again asks for Handler.Again on the next turn of the loop, after other sockets had theirs.
	Again()
	// SetHandler hands the socket to another Handler; the old one hears nothing more.
	SetHandler(h Handler)
	// Local and Peer ask the kernel for the socket's addresses, IPv4-mapped ones as IPv4 (a system call each);
	// the zero AddrPort for a unix socket or a dead one.
	Local() netip.AddrPort
	Peer() netip.AddrPort
	// MSS asks the kernel for the bytes of one segment to the peer; 0 when there is no such thing.
	MSS() int
}

// Handler is what a Socket calls. The loop calls it, never a method of the Socket itself.
type Handler interface {
	// Opened says that a dialled socket is connected. Accepted sockets do not get it.
	Opened(s Socket)
	// Data brings bytes. p is the handler's to change and lives until the call returns.
	Data(s Socket, p []byte)
	// EOF says that the peer sent FIN: no Data follows. Writing goes on until CloseWrite or Close.
	EOF(s Socket)
	// Drained says that the queue, having held bytes, is at or below the reactor's low-water mark (16 KiB).
	// It is called by writable events, so at most once per turn.
	Drained(s Socket)
	// Timer says that the time given to SetTimer has come; the timer is then unset.
	Timer(s Socket)
	// Again answers Socket.Again.
	Again(s Socket)
	// Closed is the last call. why is what Close or Abort was given, or what happened to the socket:
	// ReasonPeerReset, ReasonDialRefused, ReasonDialTime, ReasonDialError, ReasonWriteStall, ReasonDrainTime,
	// ReasonPanic, ReasonShutdown. After EOF in both directions (peer's FIN and own CloseWrite drained) the
	// socket closes by itself with ReasonPeerClosed.
	Closed(s Socket, why codec.Reason)
}

// Loop is what an event loop lends to the sessions and upstreams that live on it.
type Loop interface {
	// Now is the loop's clock in milliseconds, monotonic from an arbitrary start, refreshed once per batch of events.
	Now() int64
	// Unix is the wall clock in seconds, refreshed with Now.
	Unix() int64
	// Scratch is one buffer of at least ScratchSize bytes for the caller to assemble a write in. It is
	// never the buffer that Data's p points into, and its content lives until the handler returns.
	Scratch() []byte
	// Rand fills p with cryptographically secure random bytes.
	Rand(p []byte)
	// Dial starts a non-blocking connect and returns at once. h hears Opened or Closed. The reason is
	// not ReasonNone when it failed at once; h then hears nothing.
	Dial(to Target, h Handler) (Socket, codec.Reason)
	// Task returns a Socket without a connection, for what has to do with no single one: h hears Timer and Again, and
	// Closed when the task is closed or the loop ends. Nothing else of a Socket does anything there.
	Task(h Handler) Socket
}

// ScratchSize is the least size of Loop.Scratch: the largest read of a reactor (256 KiB) with a 5-byte
// record header per 1 KiB, a fake-TLS flight and an opening frame on top.
const ScratchSize = 256<<10 + 5*256 + 16<<10

// Target says where and how to connect.
type Target struct {
	Addr      netip.AddrPort // or
	Path      string         // a unix socket
	Timeout   int64          // milliseconds until ReasonDialTime; 0 is 5 s (spec upstream-protocols 5.4)
	Opts      *DialOptions   // shared, not changed; nil is none
	Patient   bool           // a full queue may stand still for 30 s instead of the reactor's stall time (spec upstream-protocols 4.5)
	NeedsBind bool           // of use only when Local will be what the target sees; a proxy in between that does not say it fails with ReasonEgressBind
}

// DialOptions are the socket options of an upstream connection, set before connect.
type DialOptions struct {
	BindV4, BindV6 netip.Addr // source address by family; invalid is the kernel's choice
	Interface      string     // SO_BINDTODEVICE; empty is any
	Mark           uint32     // SO_MARK; 0 is none
	RecvBuffer     int        // SO_RCVBUF in bytes; 0 leaves the kernel's autotuning
	RecvBufferWide int        // what it becomes once long reads were taken at once; 0 leaves it
	NotSentLowat   int        // TCP_NOTSENT_LOWAT in bytes; 0 leaves it off
	UserTimeout    int        // TCP_USER_TIMEOUT in ms; 0 is the kernel's
	KeepIdle       int        // seconds of silence before the first keep-alive probe; 0 is no probes
	KeepInterval   int        // seconds between probes; 0 is the kernel's
	KeepCount      int        // probes; 0 is the kernel's
}

// Request says what stream a session wants.
type Request struct {
	DC        codec.DC
	Transport codec.Transport
	Client    netip.AddrPort // the client's address, as PROXY protocol or the socket gave it
	Local     netip.AddrPort // our end of the client's connection; the zero AddrPort when not known
	Tag       *rpc.Tag       // the ad tag that the client's packets carry, over links; nil is none. Not changed
	SNI       []byte         // to a front: what the stranger's hello asks for, as it came, nil when nothing; lives until Open returns
}

// Router opens streams for the sessions of one loop. Direct, middle and front are Routers.
type Router interface {
	// Open starts a stream whose bytes go to sink. It returns at once; the sink may hear Ended later. The
	// reason is not ReasonNone when nothing could be started; the sink then hears nothing.
	Open(req Request, sink Sink) (Stream, codec.Reason)
}

// Stream is one client on an upstream. After Close or Sink.Ended every method is a no-op.
type Stream interface {
	// Send takes the client's clear bytes. p may be changed and is not kept. A stream that is not yet
	// connected keeps a copy; the session pauses its client when Queued passes its soft limit.
	Send(p []byte)
	// Queued returns how many bytes wait to go up.
	Queued() int
	// Pause and Resume stop and restart Sink.Deliver.
	Pause()
	Resume()
	// CloseSend says that the client sent FIN: what was sent goes up, then the stream's own end follows.
	CloseSend()
	// Compact drops what can be rebuilt from less memory, such as live ciphers; the session calls it after
	// a silence.
	Compact()
	// Close ends the stream; the sink hears nothing more.
	Close(why codec.Reason)
}

// Sink is the client's end of a stream; a session implements it.
type Sink interface {
	// Deliver brings clear bytes from Telegram. p is the sink's to change and lives until the call returns.
	Deliver(p []byte)
	// SendDrained says that Stream.Queued fell to the low-water mark.
	SendDrained()
	// EndOfStream says that Telegram sent FIN: no Deliver follows, Send still works.
	EndOfStream()
	// Ended is the last call: the stream is gone.
	Ended(why codec.Reason)
}
