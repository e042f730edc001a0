package stats

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync"

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
	var s Snapshot
	e.source.Collect(&s)
	v := view{Snapshot: &s, sum: s.Sum(), build: e.build}
	for _, f := range families() {
		page.WriteString("# HELP " + f.name + " " + f.help + "\n# TYPE " + f.name + " " + string(f.kind) + "\n")
		write := metrics.WriteCounterUint64
		if f.kind == gauge {
			write = metrics.WriteGaugeUint64
		}
		f.write(&v, func(value uint64, labels ...string) { write(page, f.name+braces(labels), value) })
	}
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
