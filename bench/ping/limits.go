package ping

import "time"

// Timeout is what each step gets unless Options say otherwise: what a proxy needs to find out that a datacenter is away.
const Timeout = 10 * time.Second

const (
	mostAtOnce   = 8               // connections at the same time: a browser opens as many, so no proxy minds
	maxFlight    = 32 << 10        // bytes of an answer to the hello that are looked at; a flight has fewer
	maxAnswer    = 4 << 10         // bytes that may come before an answer is whole; a resPQ has about 100
	maxPad       = 15              // bytes of padding behind a request, as TDLib (spec client-protocols 2.1)
	clockSlack   = 2 * time.Minute // clocks nearer than this are one: the strictest proxies take 2 minutes
	leastNoError = 1000            // transport errors are -1 to -999 (spec client-protocols 2.4)
	headSize     = 16              // raw bytes of an answer that are kept to tell what other program sent it
)
