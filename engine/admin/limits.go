package admin

import "time"

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 2 * time.Minute // a CPU profile or trace of up to 110 s fits
	idleTimeout   = 1 * time.Minute
	closeTimeout  = 2 * time.Second // for requests under way when the door closes
	probeTimeout  = 1 * time.Second // to learn whether a unix socket is in use
	maxHeader     = 8 << 10         // bytes
	socketMode    = 0o600           // of the unix socket: whoever opens it sees all
)
