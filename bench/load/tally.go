package load

import "maps"

// Tally is what the clients of a lane did. Its loop owns it.
type Tally struct {
	Opened   uint64 // clients whose first echo came back
	Messages uint64 // echoes after that
	Down, Up uint64 // content bytes, verified
	Failed   uint64 // clients that ended otherwise than we wanted
	Opening  Histogram
	Echo     Histogram
	Faults   map[string]uint64 // why they failed
}

// activity grows with everything that moves.
func (t *Tally) activity() uint64 { return t.Opened + t.Messages + t.Down + t.Up + t.Failed }

func (t *Tally) fault(why string) {
	t.Failed++
	if t.Faults == nil {
		t.Faults = map[string]uint64{}
	}
	t.Faults[why]++
}

// merge adds what other did.
func (t *Tally) merge(other *Tally) {
	t.Opened += other.Opened
	t.Messages += other.Messages
	t.Down += other.Down
	t.Up += other.Up
	t.Failed += other.Failed
	t.Opening.Merge(&other.Opening)
	t.Echo.Merge(&other.Echo)
	if t.Faults == nil {
		t.Faults = map[string]uint64{}
	}
	for why, n := range other.Faults {
		t.Faults[why] += n
	}
}

// take returns what was done since the last take, but for the faults, which stay.
func (t *Tally) take() Tally {
	done := *t
	done.Faults = maps.Clone(t.Faults)
	*t = Tally{}
	return done
}
