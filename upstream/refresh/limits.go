package refresh

import "time"

// When to look again (spec upstream-protocols 1.4).
const (
	interval   = time.Hour
	jitterPart = 10              // interval ± a tenth
	forceGap   = time.Minute     // between two forced refreshes of the secret
	oldSecret  = 24 * time.Hour  // how long a replaced secret may still be tried
	watchEvery = 2 * time.Second // ours: a look at each file; a change is read when it lasts for two looks
)

// retries are the waits after the first, second, ... failure in a row; the last one stays
// (spec upstream-protocols 1.4).
var retries = [...]time.Duration{5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute}

// Limits of one download. The bodies' own limits are in dcmap.
const (
	dialTime     = 5 * time.Second
	tlsTime      = 5 * time.Second
	headerTime   = 10 * time.Second
	requestTime  = 20 * time.Second // with the whole body
	maxHeader    = 64 << 10         // bytes
	maxRedirects = 3
	maxLiteral   = 64              // bytes of a lookup service's answer
	maxTrip      = 5 * time.Second // a slower answer says nothing about the clock
)

// Clock skew: a middle proxy refuses more than 30 s; aim for less than 5 s (spec upstream-protocols 2.3).
const (
	skewWarn  = 5 * time.Second
	skewError = 30 * time.Second
)

// tempAge is when a temporary file in the state directory belongs to a process that died.
const tempAge = time.Minute
