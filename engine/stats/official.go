package stats

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"epoxy/codec"
	"epoxy/upstream/middle"
	"epoxy/upstream/refresh"
)

// targets counts the middle proxies as the official proxy does: an address is a target, whichever datacenters it has.
// Mind the words: ready ones are connected, active ones are in the address book (spec upstream-protocols 7.1).
type targets struct {
	ready    int
	active   int
	inactive int // connected still, but no longer in the book
	dcs      int // ids in the book
}

func (s *Snapshot) targets() (t targets) {
	listed := map[netip.AddrPort]bool{}
	if s.Book != nil {
		ids := map[codec.DC]bool{}
		for _, to := range append(s.Book.V4.Targets(), s.Book.V6.Targets()...) {
			listed[to.Addr], ids[to.DC] = true, true
		}
		t.active, t.dcs = len(listed), len(ids)
	}
	ready := map[netip.AddrPort]bool{}
	for _, a := range s.ReadyTargets {
		if !ready[a] && !listed[a] {
			t.inactive++
		}
		ready[a] = true
	}
	t.ready = len(ready)
	return t
}

// Stats collects and writes one page for the monitors of the official proxy: its names, a tab, a value
// (spec upstream-protocols 7.1). Names that mean nothing here are left out, or 0 where they always are.
func (e *Exporter) Stats(w io.Writer) {
	e.mu.Lock()
	v := e.look()
	e.mu.Unlock()
	var page strings.Builder
	for _, l := range official(&v) {
		page.WriteString(l.name + "\t" + l.value + "\n")
	}
	_, _ = io.WriteString(w, page.String())
}

// stat is one line of the page.
type stat struct{ name, value string }

// num is a stat with a number.
func num[N int | int64 | uint64](name string, n N) stat { return stat{name, fmt.Sprint(n)} }

// official returns the lines in the order of the official proxy.
func official(v *view) []stat {
	up := max(v.Now.Unix()-v.Start.Unix(), 0)
	if v.Start.IsZero() {
		up = 0
	}
	head := []stat{
		num("pid", os.Getpid()), num("start_time", v.Now.Unix()-up), num("current_time", v.Now.Unix()), num("uptime", up),
		{">>>>>>connections>>>>>>", "start"},
	}
	return append(append(append(head, connections(v)...), stat{"<<<<<<connections<<<<<<", "end"}, num("vmrss_bytes", v.Snapshot.MemoryUsed)), proxied(v)...)
}

// connections returns the block of sockets.
func connections(v *view) []stat {
	t, s, n := v.targets(), &v.sum, v.sockets()
	return []stat{
		num("active_connections", s.ClientsNow+n.ready), num("active_dh_connections", 0),
		num("outbound_connections", n.open), num("ready_outbound_connections", n.ready), num("active_outbound_connections", n.ready),
		num("outbound_connections_created", s.Dials+s.Middle.Dials), num("total_connect_failures", total(&s.DialsFailed)+total(&s.Middle.Failed)),
		num("inbound_connections", s.ClientsNow), num("active_inbound_connections", s.ClientsNow), num("inbound_connections_accepted", s.Accepted),
		num("ready_targets", t.ready), num("allocated_targets", t.active+t.inactive), num("active_targets", t.active),
		num("inactive_targets", t.inactive), num("free_targets", 0),
		num("max_connections", v.Snapshot.ClientsLimit), num("active_special_connections", s.ClientsNow), num("max_special_connections", v.Snapshot.ClientsLimit),
		num("tcp_readv_bytes", s.ClientUp+s.TelegramDown), num("tcp_writev_bytes", s.ClientDown+s.TelegramUp),
		num("accept_calls_failed", s.AcceptErrors), num("accept_connection_limit_failed", s.Refused[codec.ReasonLimit]),
	}
}

// proxied returns the part of the proxy itself.
func proxied(v *view) []stat {
	t, s, m, n := v.targets(), &v.sum, &v.sum.Middle, v.sockets()
	var streams, opened, loaded uint64
	for i := range s.DC {
		streams += s.DC[i].StreamsNow + s.DC[i].Middle.StreamsNow
		opened += s.DC[i].Opened + s.DC[i].Middle.Opened
	}
	if v.Refresh != nil {
		for _, k := range []refresh.Kind{refresh.ConfigV4, refresh.ConfigV6} {
			if r := &v.Refresh.Resources[k]; !r.Good.IsZero() {
				loaded = max(loaded, uint64(r.Good.Unix()))
			}
		}
	}
	return []stat{
		num("config_loaded_at", loaded), num("config_auth_clusters", t.dcs), num("workers", len(v.Loops)),
		num("queries_get", 0), {"qps_get", "0.000"},
		num("tot_forwarded_queries", m.PacketsUp), num("expired_forwarded_queries", 0), num("dropped_queries", m.Dropped+m.HeldLate),
		num("tot_forwarded_responses", m.PacketsDown-m.Empty-m.Filtered), num("dropped_responses", m.UnknownAnswers),
		num("tot_forwarded_simple_acks", m.Acks), num("dropped_simple_acks", 0),
		num("active_rpcs_created", 0), num("active_rpcs", 0), num("rpc_dropped_answers", 0), num("rpc_dropped_running", 0), num("window_clamp", 0),
		num("total_ready_targets", t.ready), num("total_allocated_targets", t.active+t.inactive),
		num("total_declared_targets", t.active), num("total_inactive_targets", t.inactive),
		num("total_connections", s.ClientsNow+n.open), num("total_encrypted_connections", s.ClientsNow+n.ready),
		num("total_allocated_connections", s.ClientsNow+n.open), num("total_allocated_outbound_connections", n.open), num("total_allocated_inbound_connections", s.ClientsNow),
		num("total_dh_connections", 0), {"total_dh_rounds", "0 0 0"},
		num("total_special_connections", s.ClientsNow), num("total_max_special_connections", v.Snapshot.ClientsLimit),
		{"total_accept_connections_failed", "0 " + strconv.FormatUint(s.AcceptErrors, 10) + " " + strconv.FormatUint(s.Refused[codec.ReasonLimit], 10) + " 0 0"},
		num("ext_connections", streams), num("ext_connections_created", opened),
		num("total_network_buffers_used_size", s.QueuedNow+m.QueuedNow), num("mtproto_proxy_errors", 0),
		num("connections_failed_lru", s.Closed[codec.ReasonMemory]), num("connections_failed_flood", s.Closed[codec.ReasonQueueLimit]),
		num("proxy_mode", 2), num("proxy_tag_set", bit(v.Snapshot.TagSet)), {"version", "epoxy-" + v.build.Version},
	}
}

// sockets counts connections to Telegram: all that are open, and those that carry clients.
type sockets struct{ open, ready uint64 }

func (v *view) sockets() (n sockets) {
	for i := range v.sum.DC {
		dc := &v.sum.DC[i]
		n.ready += dc.StreamsNow + dc.Middle.Links[middle.Ready] + dc.Middle.Links[middle.Draining]
		n.open += dc.StreamsNow
		for _, links := range dc.Middle.Links {
			n.open += links
		}
	}
	return n
}

// total adds a table up.
func total(table *[codec.Reasons]uint64) (n uint64) {
	for _, c := range table {
		n += c
	}
	return n
}
