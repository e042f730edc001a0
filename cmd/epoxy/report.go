package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"epoxy/engine/admin"
)

// look is one look at a running proxy, and the one before it for rates; nil is none.
type look struct {
	now, before *admin.Status
}

// newLook drops what lies before a restart.
func newLook(now, before *admin.Status) look {
	if before != nil && before.UptimeSeconds >= now.UptimeSeconds {
		before = nil
	}
	return look{now, before}
}

// rate returns how much get grew in a second, false when it is not known.
func (l look) rate(get func(*admin.Status) uint64) (float64, bool) {
	if l.before == nil {
		return 0, false
	}
	now, before := get(l.now), get(l.before)
	return float64(now-min(now, before)) / (l.now.UptimeSeconds - l.before.UptimeSeconds), true
}

// speed is rate in words for bytes, "-" when it is not known.
func (l look) speed(get func(*admin.Status) uint64) string {
	if r, ok := l.rate(get); ok {
		return size(r) + "/s"
	}
	return "-"
}

// section is one table of a report.
type section struct {
	head string // columns, with tabs between
	rows []string
}

// report returns the lines above the tables, name first, and the tables.
func (l look) report() (head []string, tables []section) {
	s := l.now
	head = []string{
		l.title(),
		"clients\t" + l.clients(),
		"traffic\t" + l.traffic(),
		"handshakes\t" + l.handshakes(),
	}
	for _, some := range []struct {
		name   string
		counts map[string]uint64
	}{{"strangers", s.Handshakes.Strangers}, {"refused", s.Handshakes.Refused}} {
		if len(some.counts) > 0 {
			head = append(head, some.name+"\t"+ranked(some.counts))
		}
	}
	memory := size(float64(s.Memory.UsedBytes))
	if s.Memory.LimitBytes > 0 {
		memory += " of " + size(float64(s.Memory.LimitBytes))
	}
	if s.Traffic.QueuedBytes > 0 {
		memory += ", " + size(float64(s.Traffic.QueuedBytes)) + " wait for slow readers"
	}
	head = append(head, "memory\t"+memory+fmt.Sprintf("; replay store %s of %s", count(s.Replay.Entries), count(s.Replay.Capacity)))
	var secrets []admin.Secret
	for _, one := range slices.Concat(s.Busiest.ByBytes, s.Busiest.ByClients) {
		if !slices.ContainsFunc(secrets, func(o admin.Secret) bool { return o.Name == one.Name }) {
			secrets = append(secrets, one)
		}
	}
	return head, []section{l.datacenters(), l.loops(), secretSection(secrets, &l), l.fronts(), l.servers()}
}

func (l look) title() string {
	s := l.now
	title := "epoxy\t" + s.Version + ", up " + (time.Duration(s.UptimeSeconds) * time.Second).String()
	switch {
	case s.Draining:
		title += ", draining"
	case !s.Ready:
		title += ", not ready: " + s.ReadyWhy
	default:
		title += ", ready"
	}
	if !s.Healthy && (s.Ready || s.HealthyWhy != s.ReadyWhy) {
		title += ", not well: " + s.HealthyWhy
	}
	return title
}

func (l look) clients() string {
	c := l.now.Clients
	text := count(c.Now)
	if c.Limit > 0 {
		text += " of " + count(c.Limit)
	}
	var ports []string
	for _, p := range c.Ports {
		one := p.Name + " " + count(p.Now)
		if p.Limit > 0 {
			one += " of " + count(p.Limit)
		}
		ports = append(ports, one)
	}
	if len(ports) > 0 {
		text += " (" + strings.Join(ports, ", ") + ")"
	}
	if c.Strangers > 0 {
		text += ", of them " + count(c.Strangers) + " strangers"
	}
	return text
}

func (l look) traffic() string {
	t := l.now.Traffic
	text := fmt.Sprintf("%s up, %s down so far", size(float64(t.ClientUpBytes)), size(float64(t.ClientDownBytes)))
	if l.before == nil {
		return text
	}
	return fmt.Sprintf("%s up, %s down; %s",
		l.speed(func(s *admin.Status) uint64 { return s.Traffic.ClientUpBytes }), l.speed(func(s *admin.Status) uint64 { return s.Traffic.ClientDownBytes }), text)
}

func (l look) handshakes() string {
	var parts []string
	if r, ok := l.rate(good); ok {
		parts = append(parts, strconv.FormatFloat(r, 'f', 1, 64)+"/s")
	}
	h := l.now.Handshakes
	parts = append(parts, count(h.Accepted)+" connections")
	return strings.Join(append(parts, ranked(h.Good)), ", ")
}

func good(s *admin.Status) (n uint64) {
	for _, one := range s.Handshakes.Good {
		n += one
	}
	return n
}

// ranked lists counts, the largest first.
func ranked(counts map[string]uint64) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = name + " " + count(counts[name])
	}
	return strings.Join(names, ", ")
}

func (l look) datacenters() section {
	t := section{head: "DC\tWAY\tSTREAMS\tDIRECT\tLINKS\tROUND TRIP"}
	for _, d := range l.now.Datacenters {
		links, trip := cmp.Or(ranked(d.Links), "-"), "-"
		if d.RoundTripSeconds > 0 {
			trip = strconv.FormatFloat(1000*d.RoundTripSeconds, 'f', 0, 64) + " ms"
		}
		t.rows = append(t.rows, strings.Join([]string{d.Name, d.Way, count(d.Streams), count(d.StreamsDirect), links, trip}, "\t"))
	}
	return t
}

func (l look) loops() section {
	t := section{head: "LOOP\tCLIENTS\tUP\tDOWN\tBUSY"}
	for i, one := range l.now.Loops {
		busy := "-"
		if one.BusyShare > 0 {
			busy = strconv.FormatFloat(100*one.BusyShare, 'f', 0, 64) + " %"
		}
		up, down := size(float64(one.UpBytes)), size(float64(one.DownBytes))
		if l.before != nil && i < len(l.before.Loops) {
			up = l.speed(func(s *admin.Status) uint64 { return s.Loops[i].UpBytes })
			down = l.speed(func(s *admin.Status) uint64 { return s.Loops[i].DownBytes })
		}
		t.rows = append(t.rows, strings.Join([]string{strconv.Itoa(i), count(one.Clients), up, down, busy}, "\t"))
	}
	return t
}

func (l look) fronts() section {
	t := section{head: "FRONT\tTARGET\tMEASURED\tWHAT TO CHANGE"}
	for _, f := range l.now.Fronts {
		measured := "never"
		if !f.Measured.IsZero() {
			measured = f.Measured.UTC().Format("2006-01-02 15:04")
		}
		words := f.Warnings
		if f.Error != "" {
			words = append([]string{f.Error}, words...)
		}
		t.rows = append(t.rows, strings.Join([]string{cmp.Or(f.Domain, "default"), cmp.Or(f.Target, "silence"), measured, cmp.Or(strings.Join(words, "; "), "-")}, "\t"))
	}
	return t
}

func (l look) servers() section {
	t := section{head: "SERVER\tROLE\tSTATE\tLINKS\tCLIENTS\tUP\tDOWN"}
	for _, s := range l.now.Servers {
		state, clients := "down", "-"
		if s.Up {
			state = "up"
		}
		if s.Role == "front" {
			clients = count(s.Clients)
		}
		t.rows = append(t.rows, strings.Join([]string{s.Name, s.Role, state, count(s.Links), clients, size(float64(s.UpBytes)), size(float64(s.DownBytes))}, "\t"))
	}
	return t
}

// secretSection lists secrets; a look adds nothing but that nil shows what their settings allow.
func secretSection(secrets []admin.Secret, l *look) section {
	t := section{head: "SECRET\tSTATE\tCLIENTS\tADDRESSES\tUP\tDOWN\tQUOTA"}
	if l == nil {
		t.head += "\tEXPIRES"
	}
	of := func(n, limit uint64, show func(uint64) string) string {
		if limit > 0 {
			return show(n) + "/" + show(limit)
		}
		return show(n)
	}
	for _, s := range secrets {
		quota := "-"
		if s.QuotaBytes > 0 {
			quota = of(s.QuotaUsedBytes, s.QuotaBytes, func(n uint64) string { return size(float64(n)) })
		}
		row := []string{s.Name, s.State, of(s.Clients, s.MaxClients, count), of(s.Addresses, s.MaxAddresses, count), size(float64(s.UpBytes)), size(float64(s.DownBytes)), quota}
		if l == nil && s.Expires.IsZero() {
			row = append(row, "never")
		} else if l == nil {
			row = append(row, s.Expires.UTC().Format("2006-01-02 15:04"))
		}
		t.rows = append(t.rows, strings.Join(row, "\t"))
	}
	return t
}

// write prints a table aligned.
func (t section) write(w io.Writer) error {
	aligned := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, row := range slices.Concat([]string{t.head}, t.rows) {
		fmt.Fprintln(aligned, clean(row, "\t"))
	}
	return aligned.Flush()
}

// lines returns a table aligned, in up to most lines: the last then says what is missing.
func (t section) lines(most int) []string {
	if missing := 1 + len(t.rows) - most; missing > 0 && most > 1 {
		t.rows = append(slices.Clone(t.rows[:most-2]), fmt.Sprintf("... %d more", missing+1))
	}
	var b bytes.Buffer
	_ = t.write(&b) // a buffer takes everything
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// count writes 12,345.
func count(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// size writes bytes with three digits: 12.3 MB.
func size(n float64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return strconv.FormatFloat(n, 'f', 0, 64) + " B"
	}
	i := -1
	for n >= 999.5 && i < len(units)-1 {
		n, i = n/1000, i+1
	}
	digits := 0
	switch {
	case n < 9.995:
		digits = 2
	case n < 99.95:
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + units[i:i+1] + "B"
}
