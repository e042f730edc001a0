package stats

import (
	"slices"
	"strconv"

	"epoxy/codec"
)

// The metrics. Counters end in _total and never fall while the process lives; the rest are gauges.
const (
	BuildInfo     = "epoxy_build_info"
	StartTime     = "epoxy_start_time_seconds"
	Ready         = "epoxy_ready"
	UpstreamUp    = "epoxy_upstream_up"
	Draining      = "epoxy_draining"
	ClientsLimit  = "epoxy_clients_limit"
	ReplayKept    = "epoxy_replay_entries"
	ReplayLimit   = "epoxy_replay_capacity"
	ReplayBytes   = "epoxy_replay_memory_bytes"
	ReplayChecks  = "epoxy_replay_checks_total"
	ReplayHits    = "epoxy_replay_hits_total"
	ReplayEvicted = "epoxy_replay_evicted_total"
	ReplayUnsaved = "epoxy_replay_unsaved_total"
	ReplayErrors  = "epoxy_replay_write_errors_total"
	FrontNow      = "epoxy_front_strangers"
	FrontOpened   = "epoxy_front_opened_total"
	FrontRefused  = "epoxy_front_refused_total"
	FrontFailed   = "epoxy_front_dials_failed_total"
	FrontBytes    = "epoxy_front_bytes_total"
	FrontMeasured = "epoxy_front_measured"
	FrontAge      = "epoxy_front_measured_age_seconds"
	FrontWarnings = "epoxy_front_warnings"
	EgressDials   = "epoxy_egress_dials_total"
	EgressFailed  = "epoxy_egress_failed_total"
	MemoryLimit   = "epoxy_memory_limit_bytes"
	MemoryUsed    = "epoxy_memory_used_bytes"

	PortClients     = "epoxy_port_clients"
	SecretClients   = "epoxy_secret_clients"
	SecretAddresses = "epoxy_secret_addresses"
	SecretBytes     = "epoxy_secret_bytes_total"
	SecretUsed      = "epoxy_secret_used_bytes"
	SecretQuota     = "epoxy_secret_quota_bytes"
	SecretExpires   = "epoxy_secret_expires_seconds"
	SecretEnabled   = "epoxy_secret_enabled"
	SecretAdmitted  = "epoxy_secret_admitted_total"
	SecretRefused   = "epoxy_secret_refused_total"

	Clients      = "epoxy_clients"
	Accepted     = "epoxy_accepted_total"
	AcceptErrors = "epoxy_accept_errors_total"
	AcceptPauses = "epoxy_accept_pauses_total"
	Bytes        = "epoxy_bytes_total"
	Pauses       = "epoxy_pauses_total"
	Queued       = "epoxy_queued_bytes"
	Compactions  = "epoxy_compactions_total"
	Panics       = "epoxy_panics_total"

	Refused      = "epoxy_refused_total"
	Handshakes   = "epoxy_handshakes_total"
	Strangers    = "epoxy_strangers_total"
	StrangersNow = "epoxy_strangers"
	SecretsTried = "epoxy_secrets_tried_total"
	ScanWaits    = "epoxy_secret_scan_waits_total"
	Closed       = "epoxy_sessions_closed_total"
	Dials        = "epoxy_dials_total"
	DialsFailed  = "epoxy_dials_failed_total"
	Streams      = "epoxy_streams"
	Opened       = "epoxy_streams_opened_total"
	UnknownDC    = "epoxy_unknown_dc_total"

	Ways         = "epoxy_upstream_loops"
	TagSet       = "epoxy_tag_configured"
	TagActive    = "epoxy_tag_active"
	Links        = "epoxy_links"
	LinkDials    = "epoxy_link_dials_total"
	LinksReady   = "epoxy_links_ready_total"
	LinksFailed  = "epoxy_links_failed_total"
	LinksRefused = "epoxy_links_refused_total"
	LinksEnded   = "epoxy_links_ended_total"
	LinkBytes    = "epoxy_link_bytes_total"
	LinkPackets  = "epoxy_link_packets_total"
	LinkDropped  = "epoxy_link_packets_dropped_total"
	QuickAcks    = "epoxy_link_quick_acks_total"
	LinkPings    = "epoxy_link_pings_total"
	LinkRTT      = "epoxy_link_rtt_seconds"
	LinkPauses   = "epoxy_link_pauses_total"
	MiddleQueued = "epoxy_middle_queued_bytes"
	Migrated     = "epoxy_streams_migrated_total"
	Holds        = "epoxy_streams_held_total"
	Shed         = "epoxy_streams_shed_total"
	TelegramEnds = "epoxy_streams_closed_by_telegram_total"
	Fallbacks    = "epoxy_dc_fallbacks_total"

	BackUp       = "epoxy_back_up"
	BackLinks    = "epoxy_back_links"
	BackLost     = "epoxy_back_links_lost_total"
	BackFailed   = "epoxy_back_links_failed_total"
	BackWire     = "epoxy_back_link_bytes_total"
	BackStreams  = "epoxy_back_streams"
	BackOpened   = "epoxy_back_streams_opened_total"
	BackBound    = "epoxy_back_streams_bound_total"
	BackHeld     = "epoxy_back_streams_held_total"
	BackMigrated = "epoxy_back_streams_migrated_total"
	BackStalls   = "epoxy_back_stalls_total"
	BackBytes    = "epoxy_back_bytes_total"

	ServedLinks   = "epoxy_served_links"
	ServedStreams = "epoxy_served_streams"
	ServedOpened  = "epoxy_served_streams_opened_total"
	ServedRefused = "epoxy_served_streams_refused_total"
	ServedWire    = "epoxy_served_link_bytes_total"
	ServedLost    = "epoxy_served_streams_lost_total"
	ServedStalls  = "epoxy_served_stalls_total"
	ServedBytes   = "epoxy_served_bytes_total"
	ServedDenied  = "epoxy_served_connections_refused_total"

	BookNumber    = "epoxy_address_book_generation"
	BookDCs       = "epoxy_address_book_datacenters"
	RefreshAge    = "epoxy_refresh_age_seconds"
	RefreshGood   = "epoxy_refresh_successes_total"
	RefreshFailed = "epoxy_refresh_failures_total"
	SecretForced  = "epoxy_refresh_forced_total"
	ClockSkew     = "epoxy_clock_skew_seconds"
)

// kind says how values are written.
type kind uint8

const (
	counter kind = iota
	gauge
	millis // a gauge of seconds whose values are given in milliseconds
)

// String returns the type that Prometheus text declares.
func (k kind) String() string {
	if k == counter {
		return "counter"
	}
	return "gauge"
}

// text returns a value as the page has it.
func (k kind) text(value uint64) string {
	switch k {
	case gauge:
		return strconv.FormatInt(int64(value), 10) // some are below zero
	case millis:
		return strconv.FormatFloat(float64(value)/1000, 'f', -1, 64)
	case counter:
	}
	return strconv.FormatUint(value, 10)
}

// family is one metric: what the page says of it once, and how its lines come out of a view.
type family struct {
	name  string
	kind  kind
	help  string
	write func(v *view, line lineFunc)
}

// lineFunc writes one line; labels are name, value, name, value, ... A gauge below zero is given as its int64's bits.
type lineFunc func(value uint64, labels ...string)

// view is what one page is made from.
type view struct {
	*Snapshot
	sum   Loop // of all loops
	build Build
}

// families returns every metric of ours in the order of the page.
func families() []family {
	return slices.Concat(processFamilies(), secretFamilies(), frontFamilies(), linkFamilies(), splitFamilies(), bookFamilies())
}

func processFamilies() []family {
	return []family{
		{BuildInfo, gauge, "Always 1; the labels say what runs.", func(v *view, line lineFunc) {
			line(1, "version", v.build.Version, "commit", v.build.Commit, "go", v.build.Go)
		}},
		{StartTime, gauge, "When the process started, in Unix seconds.", one(func(v *view) uint64 { return uint64(max(v.Start.Unix(), 0)) })},
		{Ready, gauge, "1 while clients are served, else 0.", one(func(v *view) uint64 { return bit(v.Snapshot.Ready) })},
		{UpstreamUp, gauge, "1 while Telegram is within reach, as far as is known: a link stands, or recent clients reached a datacenter directly.", one(func(v *view) uint64 { return bit(v.Snapshot.Up) })},
		{Draining, gauge, "1 while the program stops and sessions finish.", one(func(v *view) uint64 { return bit(v.Snapshot.Draining) })},
		{ClientsLimit, gauge, "Clients that are served at once; more are refused.", one(func(v *view) uint64 { return v.Snapshot.ClientsLimit })},
		{MemoryLimit, gauge, "Memory that this process may take; 0 is no limit.", one(func(v *view) uint64 { return v.Snapshot.MemoryLimit })},
		{MemoryUsed, gauge, "Memory that counts towards the limit.", one(func(v *view) uint64 { return v.Snapshot.MemoryUsed })},

		{Clients, gauge, "Client connections open now, by loop.", perLoop(func(l *Loop) uint64 { return l.ClientsNow })},
		{Accepted, counter, "Client connections accepted, by loop.", perLoop(func(l *Loop) uint64 { return l.Accepted })},
		{AcceptErrors, counter, "Failed accept calls, by loop.", perLoop(func(l *Loop) uint64 { return l.AcceptErrors })},
		{AcceptPauses, counter, "Times that a listener rested because accept lacked descriptors or memory, by loop.", perLoop(func(l *Loop) uint64 { return l.AcceptPauses })},
		{Bytes, counter, "Bytes carried on a side, by loop; up is towards Telegram.", func(v *view, line lineFunc) {
			for i, l := range v.Loops {
				loop := strconv.Itoa(i)
				line(l.ClientUp, "loop", loop, "side", "client", "direction", "up")
				line(l.ClientDown, "loop", loop, "side", "client", "direction", "down")
				line(l.TelegramUp, "loop", loop, "side", "telegram", "direction", "up")
				line(l.TelegramDown, "loop", loop, "side", "telegram", "direction", "down")
			}
		}},
		{Pauses, counter, "Times that reading a side rested because the other side was slow.", func(v *view, line lineFunc) {
			line(v.sum.ClientPauses, "side", "client")
			line(v.sum.TelegramPauses, "side", "telegram")
		}},
		{Queued, gauge, "Bytes in user memory that wait for a socket, by loop.", perLoop(func(l *Loop) uint64 { return l.QueuedNow })},
		{Compactions, counter, "Sessions that gave back their ciphers in silence, by loop.", perLoop(func(l *Loop) uint64 { return l.Compactions })},
		{Panics, counter, "Faults of ours, each contained to one connection, by loop.", perLoop(func(l *Loop) uint64 { return l.Panics })},

		{Refused, counter, "Connections turned away before a session began, by reason.", byReason(func(t *Loop) *[codec.Reasons]uint64 { return &t.Refused })},
		{Handshakes, counter, "Clients that opened with a good secret, by protocol.", func(v *view, line lineFunc) {
			for p := codec.Classic; int(p) < Protocols; p++ {
				line(v.sum.Handshakes[p], "protocol", p.String())
			}
		}},
		{Strangers, counter, "Handshakes that failed, by reason.", byReason(func(t *Loop) *[codec.Reasons]uint64 { return &t.Strangers })},
		{StrangersNow, gauge, "Strangers that are being kept busy now.", one(func(v *view) uint64 { return v.sum.StrangersNow })},
		{SecretsTried, counter, "Secrets tried on openings.", one(func(v *view) uint64 { return v.sum.SecretsTried })},
		{ScanWaits, counter, "Times that a long search for the secret waited for its budget.", one(func(v *view) uint64 { return v.sum.ScanWaits })},
		{Closed, counter, "Sessions ended, by reason.", byReason(func(t *Loop) *[codec.Reasons]uint64 { return &t.Closed })},
		{Dials, counter, "Connections to Telegram that were established.", one(func(v *view) uint64 { return v.sum.Dials })},
		{DialsFailed, counter, "Connections to Telegram that were not, by reason.", byReason(func(t *Loop) *[codec.Reasons]uint64 { return &t.DialsFailed })},
		{Streams, gauge, "Clients on an upstream now, by way and datacenter.", byWay(func(dc *DC) (uint64, uint64) { return dc.StreamsNow, dc.Middle.StreamsNow })},
		{Opened, counter, "Clients put on an upstream, by way and datacenter.", byWay(func(dc *DC) (uint64, uint64) { return dc.Opened, dc.Middle.Opened })},
		{UnknownDC, counter, "Clients that asked for an unknown datacenter and got the default one.", one(func(v *view) uint64 { return v.sum.UnknownDC })},
	}
}

// one is a metric without labels.
func one(get func(*view) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) { line(get(v)) }
}

// perLoop is a metric with one line per loop.
func perLoop(get func(*Loop) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for i := range v.Loops {
			line(get(&v.Loops[i]), "loop", strconv.Itoa(i))
		}
	}
}

// byReason is a metric with one line per reason but none, the zeros too, summed over the loops.
func byReason(get func(*Loop) *[codec.Reasons]uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		table := get(&v.sum)
		for r := codec.ReasonNone + 1; int(r) < codec.Reasons; r++ {
			line(table[r], "reason", r.String())
		}
	}
}

// byDC is a metric with one line per slot of a table by datacenter, summed over the loops.
func byDC(get func(*DC) uint64) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for i, label := range dcLabels {
			line(get(&v.sum.DC[i]), "dc", label)
		}
	}
}

// byWay is byDC for each way to Telegram.
func byWay(get func(*DC) (direct, middle uint64)) func(*view, lineFunc) {
	return func(v *view, line lineFunc) {
		for i, label := range dcLabels {
			direct, middle := get(&v.sum.DC[i])
			line(direct, "upstream", "direct", "dc", label)
			line(middle, "upstream", "middle", "dc", label)
		}
	}
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
