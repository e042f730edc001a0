package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/bench/ping"
	"epoxy/codec"
)

// pinged is what epoxy ping prints.
type pinged struct {
	server, secret string // as they may be shown
	results        []ping.Result
}

// clockNote is from where on a difference of the clocks is worth a line: middle proxies refuse more.
const clockNote = 30 * time.Second

var pingSteps = []string{ping.StepDial, ping.StepTLS, ping.StepOpening, ping.StepAnswer}

func (p *pinged) failed() (n int) {
	for _, r := range p.results {
		if !r.OK {
			n++
		}
	}
	return n
}

// writeText prints a row for each ping, then each kind of failure once.
func (p *pinged) writeText(w io.Writer) {
	fmt.Fprintf(w, "%s, %s\n\n", p.server, p.secret)
	const row = "%-6s %-20s %9s %9s %9s %9s %9s  %s\n"
	fmt.Fprintf(w, row, "DC", "PROTOCOL", "DIAL", "TLS", "OPENING", "ANSWER", "ALL", "RESULT")
	var ahead time.Duration
	for i := range p.results {
		r := &p.results[i]
		cells := []any{strconv.Itoa(int(r.DC)), protocolText(r)}
		for _, name := range pingSteps {
			cells = append(cells, stepTime(r, name))
		}
		result := "ok"
		if step, e := r.Failed(); e != nil {
			result = step + " failed, " + strings.ReplaceAll(e.Fault.String(), "_", " ")
		} else {
			ahead = r.Ahead
		}
		fmt.Fprintf(w, row, append(cells, milliseconds(r.Took()), result)...)
	}
	for _, f := range p.failures() {
		fmt.Fprintf(w, "\n%s\n  %s\n", f.who(), f.why)
	}
	if ahead.Abs() >= clockNote {
		fmt.Fprintf(w, "\nThis machine's clock and Telegram's differ by %s; fake-TLS and middle proxies need right clocks.\n", ahead.Abs())
	}
}

// failure is one way to fail, and who did.
type failure struct {
	head, step, why string
	dcs             []codec.DC
}

// failures returns those of all results, each once.
func (p *pinged) failures() (all []*failure) {
	found := map[[3]string]*failure{}
	for i := range p.results {
		r := &p.results[i]
		step, e := r.Failed()
		if e == nil {
			continue
		}
		key := [3]string{r.Protocol.String() + " to DC ", step, e.Error()}
		if step == ping.StepDial { // comes before any protocol
			key[0] = "DC "
		}
		f := found[key]
		if f == nil {
			f = &failure{head: key[0], step: step, why: e.Error()}
			found[key] = f
			all = append(all, f)
		}
		if !slices.Contains(f.dcs, r.DC) {
			f.dcs = append(f.dcs, r.DC)
		}
	}
	return all
}

func (f *failure) who() string {
	var dcs []string
	for _, dc := range f.dcs {
		dcs = append(dcs, strconv.Itoa(int(dc)))
	}
	return fmt.Sprintf("%s%s failed at %s:", f.head, strings.Join(dcs, ", "), f.step)
}

func protocolText(r *ping.Result) string {
	if r.Protocol == codec.Classic {
		return r.Protocol.String() + ", " + r.Transport.String()
	}
	return r.Protocol.String()
}

// stepTime returns how long a step of r took, "-" for one that was not done.
func stepTime(r *ping.Result, name string) string {
	for _, s := range r.Steps {
		if s.Name == name {
			return milliseconds(s.Took)
		}
	}
	return "-"
}

func milliseconds(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// The shape of --json.
type (
	pingJSON struct {
		Server  string       `json:"server"`
		Secret  string       `json:"secret"` // masked
		OK      bool         `json:"ok"`
		Results []resultJSON `json:"results"`
	}
	resultJSON struct {
		Round     int        `json:"round"`
		DC        codec.DC   `json:"dc"`
		Protocol  string     `json:"protocol"`
		Transport string     `json:"transport"`
		OK        bool       `json:"ok"`
		Ms        float64    `json:"ms"`
		Ahead     *float64   `json:"clock_ahead_seconds,omitempty"` // with ok
		Steps     []stepJSON `json:"steps"`
	}
	stepJSON struct {
		Step  string  `json:"step"`
		Ms    float64 `json:"ms"`
		Fault string  `json:"fault,omitempty"`
		Code  int32   `json:"code,omitempty"` // of a transport_error
		Error string  `json:"error,omitempty"`
	}
)

func (p *pinged) writeJSON(w io.Writer) error {
	out := pingJSON{Server: p.server, Secret: p.secret, OK: p.failed() == 0, Results: []resultJSON{}}
	for i := range p.results {
		r := &p.results[i]
		row := resultJSON{
			Round: r.Round, DC: r.DC, Protocol: r.Protocol.String(), Transport: r.Transport.String(), OK: r.OK, Ms: rounded(r.Took()),
		}
		if r.OK {
			ahead := r.Ahead.Seconds()
			row.Ahead = &ahead
		}
		for _, s := range r.Steps {
			row.Steps = append(row.Steps, stepJSON{Step: s.Name, Ms: rounded(s.Took)})
		}
		if _, e := r.Failed(); e != nil {
			last := &row.Steps[len(row.Steps)-1]
			last.Fault, last.Code, last.Error = e.Fault.String(), e.Code, e.Error()
		}
		out.Results = append(out.Results, row)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(out)
}

// rounded returns d in milliseconds, to a microsecond.
func rounded(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
