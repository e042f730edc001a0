package ping

import (
	"bytes"
	"context"
	"net"
	"strconv"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/frame"
	"epoxy/codec/obfs2"
)

// caller is what the pings of one Run share; nobody changes it.
type caller struct {
	target  *Target
	options *Options
	shares  *faketls.Shares
}

// call is one ping under way.
type call struct {
	*caller
	ctx      context.Context
	result   *Result
	conn     net.Conn
	records  faketls.Reader
	up, down obfs2.Stream
	nonce    nonce
	raw      []byte // the first bytes of what answered the opening, as they came
	in       []byte // what answered the opening, in clear
	buf      [4 << 10]byte
}

// ping does one ping and writes its steps into r.
func (c *caller) ping(ctx context.Context, r *Result) {
	a := &call{caller: c, ctx: ctx, result: r}
	if !a.step(StepDial, a.dial) {
		return
	}
	defer a.conn.Close()
	defer context.AfterFunc(ctx, func() { a.conn.Close() })()
	if r.Protocol == codec.TLS && !a.step(StepTLS, a.hello) {
		return
	}
	r.OK = a.step(StepOpening, a.open) && a.step(StepAnswer, a.answer)
}

// step does one step in its time and notes it.
func (a *call) step(name string, do func() *Error) bool {
	s := Step{Name: name}
	start := time.Now()
	if a.conn != nil {
		_ = a.conn.SetDeadline(start.Add(a.options.Timeout)) // fails on a closed one, as the step will
	}
	err := do()
	if s.Took = time.Since(start); err != nil {
		if a.ctx.Err() != nil {
			err = &Error{Fault: Interrupted}
		}
		err.at = a.now()
		err.word(a.result)
		s.Err = err
	}
	a.result.Steps = append(a.result.Steps, s)
	return err == nil
}

// now is this machine's clock, shifted as the options say.
func (a *call) now() time.Time { return time.Now().Add(a.options.Skew) }

func (a *call) dial() *Error {
	ctx, cancel := context.WithTimeout(a.ctx, a.options.Timeout)
	defer cancel()
	conn, err := a.options.Dial(ctx, "tcp", net.JoinHostPort(a.target.Host, strconv.Itoa(a.target.Port)))
	if err != nil {
		return dialError(err)
	}
	a.conn = conn
	return nil
}

// hello sends a ClientHello and waits for the flight.
func (a *call) hello() *Error {
	spec := faketls.ClientHello{
		Domain: a.target.Secret.Domain, Secret: a.target.Secret.Key, Unix: uint32(a.now().Unix()), Shares: a.shares,
	}
	hello, err := spec.Append(nil, random)
	if err != nil {
		return &Error{Fault: HelloUnmade, cause: err}
	}
	if _, err := a.conn.Write(hello); err != nil {
		return &Error{Fault: HelloClosed, cause: err}
	}
	var flight []byte
	for len(flight) < maxFlight {
		n, err := a.conn.Read(a.buf[:])
		flight = append(flight, a.buf[:n]...)
		used, bad := faketls.CheckFlight(flight, &a.target.Secret.Key, hello[11:43])
		switch {
		case bad == nil:
			return a.take(flight[used:])
		case bad == codec.ErrShort && err == nil:
			continue
		}
		return helloError(flight, err)
	}
	return helloError(flight, nil)
}

// open sends opening and question.
func (a *call) open() *Error {
	var seed, wire [obfs2.InitSize]byte
	for ok := false; !ok; {
		random(seed[:])
		wire, a.up, a.down, ok = obfs2.ClientInit(&seed, &a.target.Secret.Key, a.result.Transport, a.result.DC)
	}
	random(a.nonce[:])
	var pad [1 + maxPad]byte
	random(pad[:])
	question := appendRequest(nil, a.now(), a.nonce)
	packet := frame.Append(nil, a.result.Transport, question, pad[1:1+pad[0]%(maxPad+1)])
	a.up.XOR(packet, packet)
	out := append(wire[:], packet...)
	if a.result.Protocol == codec.TLS {
		out = faketls.AppendRecords([]byte("\x14\x03\x03\x00\x01\x01"), out, faketls.ClientPayload)
	}
	if _, err := a.conn.Write(out); err != nil {
		return &Error{Fault: AnswerClosed, cause: err}
	}
	if len(a.in) > 0 { // came behind the flight
		a.down.XOR(a.in, a.in)
	}
	return nil
}

// answer waits for the packet that answers the question.
func (a *call) answer() *Error {
	for len(a.in) < maxAnswer {
		packet, used, bad := frame.NextAnswer(a.result.Transport, a.in)
		switch {
		case bad == codec.ErrShort:
		case bad != nil || packet.Body == nil: // nobody asked for a quick ack
			return a.garbage()
		default:
			if code, ok := frame.TransportError(packet.Body); !ok || code != frame.Nop {
				return a.judge(packet.Body)
			}
			a.in = a.in[used:]
			continue
		}
		n, err := a.conn.Read(a.buf[:])
		if n == 0 && err != nil {
			if len(a.in) > 0 {
				return a.garbage()
			}
			return ended(err, AnswerClosed, AnswerSilent)
		}
		from := len(a.in)
		if bad := a.take(a.buf[:n]); bad != nil {
			return bad
		}
		a.down.XOR(a.in[from:], a.in[from:])
	}
	return a.garbage()
}

// take appends p to what came, without fake-TLS. p may be changed.
func (a *call) take(p []byte) *Error {
	if len(a.raw) < headSize {
		a.raw = append(a.raw, p[:min(len(p), headSize-len(a.raw))]...)
	}
	n := len(p)
	if a.result.Protocol == codec.TLS {
		var err error
		if n, err = a.records.Strip(p); err != nil {
			return &Error{Fault: AnswerGarbage, cause: err}
		}
	}
	a.in = append(a.in, p[:n]...)
	return nil
}

// garbage names bytes that are no packet.
func (a *call) garbage() *Error {
	if a.result.Protocol != codec.TLS && (bytes.HasPrefix(a.raw, []byte("HTTP/")) || isAlert(a.raw)) {
		return &Error{Fault: AnswerForeign}
	}
	return &Error{Fault: AnswerGarbage}
}

// judge looks at a whole packet. A wrong secret deciphers to packets too, of noise.
func (a *call) judge(body []byte) *Error {
	if code, ok := frame.TransportError(body); ok && code < 0 && code > -leastNoError {
		return &Error{Fault: TransportError, Code: code}
	}
	unix, err := parseAnswer(body, a.nonce)
	switch err {
	case nil:
		a.result.Ahead = time.Duration(a.now().Unix()-unix) * time.Second
		return nil
	case errPlain:
		return a.garbage()
	}
	return &Error{Fault: AnswerOther, cause: err}
}
