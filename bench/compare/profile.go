package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"epoxy/bench/load"
	"epoxy/bench/rig"
)

// Profile is where Epoxy's CPU time went.
type Profile struct {
	Title   string      `json:"title"`
	Machine rig.Machine `json:"machine"`
	When    time.Time   `json:"when"`
	Runs    int         `json:"runs"`
	Sizes   Sizes       `json:"sizes"`
	CPUs    [2]string   `json:"cpus_proxy_and_load"`
	Work    []Work      `json:"work"`
}

// Work is a case with a proxy.
type Work struct {
	Case    string  `json:"case"`
	Title   string  `json:"title"`
	Proxy   string  `json:"proxy"`
	Cost    Figure  `json:"cost"`            // CPU seconds, without the profiler
	Calls   *Calls  `json:"calls,omitempty"` // also without
	Samples int64   `json:"profiled_ms"`     // CPU time that the shares are of, in all rounds
	Shares  []Share `json:"shares"`          // what took nothing is not in it
}

// Calls is what the kernel counts of a process in /proc/PID/io: read(2) and write(2) and their kin, not recv(2) and send(2), which
// Epoxy does not use. Calls that found nothing count too.
type Calls struct {
	Per      string  `json:"per"` // "MB", "round trip", "connection"
	Reads    float64 `json:"reads"`
	Writes   float64 `json:"writes"`
	PerRead  float64 `json:"bytes_per_read"`
	PerWrite float64 `json:"bytes_per_write"`
}

// ProfileTitle says what a profile without a title of its own is.
const ProfileTitle = "Where Epoxy's CPU time goes"

// Profiled says whether a case can be profiled, by the work that calls are counted for.
func Profiled(name string) (per string, amount func(load.Step) float64, ok bool) {
	switch name {
	case "down", "up":
		return "MB", func(s load.Step) float64 { return float64(s.Down+s.Up) / 1e6 }, true
	case "small", "paced":
		return "round trip", func(s load.Step) float64 { return float64(s.Messages) }, true
	case "handshake":
		return "connection", func(s load.Step) float64 { return float64(s.Opened) }, true
	}
	return "", nil, false
}

// RunProfile plays each case twice with each Epoxy, alone and while its operator's door takes a CPU profile, and writes profile.json into
// o.Out. The samples of all rounds are summed.
func RunProfile(ctx context.Context, o Options) (*Profile, error) {
	o.Alone, o.Others = true, nil
	tg, err := o.Rig.StartTelegram(ctx)
	if err != nil {
		return nil, err
	}
	defer tg.Stop()
	var r Result
	if err := r.invite(&o, tg); err != nil {
		return nil, err
	}
	if o.Title == "" {
		o.Title = ProfileTitle
	}
	p := &Profile{
		Title: o.Title, Machine: rig.ThisMachine(), When: time.Now().UTC().Truncate(time.Second), Runs: o.Runs,
		Sizes: Sizes{Scale: o.Sizes.Scale, Clients: o.Sizes.Clients}, CPUs: [2]string{o.Rig.ProxyCPU, o.Rig.LoadCPU},
	}
	fmt.Fprintln(o.Log, p.Machine)
	found := make([]finding, len(o.Cases)*len(r.Proxies))
	for round := 1; round <= o.Runs; round++ {
		for i, c := range o.Cases {
			for j := range r.Proxies {
				f := &found[i*len(r.Proxies)+j]
				if err := f.add(ctx, &o, c, &r.Proxies[j]); err != nil {
					return nil, fmt.Errorf("compare: round %d, %s, %s: %w", round, c.Name, r.Proxies[j].Name, err)
				}
				fmt.Fprintf(o.Log, "round %d of %d, %s, %s\n", round, o.Runs, c.Name, r.Proxies[j].Name)
			}
		}
	}
	for i, c := range o.Cases {
		for j := range r.Proxies {
			p.Work = append(p.Work, found[i*len(r.Proxies)+j].work(c, r.Proxies[j].Name))
		}
	}
	return p, saveJSON(filepath.Join(o.Out, "profile.json"), p)
}

// finding is what rounds found of a case with a proxy.
type finding struct {
	cost    []float64
	amount  float64 // of work
	io      ioCount
	samples []sample
}

var errFailed = errors.New("clients failed")

// add plays the case twice with a fresh proxy. A run in which clients fail is no measurement, so nothing is written then.
func (f *finding) add(ctx context.Context, o *Options, c Case, p *rig.Proxy) error {
	child, err := o.Rig.StartProxy(ctx, p)
	if err != nil {
		return err
	}
	defer child.Stop()
	quiet := *p
	quiet.Metrics = "" // whose reading would count as calls
	play := func() (*load.Report, error) {
		report, err := o.Rig.Load(ctx, &quiet, child.PID(), c.Args(p.Mode, o.Sizes)...)
		if err == nil && !report.OK() {
			err = fmt.Errorf("%w: %d, %v", errFailed, report.Failed, report.Faults)
		}
		return report, err
	}
	before, began := readIO(child.PID()), time.Now()
	report, err := play()
	if err != nil {
		return err
	}
	length := time.Since(began)
	f.io.add(before, readIO(child.PID()))
	if cost, ok := c.Rows[0].Get(report); ok {
		f.cost = append(f.cost, cost)
	}
	_, amount, _ := Profiled(c.Name)
	if s, ok := step(report, c.Name); ok {
		f.amount += amount(s)
	}
	// The profile has to last longer than the work; time in which Epoxy waits gives it no samples.
	taken := make(chan error, 1)
	var samples []sample
	go func() {
		var err error
		samples, err = fetchProfile(ctx, strings.TrimSuffix(p.Metrics, "/metrics"), length+length/2+profileSpare)
		taken <- err
	}()
	_, err = play()
	if taken := <-taken; err == nil {
		err = taken
	}
	f.samples = append(f.samples, samples...)
	return err
}

// profileSpare is how much longer a profile lasts than one and a half times the work.
const profileSpare = 2 * time.Second

func (f *finding) work(c Case, proxy string) Work {
	w := Work{Case: c.Name, Title: c.Title, Proxy: proxy, Cost: Figure{Title: c.Rows[0].Title, Unit: c.Rows[0].Unit}, Shares: shares(f.samples)}
	if len(f.cost) > 0 {
		w.Cost.By = []Spread{spread(proxy, f.cost)}
	}
	for _, s := range f.samples {
		w.Samples += s.ns / int64(time.Millisecond)
	}
	if n := f.io; f.amount > 0 && n.reads > 0 && n.writes > 0 {
		per, _, _ := Profiled(c.Name)
		w.Calls = &Calls{Per: per, Reads: n.reads / f.amount, Writes: n.writes / f.amount, PerRead: n.in / n.reads, PerWrite: n.out / n.writes}
	}
	return w
}

// fetchProfile asks the operator's door for a CPU profile of so long.
func fetchProfile(ctx context.Context, door string, d time.Duration) ([]sample, error) {
	url := door + "/debug/pprof/profile?seconds=" + strconv.Itoa(int(math.Ceil(d.Seconds())))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("compare: profile: %w", err)
	}
	req.Close = true
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("compare: profile: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("compare: profile: %w", err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("compare: profile: %s: %s", answer.Status, bytes.TrimSpace(text))
	}
	return readPprof(text)
}

// ioCount is of /proc/PID/io.
type ioCount struct{ reads, writes, in, out float64 }

func (n *ioCount) add(before, after ioCount) {
	n.reads += after.reads - before.reads
	n.writes += after.writes - before.writes
	n.in += after.in - before.in
	n.out += after.out - before.out
}

// readIO is all zero where the kernel does not tell.
func readIO(pid int) (n ioCount) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "io"))
	if err != nil {
		return n
	}
	_, _ = fmt.Sscanf(string(text), "rchar: %g\nwchar: %g\nsyscr: %g\nsyscw: %g", &n.in, &n.out, &n.reads, &n.writes)
	return n
}

func saveJSON(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	return nil
}
