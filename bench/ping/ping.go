// Package ping asks datacenters a real question through any MTProxy and says which step failed, and why.
//
// The question is req_pq_multi, the first message of every Telegram app that has no key yet: no account is needed and
// none is touched. A ping is one connection, in steps:
//
//	dial > tls (fake-TLS only) > opening > answer
//
// It is a tool on blocking sockets, not the engine.
package ping

import (
	"context"
	"crypto/rand"
	"net"
	"sync"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/codec/secret"
)

// Target is the proxy: what a link says.
type Target struct {
	Host   string // a name or an address, IPv6 without brackets
	Port   int
	Secret secret.Secret // its kind is Options.Protocols' default, its domain the SNI
}

// Options says what to ask. The zero value asks DCs 1 to 5, once, in the protocol of the secret's kind.
type Options struct {
	DCs       []codec.DC
	Protocols []codec.Protocol // Classic is asked in both its framings
	Count     int              // rounds, one after another
	Timeout   time.Duration    // of one step
	Skew      time.Duration    // added to this machine's clock

	// Dial connects; nil is net.Dialer's.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// The names of the steps.
const (
	StepDial    = "dial"    // name lookup and TCP connect
	StepTLS     = "tls"     // hello sent, the flight came and proves that the proxy has the secret
	StepOpening = "opening" // opening and question sent, in one write as apps do; says nothing about the proxy yet
	StepAnswer  = "answer"  // the resPQ to our nonce came
)

// Step is one part of a ping. Err is nil or an *Error, and then the step is the last one.
type Step struct {
	Name string
	Took time.Duration
	Err  error
}

// Result is one ping.
type Result struct {
	Round     int // 1 and up
	DC        codec.DC
	Protocol  codec.Protocol
	Transport codec.Transport
	Steps     []Step
	OK        bool
	Ahead     time.Duration // this machine's clock before Telegram's, give or take a second; known when OK
}

// Took returns the time of all steps.
func (r *Result) Took() (sum time.Duration) {
	for _, s := range r.Steps {
		sum += s.Took
	}
	return sum
}

// Failed returns the step that failed and why; a nil error for none.
func (r *Result) Failed() (string, *Error) {
	if len(r.Steps) == 0 {
		return "", nil
	}
	last := r.Steps[len(r.Steps)-1]
	e, _ := last.Err.(*Error)
	return last.Name, e
}

// ProtocolOf returns the protocol that apps speak with a secret of kind k (spec client-protocols 3.2).
func ProtocolOf(k secret.Kind) codec.Protocol {
	switch k {
	case secret.Plain:
		return codec.Classic
	case secret.Padded:
		return codec.Secure
	case secret.FakeTLS:
		return codec.TLS
	}
	return codec.ProtocolNone
}

// Run pings and returns the results by round, datacenter and protocol, in the order of o. Several connections are made
// at the same time. When ctx ends, what is not done yet fails with Interrupted.
func Run(ctx context.Context, t Target, o Options) []Result {
	o.complete(&t)
	c := caller{target: &t, options: &o}
	var err error
	if c.shares, err = faketls.NewShares(random); err != nil {
		panic(err) // seeds of the right length make keys
	}
	var all []Result
	for round := 1; round <= o.Count; round++ {
		all = append(all, c.round(ctx, round)...)
	}
	conclude(all)
	return all
}

func (o *Options) complete(t *Target) {
	if len(o.DCs) == 0 {
		o.DCs = []codec.DC{1, 2, 3, 4, 5}
	}
	if len(o.Protocols) == 0 {
		o.Protocols = []codec.Protocol{ProtocolOf(t.Secret.Kind)}
	}
	if o.Timeout <= 0 {
		o.Timeout = Timeout
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	o.Count = max(o.Count, 1)
}

// round pings everything once.
func (c *caller) round(ctx context.Context, round int) []Result {
	var results []Result
	for _, dc := range c.options.DCs {
		for _, p := range c.options.Protocols {
			for _, t := range transports(p) {
				results = append(results, Result{Round: round, DC: dc, Protocol: p, Transport: t})
			}
		}
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, mostAtOnce)
	for i := range results {
		slots <- struct{}{}
		all.Go(func() {
			c.ping(ctx, &results[i])
			<-slots
		})
	}
	all.Wait()
	return results
}

// transports returns the framings of a protocol (spec client-protocols 1.3).
func transports(p codec.Protocol) []codec.Transport {
	switch p {
	case codec.Classic:
		return []codec.Transport{codec.Abridged, codec.Intermediate}
	case codec.Secure, codec.TLS:
		return []codec.Transport{codec.Padded}
	case codec.ProtocolNone:
	}
	return nil
}

func random(p []byte) { _, _ = rand.Read(p) } // never fails
