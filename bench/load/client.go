package load

import (
	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/obfs2"
	"epoxy/upstream/faketg"
)

// Identity is what the clients of one loop have in common. The loop owns it.
type Identity struct {
	Secret    *codec.Key // nil is straight to a datacenter
	TLS       bool       // wear fake-TLS
	Domain    string     // the SNI
	Transport codec.Transport
	DC        codec.DC
	Shares    *faketls.Shares // for TLS
	Rand      func([]byte)

	clear []byte          // a packet before it goes into records
	pad   [clientPad]byte // random bytes for the packet at hand
}

// Client is one Telegram app as a socket-free machine: it opens a connection through a proxy, sends commands to
// the fake datacenter behind it and checks every byte that comes back. States:
//
//	new > flight > open   (fake-TLS)
//	new > open            (all others)
type Client struct {
	who   *Identity
	id    uint32
	state state

	up, down obfs2.Stream
	records  records
	packets  packets
	random   [32]byte // of the ClientHello
	rest     []byte   // a flight that is not yet whole

	echoSent, echoGot uint64 // where the pattern of echoes stands
	dataEnd           uint64 // how much the running source will send
	sunk              uint64 // bytes sent into sinks
}

type state uint8

const (
	stateNew state = iota
	stateFlight
	stateOpen
)

var (
	errEarly   = codec.NewError(codec.ReasonTLSRecord, "load: bytes behind the flight before the client spoke")
	errRecord  = codec.NewError(codec.ReasonTLSRecord, "load: a record that apps refuse")
	errFrame   = codec.NewError(codec.ReasonPacketSize, "load: a packet with a wrong length")
	errRefused = codec.NewError(codec.ReasonPacketSize, "load: a transport error instead of an answer")
	errAnswer  = codec.NewError(codec.ReasonPacketSize, "load: an answer to another question")
	errContent = codec.NewError(codec.ReasonPacketSize, "load: a wrong byte in the content")
	errSunk    = codec.NewError(codec.ReasonPacketSize, "load: the upload arrived damaged")
)

// Progress is what some bytes brought.
type Progress struct {
	Ready  bool // commands may be sent now
	Echoes int  // echoes that came back whole
	Data   int  // content bytes of a source
	Synced bool // the datacenter confirmed the upload
}

// NewClient returns a client with pattern id.
func NewClient(who *Identity, id uint32) Client { return Client{who: who, id: id} }

// Hello appends what a client says as soon as it is connected: a ClientHello for TLS, nothing for the others,
// who are ready at once. unix is the time in seconds.
func (c *Client) Hello(dst []byte, unix int64) ([]byte, error) {
	if !c.who.TLS {
		c.state = stateOpen
		return dst, nil
	}
	c.state = stateFlight
	hello := faketls.ClientHello{Domain: c.who.Domain, Secret: *c.who.Secret, Unix: uint32(unix), Shares: c.who.Shares}
	from := len(dst)
	dst, err := hello.Append(dst, c.who.Rand)
	if err == nil {
		copy(c.random[:], dst[from+11:])
	}
	return dst, err
}

// Ready reports whether commands may be sent.
func (c *Client) Ready() bool { return c.state == stateOpen }

// Echo appends a packet with n content bytes that comes back.
func (c *Client) Echo(dst []byte, n int) []byte {
	cmd := faketg.Command{Op: faketg.OpEcho, ID: c.id, Value: c.echoSent, Size: uint32(n)}
	c.echoSent += uint64(n)
	return c.append(dst, cmd)
}

// Download appends the wish for n bytes, a multiple of 4, in packets of size.
func (c *Client) Download(dst []byte, n uint64, size int) []byte {
	c.dataEnd, c.packets.data = n, 0
	return c.append(dst, faketg.Command{Op: faketg.OpSource, ID: c.id, Value: n, Size: uint32(size)})
}

// Awaited returns how many bytes of a download are still to come.
func (c *Client) Awaited() uint64 { return c.dataEnd - c.packets.data }

// Upload appends one packet of n bytes for the sink.
func (c *Client) Upload(dst []byte, n int) []byte {
	cmd := faketg.Command{Op: faketg.OpSink, ID: c.id, Value: c.sunk, Size: uint32(n)}
	c.sunk += uint64(n)
	return c.append(dst, cmd)
}

// Sync appends the question whether all uploads arrived.
func (c *Client) Sync(dst []byte) []byte {
	return c.append(dst, faketg.Command{Op: faketg.OpSync, ID: c.id})
}

// append appends one packet in costume; the first one brings the opening, as TDLib does in one write.
func (c *Client) append(dst []byte, cmd faketg.Command) []byte {
	if !c.who.TLS {
		return c.appendClear(dst, cmd)
	}
	if !c.packets.opened {
		dst = append(dst, 0x14, 3, 3, 0, 1, 1)
	}
	c.who.clear = c.appendClear(c.who.clear[:0], cmd)
	return faketls.AppendRecords(dst, c.who.clear, clientRecord)
}

func (c *Client) appendClear(dst []byte, cmd faketg.Command) []byte {
	if !c.packets.opened {
		c.packets.opened = true
		dst = c.open(dst)
	}
	from := len(dst)
	dst = appendPacket(dst, c.who, cmd)
	c.up.XOR(dst[from:], dst[from:])
	return dst
}

func (c *Client) open(dst []byte) []byte {
	var random [obfs2.InitSize]byte
	for {
		c.who.Rand(random[:])
		wire, up, down, ok := obfs2.ClientInit(&random, c.who.Secret, c.who.Transport, c.who.DC)
		if ok {
			c.up, c.down = up, down
			return append(dst, wire[:]...)
		}
	}
}

// Feed takes bytes from the proxy, which it changes. An error ends the client: something came that a Telegram
// app would refuse, or a wrong byte.
func (c *Client) Feed(p []byte) (Progress, error) {
	if c.state == stateFlight {
		return c.flight(p)
	}
	if c.who.TLS {
		n, err := c.records.strip(p)
		if err != nil {
			return Progress{}, err
		}
		p = p[:n]
	}
	if !c.packets.opened {
		return Progress{}, errEarly
	}
	c.down.XOR(p, p)
	return c.read(p)
}

// flight waits for the proxy's flight and checks it.
func (c *Client) flight(p []byte) (Progress, error) {
	c.rest = append(c.rest, p...)
	n, err := faketls.CheckFlight(c.rest, c.who.Secret, c.random[:])
	switch {
	case err == codec.ErrShort:
		return Progress{}, nil
	case err != nil:
		return Progress{}, err
	case n < len(c.rest):
		return Progress{}, errEarly
	}
	c.rest = nil
	c.state = stateOpen
	return Progress{Ready: true}, nil
}

// answer judges the head of a packet.
func (c *Client) answer(cmd faketg.Command) error {
	if cmd.ID != c.id {
		return errAnswer
	}
	switch cmd.Op {
	case faketg.OpEcho:
		if cmd.Value != c.echoGot || cmd.Value+uint64(cmd.Size) > c.echoSent {
			return errAnswer
		}
	case faketg.OpData:
		if cmd.Value != c.packets.data || uint64(cmd.Size) > c.Awaited() {
			return errAnswer
		}
	case faketg.OpSynced:
		if cmd.Value != c.sunk || cmd.Size != 0 {
			return errSunk
		}
	case faketg.OpSink, faketg.OpSync, faketg.OpSource:
		return errAnswer
	}
	return nil
}
