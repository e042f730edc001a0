package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"epoxy/engine/config"
)

// read returns the content of a file of /proc or /sys without the line's end, empty when there is none.
func (d *doctor) read(name string) string {
	text, _ := fs.ReadFile(d.Root, name) // what cannot be read is not known
	return strings.TrimSpace(string(text))
}

// numbers returns the numbers of a file, nil when it holds anything else.
func (d *doctor) numbers(name string) (all []int64) {
	for _, word := range strings.Fields(d.read(name)) {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil
		}
		all = append(all, n)
	}
	return all
}

// files returns the hard limit of descriptors, to which the program raises itself; 0 when it is not known.
func (d *doctor) files() int64 {
	for line := range strings.Lines(d.read("proc/self/limits")) {
		rest, ok := strings.CutPrefix(line, "Max open files")
		if words := strings.Fields(rest); ok && len(words) >= 2 {
			if words[1] == "unlimited" {
				return math.MaxInt32
			}
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n
		}
	}
	return 0
}

// each is how many descriptors a client takes: its own, and one to a datacenter where clients go directly.
func (d *doctor) each() int64 {
	if d.set.Middle() && !d.set.Fallback() {
		return 1
	}
	return 2
}

// reserve is how many descriptors are for others than clients, about.
func (d *doctor) reserve() int64 {
	n := reserveFiles + d.loops*(filesPerLoop+len(d.set.Listen)) + d.set.FrontMax
	if d.set.Middle() {
		n += d.loops * filesLinks
	}
	return int64(n)
}

// clients returns how many there may be, and how bad it is when something does not reach for them: nobody asked for so
// many unless --max-clients says so.
func (d *doctor) clients() (n int64, lacking Level) {
	if d.set.MaxClients > 0 {
		return int64(d.set.MaxClients), Warning
	}
	return max(0, (d.files()-d.reserve())/d.each()), Note
}

// limits looks at descriptors and memory.
func (d *doctor) limits(context.Context) []Finding {
	return append(d.descriptors(), d.memory()...)
}

func (d *doctor) descriptors() []Finding {
	limit := d.files()
	if limit == 0 {
		return one(Finding{Check: "limits", Name: "unknown", Level: Note, Text: "the descriptor limit is not known: there is no /proc/self/limits"})
	}
	fit := (limit - d.reserve()) / d.each()
	want := int64(d.set.MaxClients)
	need := max(want, fewClients)*d.each() + d.reserve()
	f := Finding{Check: "limits", Text: fmt.Sprintf("the descriptor limit of %d is enough for %d clients", limit, max(fit, 0))}
	switch {
	case fit < 1:
		f.Name, f.Level = "descriptors", Fault
		f.Text = fmt.Sprintf("the descriptor limit of %d leaves no room for clients", limit)
	case fit < want:
		f.Name, f.Level = "descriptors", Warning
		f.Text = fmt.Sprintf("the descriptor limit of %d is enough for %d clients, --max-clients is %d", limit, fit, want)
	case want == 0 && fit < fewClients:
		f.Name, f.Level = "descriptors", Warning
		f.Text = fmt.Sprintf("the descriptor limit of %d is enough for %d clients only", limit, fit)
	}
	if f.Level > OK {
		f.Cure = fmt.Sprintf("write LimitNOFILE=%d into the systemd unit, or `ulimit -Hn %d` before the start", need, need)
		if most := d.numbers("proc/sys/fs/nr_open"); len(most) == 1 && most[0] < need {
			f.Cure = sysctlCure("fs.nr_open", strconv.FormatInt(need, 10)) + "; then " + f.Cure
		}
	}
	found := one(f)
	used := min(need, limit)
	if all := d.numbers("proc/sys/fs/file-max"); len(all) == 1 && all[0] < used {
		found = append(found, Finding{Check: "limits", Name: "file_max", Level: Warning,
			Text: fmt.Sprintf("fs.file-max is %d for the whole machine, Epoxy may need %d", all[0], used), Cure: sysctlCure("fs.file-max", strconv.FormatInt(2*used, 10))})
	}
	return found
}

func (d *doctor) memory() []Finding {
	const percent, share = 100, 80 // DefaultMemory is so many percent
	given := config.DefaultMemory(d.Root)
	if given == 0 {
		return one(Finding{Check: "limits", Name: "unknown", Level: Note, Text: "the machine's memory is not known", Cure: "say --memory"})
	}
	whole := given / share * percent
	limit := given
	if d.set.Memory > 0 {
		limit = d.set.Memory
	}
	if limit > whole {
		return one(Finding{Check: "limits", Name: "memory", Level: Fault,
			Text: fmt.Sprintf("--memory %s is more than the %s that machine and control group have: the kernel would end the process", size(limit), size(whole)),
			Cure: fmt.Sprintf("write --memory %dM or less, or leave it out", given>>20)})
	}
	per := int64(memoryDirect)
	if d.each() == 1 {
		per = memoryLinked
	}
	if want := int64(d.set.MaxClients) * per; want > whole {
		return one(Finding{Check: "limits", Name: "memory", Level: Warning,
			Text: fmt.Sprintf("%d clients take about %s even when they are silent, machine and control group have %s", d.set.MaxClients, size(want), size(whole)),
			Cure: fmt.Sprintf("write --max-clients %d or less, or give the machine more memory", whole/per)})
	}
	return one(Finding{Check: "limits", Text: fmt.Sprintf("%s of memory are for Epoxy, of %s", size(limit), size(whole))})
}

// size prints bytes for reading.
func size(n int64) string {
	if n >= 10<<30 {
		return strconv.FormatInt(n>>30, 10) + " GiB"
	}
	return strconv.FormatInt(n>>20, 10) + " MiB"
}
