package compare

import (
	"fmt"
	"strconv"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// Sizes is how much of everything.
type Sizes struct {
	Scale      float64 `json:"scale"`       // of bytes, messages and handshakes; 1 is the real thing
	Idle       int     `json:"idle"`        // clients of a proxy with two sockets for each
	IdleMiddle int     `json:"idle_middle"` // of one with middle proxies
	Reconnect  int     `json:"reconnect"`   // clients who come back at once, to a proxy with two sockets for each

	ReconnectMiddle int           `json:"reconnect_middle"` // and to one with middle proxies
	Settle          time.Duration `json:"settle_ns"`        // silence of idle clients
	Stall           time.Duration `json:"stall_ns"`         // how long readers stop
	Clients         int           `json:"busy_clients"`     // of handshake and small; bulk has half of them
}

// spareFiles is what a proxy with N clients needs beside their sockets.
const spareFiles = 2000

// DefaultSizes is the real thing as far as so many descriptors for each process allow.
func DefaultSizes(files int) Sizes {
	pairs := max(100, (files-spareFiles)/2)
	return Sizes{
		Scale: 1, Idle: min(10_000, pairs), IdleMiddle: min(18_000, max(100, files-spareFiles)),
		Reconnect: min(10_000, pairs), ReconnectMiddle: min(10_000, max(100, files-spareFiles)),
		Settle: 65 * time.Second, Stall: 5 * time.Second, Clients: 64,
	}
}

func (s Sizes) most() int { return max(s.Idle, s.Reconnect) }

func (s Sizes) of(n float64) string { return strconv.Itoa(max(1, int(n*s.Scale))) }

// bytes is a multiple of 4, as downloads are.
func (s Sizes) bytes(n float64) string { return strconv.Itoa(max(4, int(n*s.Scale)&^3)) }

func (s Sizes) time(d time.Duration) string {
	return max(time.Duration(float64(d)*s.Scale), time.Millisecond).String()
}

// Case is one piece of work.
type Case struct {
	Name  string
	Title string
	Args  func(rig.Mode, Sizes) []string // of epoxy-bench load
	Rows  []Row
}

// Row is one figure that a case gives.
type Row struct {
	Title, Unit string
	Get         func(*load.Report) (v float64, ok bool)
}

// All returns every case, in the order of the table.
func All() []Case {
	return []Case{bulk("down", "Download"), bulk("up", "Upload"), small, paced, handshake, idle, stall, reconnect}
}

func bulk(direction, title string) Case {
	return Case{
		Name: direction, Title: title,
		Args: func(_ rig.Mode, s Sizes) []string {
			return []string{"bulk", "--clients", strconv.Itoa(max(1, s.Clients/2)), "--bytes", s.bytes(60e6), "--window", "512Ki", "--direction", direction}
		},
		Rows: []Row{{"CPU per GB", "CPU s", cpu(direction, func(c *load.CPU) float64 { return c.PerGB })}},
	}
}

var small = Case{
	Name: "small", Title: "Round trips of 200 B",
	Args: func(_ rig.Mode, s Sizes) []string {
		return []string{"small", "--clients", strconv.Itoa(s.Clients), "--messages", s.of(200_000), "--duration", "5m"}
	},
	Rows: append([]Row{{"CPU per million", "CPU s", cpu("small", func(c *load.CPU) float64 { return c.PerMillion })}}, latencies("small", echo)...),
}

var paced = Case{
	Name: "paced", Title: "5,000 round trips of 200 B a second",
	Args: func(_ rig.Mode, s Sizes) []string {
		return []string{"paced", "--clients", strconv.Itoa(s.Clients), "--rate", "5000", "--duration", s.time(10 * time.Second)}
	},
	Rows: append([]Row{{"CPU per million", "CPU s", cpu("paced", func(c *load.CPU) float64 { return c.PerMillion })}}, latencies("paced", echo)...),
}

var handshake = Case{
	Name: "handshake", Title: "Handshake and one round trip",
	Args: func(_ rig.Mode, s Sizes) []string {
		return []string{"handshake", "--clients", strconv.Itoa(s.Clients), "--total", s.of(10_000)}
	},
	Rows: append([]Row{{"CPU per 10,000", "CPU s", cpu("handshake", func(c *load.CPU) float64 { return c.PerHandshakes })}}, latencies("handshake", opening)...),
}

var idle = Case{
	Name: "idle", Title: "Idle clients",
	Args: func(m rig.Mode, s Sizes) []string {
		n := s.Idle
		if m == rig.Middle {
			n = s.IdleMiddle
		}
		return []string{"idle", "--clients", strconv.Itoa(n), "--settle", s.Settle.String()}
	},
	Rows: []Row{
		{rowResident, "B", slope(func(s *load.Slope) float64 { return s.LaterRSS })},
		{"Go heap per client", "B", func(r *load.Report) (float64, bool) {
			if r.Slope == nil || r.Slope.Heap == 0 {
				return 0, false
			}
			return r.Slope.Heap, true
		}},
		{"kernel memory per client", "B", slope(func(s *load.Slope) float64 { return s.Kernel })},
		{"CPU while all are silent", "% of a core", func(r *load.Report) (float64, bool) {
			s, ok := step(r, "idle")
			return s.Cores() * 100, ok && s.CPU != nil && s.Seconds >= 1
		}},
	},
}

var stall = Case{
	Name: "stall", Title: "24 readers who ask for 16.8 MB each and stop",
	Args: func(_ rig.Mode, s Sizes) []string {
		return []string{"stall", "--clients", "24", "--bytes", s.bytes(16.8e6), "--duration", s.Stall.String()}
	},
	Rows: []Row{
		{rowGrowth, "MB", func(r *load.Report) (float64, bool) {
			before, ok1 := memory(r, "open")
			after, ok2 := memory(r, "stalled")
			return float64(after.RSS-before.RSS) / 1e6, ok1 && ok2
		}},
		{"neighbours alone, p99", "ms", latency("alone", echo, func(l load.Latency) float64 { return l.P99 })},
		{rowBeside, "ms", latency("stalled", echo, func(l load.Latency) float64 { return l.P99 })},
		{"readers cut off", "", func(r *load.Report) (float64, bool) { return float64(r.Failed), true }},
	},
}

var reconnect = Case{
	Name: "reconnect", Title: "Clients who all come back in the same moment",
	Args: func(m rig.Mode, s Sizes) []string {
		n := s.Reconnect
		if m == rig.Middle {
			n = s.ReconnectMiddle
		}
		return []string{"reconnect", "--clients", strconv.Itoa(n)}
	},
	Rows: append([]Row{{rowLast, "s", func(r *load.Report) (float64, bool) {
		s, ok := step(r, "reconnect")
		return s.Seconds, ok
	}}}, latencies("reconnect", opening)...),
}

func echo(s load.Step) load.Latency    { return s.Echo }
func opening(s load.Step) load.Latency { return s.Opening }

// latencies are three rows of a step.
func latencies(name string, of func(load.Step) load.Latency) []Row {
	return []Row{
		{"p50", "ms", latency(name, of, func(l load.Latency) float64 { return l.P50 })},
		{"p99", "ms", latency(name, of, func(l load.Latency) float64 { return l.P99 })},
		{"p99.9", "ms", latency(name, of, func(l load.Latency) float64 { return l.P999 })},
	}
}

func latency(name string, of func(load.Step) load.Latency, get func(load.Latency) float64) func(*load.Report) (float64, bool) {
	return func(r *load.Report) (float64, bool) {
		s, ok := step(r, name)
		l := of(s)
		return get(l), ok && l != (load.Latency{})
	}
}

func cpu(name string, get func(*load.CPU) float64) func(*load.Report) (float64, bool) {
	return func(r *load.Report) (float64, bool) {
		s, ok := step(r, name)
		if !ok || s.CPU == nil {
			return 0, false
		}
		return get(s.CPU), true
	}
}

func slope(get func(*load.Slope) float64) func(*load.Report) (float64, bool) {
	return func(r *load.Report) (float64, bool) {
		if r.Slope == nil {
			return 0, false
		}
		return get(r.Slope), true
	}
}

func step(r *load.Report, name string) (load.Step, bool) {
	for _, s := range r.Steps {
		if s.Name == name {
			return s, true
		}
	}
	return load.Step{}, false
}

func memory(r *load.Report, when string) (load.Memory, bool) {
	for _, m := range r.Memory {
		if m.When == when {
			return m, true
		}
	}
	return load.Memory{}, false
}

// Find returns cases by name.
func Find(names []string) (found []Case, err error) {
	for _, name := range names {
		i := -1
		for j, c := range All() {
			if c.Name == name {
				i = j
			}
		}
		if i < 0 {
			return nil, fmt.Errorf("compare: %q is none of down, up, small, paced, handshake, idle, stall, reconnect", name)
		}
		found = append(found, All()[i])
	}
	return found, nil
}
