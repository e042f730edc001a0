package admin

import (
	"cmp"
	"slices"
	"time"
)

// Status is the state of a process at one moment. Numbers without Now count up since its start: rates are their
// differences over UptimeSeconds.
type Status struct {
	Version       string       `json:"version"`
	Commit        string       `json:"commit"`
	UptimeSeconds float64      `json:"uptime_seconds"`
	Ready         bool         `json:"ready"`
	ReadyWhy      string       `json:"ready_why,omitempty"` // why not
	Healthy       bool         `json:"healthy"`             // Telegram is within reach
	HealthyWhy    string       `json:"healthy_why,omitempty"`
	Draining      bool         `json:"draining"`
	Clients       Clients      `json:"clients"`
	Handshakes    Handshakes   `json:"handshakes"`
	Traffic       Traffic      `json:"traffic"`
	Datacenters   []Datacenter `json:"datacenters,omitempty"` // with streams, links or a past
	Fronts        []Front      `json:"fronts,omitempty"`
	Servers       []Peer       `json:"servers,omitempty"` // that we have links with
	Replay        Replay       `json:"replay"`
	Memory        Memory       `json:"memory"`
	Loops         []Loop       `json:"loops,omitempty"` // by number
	Busiest       Busiest      `json:"busiest"`
}

// Clients says how many there are.
type Clients struct {
	Now       uint64 `json:"now"`
	Limit     uint64 `json:"limit"`
	Strangers uint64 `json:"strangers"` // of now: those without a secret, in silence or at a front
	Ports     []Port `json:"ports,omitempty"`
}

// Port is one listener's share of the clients.
type Port struct {
	Name  string `json:"name"`
	Now   uint64 `json:"now"`
	Limit uint64 `json:"limit"` // 0 is none of its own
}

// Handshakes is what became of those who connected.
type Handshakes struct {
	Accepted  uint64            `json:"accepted"`            // connections
	Good      map[string]uint64 `json:"good"`                // by protocol: classic, secure, tls
	Refused   map[string]uint64 `json:"refused,omitempty"`   // at once, by reason
	Strangers map[string]uint64 `json:"strangers,omitempty"` // failed handshakes, by reason
	Closed    map[string]uint64 `json:"closed,omitempty"`    // sessions ended, by reason
}

// Traffic is bytes by side; up is from clients to Telegram.
type Traffic struct {
	ClientUpBytes     uint64 `json:"client_up_bytes"`
	ClientDownBytes   uint64 `json:"client_down_bytes"`
	TelegramUpBytes   uint64 `json:"telegram_up_bytes"`
	TelegramDownBytes uint64 `json:"telegram_down_bytes"`
	FrontUpBytes      uint64 `json:"front_up_bytes"` // between strangers and fronts
	FrontDownBytes    uint64 `json:"front_down_bytes"`
	QueuedBytes       uint64 `json:"queued_bytes"` // wait in memory now
}

// Datacenter is the way to one.
type Datacenter struct {
	Name             string            `json:"name"`               // 1, -1, 203, test, other
	Way              string            `json:"way"`                // of new clients: direct, middle, or mixed when the loops differ
	Streams          uint64            `json:"streams"`            // clients now, both ways together
	StreamsDirect    uint64            `json:"streams_direct"`     // of those, on a connection of their own
	Opened           uint64            `json:"opened"`             // streams since the start
	Links            map[string]uint64 `json:"links,omitempty"`    // to middle proxies now, by state
	RoundTripSeconds float64           `json:"round_trip_seconds"` // of the last answered ping, the longest of all loops; 0 is not known
}

// Front is a web site that strangers see.
type Front struct {
	Domain   string    `json:"domain"` // empty is the one for all others
	Target   string    `json:"target"`
	Measured time.Time `json:"measured,omitzero"`
	Error    string    `json:"error,omitempty"`    // what went wrong last
	Warnings []string  `json:"warnings,omitempty"` // what the operator should change
}

// Peer is another Epoxy: a back of ours, or a front server that we are the back of.
type Peer struct {
	Role      string `json:"role"`              // back or front
	Name      string `json:"name"`              // of a back its place, of a front server what its certificate says
	Up        bool   `json:"up"`                // there is a link, and a back is ready
	Links     uint64 `json:"links"`             // now
	Clients   uint64 `json:"clients,omitempty"` // of a front server, now
	UpBytes   uint64 `json:"up_bytes"`          // of links, inside TLS
	DownBytes uint64 `json:"down_bytes"`
}

// Replay is the store of handshakes seen.
type Replay struct {
	Entries  uint64 `json:"entries"`
	Capacity uint64 `json:"capacity"`
	Bytes    uint64 `json:"bytes"`
	Checks   uint64 `json:"checks"`
	Hits     uint64 `json:"hits"`
	Evicted  uint64 `json:"evicted"` // forgotten before their time
}

// Memory is that of the process.
type Memory struct {
	UsedBytes  uint64 `json:"used_bytes"`
	LimitBytes uint64 `json:"limit_bytes"` // 0 is none
}

// Loop is the load of one event loop.
type Loop struct {
	Clients   uint64  `json:"clients"` // now
	Accepted  uint64  `json:"accepted"`
	UpBytes   uint64  `json:"up_bytes"` // of its clients
	DownBytes uint64  `json:"down_bytes"`
	BusyShare float64 `json:"busy_share"` // of the last seconds, from 0 to 1; 0 when it is not known
}

// Busiest is the secrets with the most of something, ten at most.
type Busiest struct {
	ByBytes   []Secret `json:"by_bytes,omitempty"`
	ByClients []Secret `json:"by_clients,omitempty"`
}

// BusiestOf picks those of secrets that carried something and those that have clients now.
func BusiestOf(secrets []Secret) Busiest {
	return Busiest{
		ByBytes:   most(secrets, func(s Secret) uint64 { return s.UpBytes + s.DownBytes }),
		ByClients: most(secrets, func(s Secret) uint64 { return s.Clients }),
	}
}

func most(secrets []Secret, of func(Secret) uint64) []Secret {
	some := slices.DeleteFunc(slices.Clone(secrets), func(s Secret) bool { return of(s) == 0 })
	slices.SortStableFunc(some, func(a, b Secret) int { return cmp.Compare(of(b), of(a)) })
	return some[:min(len(some), busiest)]
}
