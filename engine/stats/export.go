package stats

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Build says what program runs.
type Build struct {
	Version, Commit, Go string
}

// Exporter writes a Source as Prometheus text. Any goroutine may use it.
type Exporter struct {
	source Source // fixed
	build  Build  // fixed

	mu sync.Mutex // one page at a time: each asks every loop
}

// NewExporter returns an Exporter of source.
func NewExporter(source Source, build Build) *Exporter {
	return &Exporter{source: source, build: build}
}

// Write collects and writes one page: our metrics, then those of the Go runtime and the process. An error of w
// is not told: the asker went away.
func (e *Exporter) Write(w io.Writer) {
	var page bytes.Buffer
	e.collect(&page)
	metrics.WriteProcessMetrics(&page)
	_, _ = page.WriteTo(w)
}

// collect writes our metrics to page.
func (e *Exporter) collect(page *bytes.Buffer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	v := e.look()
	for _, f := range families() {
		page.WriteString("# HELP " + f.name + " " + f.help + "\n# TYPE " + f.name + " " + f.kind.String() + "\n")
		f.write(&v, func(value uint64, labels ...string) {
			page.WriteString(f.name + braces(labels) + " " + f.kind.text(value) + "\n")
		})
	}
}

// Snapshot collects and returns the state now, which is the caller's.
func (e *Exporter) Snapshot() *Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.look().Snapshot
}

// look asks the source. The caller holds mu.
func (e *Exporter) look() view {
	var s Snapshot
	e.source.Collect(&s)
	if s.Now.IsZero() {
		s.Now = time.Now()
	}
	return view{Snapshot: &s, sum: s.Sum(), build: e.build}
}

// braces returns {name="value",...}, nothing for no labels.
func braces(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	pairs := make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+"="+strconv.Quote(labels[i+1]))
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
