package admin

import "time"

const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second // of a whole request; an import of MaxBody over loopback takes well below 1 s
	writeTimeout  = 2 * time.Minute  // a CPU profile or trace of up to 110 s fits
	idleTimeout   = 1 * time.Minute
	closeTimeout  = 2 * time.Second // for requests under way when the door closes
	probeTimeout  = 1 * time.Second // to learn whether a unix socket is in use
	maxHeader     = 8 << 10         // bytes
	socketMode    = 0o600           // of the unix socket: whoever opens it sees all
	maxConns      = 256             // at once
	maxDrain      = 7 * 24 * time.Hour
	busiest       = 10 // secrets in each list of Status
)

// MaxBody is how many bytes a request of the API may bring.
const MaxBody = 16 << 20
