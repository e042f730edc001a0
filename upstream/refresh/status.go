package refresh

import "time"

// Kind is one of the things that are refreshed, each by itself.
type Kind uint8

// The kinds.
const (
	Secret Kind = iota
	ConfigV4
	ConfigV6
	OwnV4 // our own public addresses, by lookup services
	OwnV6
	Kinds int = iota
)

// String returns the log word and metric label.
func (k Kind) String() string {
	switch k {
	case Secret:
		return "secret"
	case ConfigV4:
		return "config_v4"
	case ConfigV6:
		return "config_v6"
	case OwnV4:
		return "own_v4"
	case OwnV6:
		return "own_v6"
	}
	return "unknown"
}

// Status is what there is to tell, for metrics and tables. It is never changed.
type Status struct {
	Generation uint64 // of the current snapshot, 0 without one
	Skew       time.Duration
	SkewAt     time.Time // when Skew was seen; zero while unknown. Skew is above 0 when our clock is ahead
	Forced     uint64    // refreshes of the secret that Force got through
	Resources  [Kinds]Resource
}

// Resource is the state of one Kind. Counters are since the start.
type Resource struct {
	Wanted    bool      // it has a source
	Good      time.Time // when it was last fetched and found right, by a former process too; zero for never
	FromCache bool      // what is in use was read from the state directory
	Successes uint64
	Failures  uint64
	InRow     int       // failures since the last success
	Err       string    // what the last failure was; empty after a success
	Next      time.Time // when it is fetched again, or a file looked at
}

// Age returns the time since Good, or 0 when there never was one.
func (r Resource) Age(now time.Time) time.Duration {
	if r.Good.IsZero() {
		return 0
	}
	return now.Sub(r.Good)
}
