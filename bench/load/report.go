package load

import "time"

// Report is what a run found.
type Report struct {
	Scenario string            `json:"scenario"`
	Protocol string            `json:"protocol"`
	Server   string            `json:"server"`
	Clients  int               `json:"clients"`
	Loops    int               `json:"loops"`
	Steps    []Step            `json:"steps"`
	Memory   []Memory          `json:"memory,omitempty"`
	Slope    *Slope            `json:"per_client,omitempty"`
	Crowd    *Crowd            `json:"strangers,omitempty"`
	Failed   uint64            `json:"failed"`
	Faults   map[string]uint64 `json:"faults,omitempty"`
}

// Step is one part of a run.
type Step struct {
	Name     string  `json:"name"`
	Seconds  float64 `json:"seconds"`
	Opened   uint64  `json:"opened,omitempty"`   // clients that came to their first answer
	Messages uint64  `json:"messages,omitempty"` // round trips
	Down     uint64  `json:"down_bytes,omitempty"`
	Up       uint64  `json:"up_bytes,omitempty"`
	Failed   uint64  `json:"failed"`
	Opening  Latency `json:"opening,omitzero"` // from connect to the first answer
	Echo     Latency `json:"echo,omitzero"`    // of round trips after that
	CPU      *CPU    `json:"cpu,omitempty"`    // of the measured processes
	LoadCPU  float64 `json:"load_cpu_seconds"` // of the load generator itself
}

// Latency is in milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// CPU is in seconds.
type CPU struct {
	User          float64 `json:"user"`
	System        float64 `json:"system"`
	Ran           float64 `json:"ran,omitempty"`                  // both, exact, where the kernel tells and no thread ended
	PerGB         float64 `json:"per_gb,omitempty"`               // 10^9 content bytes, down and up
	PerMillion    float64 `json:"per_million_messages,omitempty"` // round trips
	PerHandshakes float64 `json:"per_10k_handshakes,omitempty"`
}

// Memory is what the measured processes held at a moment, with so many clients connected.
type Memory struct {
	When    string `json:"when"`
	Clients int    `json:"clients"`
	Usage
	Heap   int64 `json:"go_heap,omitempty"` // bytes in use, of a proxy in Go whose metrics are known
	Kernel int64 `json:"kernel"`            // of the whole machine: KernelMemory
}

// Crowd is what strangers met and what they did to the clients, found by Strangers.
type Crowd struct {
	Answered  uint64  `json:"answered"` // probes
	Closed    uint64  `json:"closed"`   // probes without an answer
	Silent    uint64  `json:"silent"`   // probes with neither
	Refused   uint64  `json:"refused"`  // could not connect
	Ended     uint64  `json:"slow_ended"`
	PerSecond float64 `json:"answered_per_second"`
	AnswerP50 float64 `json:"answer_p50_ms"`
	AnswerP99 float64 `json:"answer_p99_ms"`
	AloneP50  float64 `json:"alone_p50_ms"` // of the clients' round trips, the mean of before and after
	AloneP99  float64 `json:"alone_p99_ms"`
	BesideP50 float64 `json:"beside_p50_ms"`
	BesideP99 float64 `json:"beside_p99_ms"`
	Change    float64 `json:"p99_change_percent"`
	RSS       int64   `json:"beside_rss"`     // bytes of the measured processes, at the end of the strangers' time
	RSSGrowth int64   `json:"rss_growth"`     // since its beginning
	CPU       float64 `json:"beside_cores"`   // of the measured processes; 1 is a whole core
	CPUAlone  float64 `json:"alone_cores"`    // before
	PerProbe  float64 `json:"cpu_us_a_probe"` // of the measured processes, more than alone
}

// Slope is bytes per client of the measured processes, found by Idle and Stall.
type Slope struct {
	RSS       float64 `json:"rss"` // least squares over the quarters of Idle; else from before to open
	Anon      float64 `json:"rss_anon"`
	LaterRSS  float64 `json:"later_rss"` // from before to after the silence, or to when the readers have stalled
	LaterAnon float64 `json:"later_rss_anon"`
	Heap      float64 `json:"go_heap,omitempty"` // from before to later
	Kernel    float64 `json:"kernel"`            // half of the machine's, from before to later: of two ends on loopback one is the proxy's
}

func newReport(c *Config) *Report {
	return &Report{
		Scenario: c.Scenario.String(), Protocol: c.Protocol.String(), Server: c.Server.String(),
		Clients: c.Clients, Loops: c.Loops,
	}
}

// OK reports whether every client did all it should and every byte was right.
func (r *Report) OK() bool { return r.Failed == 0 }

func newStep(name string, took time.Duration, t *Tally) Step {
	return Step{
		Name: name, Seconds: took.Seconds(), Opened: t.Opened, Messages: t.Messages, Down: t.Down, Up: t.Up,
		Failed: t.Failed, Opening: latency(&t.Opening), Echo: latency(&t.Echo),
	}
}

func latency(h *Histogram) Latency {
	if h.Count() == 0 {
		return Latency{}
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return Latency{P50: ms(h.Quantile(0.5)), P99: ms(h.Quantile(0.99)), P999: ms(h.Quantile(0.999)), Max: ms(h.Max())}
}

// measured sets the CPU time between two measurements. messages says that round trips are what it was spent on.
func (s *Step) measured(before, after Usage, messages bool) {
	c := &CPU{User: (after.User - before.User).Seconds(), System: (after.System - before.System).Seconds()}
	if d := after.Ran - before.Ran; before.Ran > 0 && d > 0 && d >= after.CPU()-before.CPU()-2*clockTick {
		c.Ran = d.Seconds()
	}
	per := func(n uint64, unit float64) float64 {
		if n == 0 {
			return 0
		}
		return (c.User + c.System) / float64(n) * unit
	}
	c.PerGB = per(s.Down+s.Up, 1e9)
	if messages {
		c.PerMillion = per(s.Messages, 1e6)
	}
	c.PerHandshakes = per(s.Opened, 1e4)
	s.CPU = c
}

// Cores is the part of a core that the measured processes took in the step, 0 when they were not measured.
func (s *Step) Cores() float64 {
	if s.CPU == nil || s.Seconds <= 0 {
		return 0
	}
	if s.CPU.Ran > 0 {
		return s.CPU.Ran / s.Seconds
	}
	return (s.CPU.User + s.CPU.System) / s.Seconds
}

// add takes a finished step.
func (r *Report) add(s Step, t *Tally) {
	r.Steps = append(r.Steps, s)
	r.Failed += t.Failed
	for why, n := range t.Faults {
		if r.Faults == nil {
			r.Faults = map[string]uint64{}
		}
		r.Faults[why] += n
	}
}

// sum sets Slope from Memory, when there is enough of it.
func (r *Report) sum() {
	var open []Memory
	var before, later *Memory
	for i, m := range r.Memory {
		switch {
		case m.When == "before":
			before = &r.Memory[i]
		case m.When == "settled", m.When == "stalled":
			later = &r.Memory[i]
		case m.Clients > 0 && len(m.When) >= 4 && m.When[:4] == "open":
			open = append(open, m)
		}
	}
	if before == nil || later == nil || later.Clients == 0 {
		return
	}
	if len(open) == 1 {
		open = append(open, *before)
	}
	r.Slope = &Slope{
		RSS:       slope(open, func(m Memory) int64 { return m.RSS }),
		Anon:      slope(open, func(m Memory) int64 { return m.Anon }),
		LaterRSS:  float64(later.RSS-before.RSS) / float64(later.Clients),
		LaterAnon: float64(later.Anon-before.Anon) / float64(later.Clients),
		Heap:      float64(later.Heap-before.Heap) / float64(later.Clients),
		Kernel:    float64(later.Kernel-before.Kernel) / float64(later.Clients) / 2,
	}
}

// slope is the least-squares slope of a value over the number of clients.
func slope(all []Memory, value func(Memory) int64) float64 {
	var x, y, xx, xy float64
	for _, m := range all {
		c, v := float64(m.Clients), float64(value(m))
		x, y, xx, xy = x+c, y+v, xx+c*c, xy+c*v
	}
	n := float64(len(all))
	if d := n*xx - x*x; d != 0 {
		return (n*xy - x*y) / d
	}
	return 0
}
