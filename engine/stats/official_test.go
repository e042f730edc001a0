package stats

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/middle"
	"epoxy/upstream/refresh"
)

// officialNames are the names of the official proxy that ours may use, in its order (spec upstream-protocols 7.1).
const officialNames = `pid start_time current_time uptime >>>>>>connections>>>>>> active_connections active_dh_connections outbound_connections
ready_outbound_connections active_outbound_connections outbound_connections_created total_connect_failures inbound_connections
active_inbound_connections inbound_connections_accepted listening_connections unused_connections_closed ready_targets allocated_targets
active_targets inactive_targets free_targets max_connections active_special_connections max_special_connections max_accept_rate
cur_accept_rate_remaining max_connection conn_generation allocated_connections allocated_outbound_connections allocated_inbound_connections
allocated_socket_connections tcp_readv_calls tcp_readv_intr tcp_readv_bytes tcp_writev_calls tcp_writev_intr tcp_writev_bytes free_later_size
free_later_total accept_calls_failed accept_nonblock_set_failed accept_connection_limit_failed accept_rate_limit_failed
accept_init_accepted_failed <<<<<<connections<<<<<< stats_generate_time vmsize_bytes vmrss_bytes vmdata_bytes config_filename config_loaded_at
config_size config_md5 config_auth_clusters workers queries_get qps_get tot_forwarded_queries expired_forwarded_queries dropped_queries
tot_forwarded_responses dropped_responses tot_forwarded_simple_acks dropped_simple_acks active_rpcs_created active_rpcs rpc_dropped_answers
rpc_dropped_running window_clamp total_ready_targets total_allocated_targets total_declared_targets total_inactive_targets total_connections
total_encrypted_connections total_allocated_connections total_allocated_outbound_connections total_allocated_inbound_connections
total_allocated_socket_connections total_dh_connections total_dh_rounds total_special_connections total_max_special_connections
total_accept_connections_failed ext_connections ext_connections_created total_active_network_events total_network_buffers_used_size
total_network_buffers_allocated_bytes mtproto_proxy_errors connections_failed_lru connections_failed_flood http_connections
pending_http_queries http_queries http_bad_headers http_qps proxy_mode proxy_tag_set version`

// page writes the page of s and returns its values, after checking its shape and names.
func page(t *testing.T, s Snapshot) map[string]string {
	t.Helper()
	var out strings.Builder
	NewExporter(&fixed{s}, Build{Version: "v9"}).Stats(&out)
	values := map[string]string{}
	names := strings.Fields(officialNames)
	last := -1
	for line := range strings.Lines(out.String()) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok || value == "" || strings.Contains(value, "\t") {
			t.Errorf("%q is not a name, a tab and a value", line)
		}
		at := slices.Index(names, name)
		if at <= last {
			t.Errorf("%s is no name of the official proxy, or out of its order", name)
		}
		last = at
		values[name] = value
		switch name {
		case "version", "total_dh_rounds", "total_accept_connections_failed", "qps_get", ">>>>>>connections>>>>>>", "<<<<<<connections<<<<<<":
		default:
			if _, err := strconv.ParseUint(value, 10, 63); err != nil {
				t.Errorf("%s is %q, no number", name, value)
			}
		}
	}
	return values
}

// Of three configured middle proxies two are connected: ready are the connected ones, active the configured ones. The
// Docker README of the official proxy has it the other way round.
func TestOfficialTargets(t *testing.T) {
	book, err := dcmap.Parse([]byte("proxy_for 1 192.0.2.1:8888; proxy_for -1 192.0.2.1:8888; proxy_for 2 192.0.2.2:8888; proxy_for 3 192.0.2.3:443;"), dcmap.V4)
	if err != nil {
		t.Fatal(err)
	}
	one, two, gone := netip.MustParseAddrPort("192.0.2.1:8888"), netip.MustParseAddrPort("192.0.2.2:8888"), netip.MustParseAddrPort("192.0.2.9:8888")
	s := Snapshot{Loops: make([]Loop, 2), Book: &dcmap.Snapshot{Generation: 1, V4: book}, ReadyTargets: []netip.AddrPort{one, two, one, two, one}}
	got := page(t, s)
	for name, want := range map[string]string{
		"ready_targets": "2", "active_targets": "3", "inactive_targets": "0", "allocated_targets": "3",
		"total_ready_targets": "2", "total_declared_targets": "3", "total_inactive_targets": "0", "total_allocated_targets": "3", "config_auth_clusters": "4",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
	s.ReadyTargets = append(s.ReadyTargets, gone, gone)
	got = page(t, s)
	for name, want := range map[string]string{"ready_targets": "3", "active_targets": "3", "inactive_targets": "1", "allocated_targets": "4"} {
		if got[name] != want {
			t.Errorf("with one that is no longer listed, %s is %s, want %s", name, got[name], want)
		}
	}
}

func TestOfficialValues(t *testing.T) {
	l := Loop{ClientsNow: 40, Accepted: 100, AcceptErrors: 2, QueuedNow: 5, ClientUp: 1, ClientDown: 2, TelegramUp: 3, TelegramDown: 4, Dials: 30}
	l.Refused[codec.ReasonLimit] = 3
	l.DialsFailed[codec.ReasonDialTime] = 4
	l.Closed[codec.ReasonMemory], l.Closed[codec.ReasonQueueLimit] = 11, 12
	l.DC[DCSlot(2)] = DC{StreamsNow: 10, Opened: 20, Middle: MiddleDC{StreamsNow: 30, Opened: 60, Links: [middle.Stages]uint64{middle.Ready: 2, middle.Nonce: 1, middle.Draining: 1}}}
	l.Middle = Middle{Dials: 6, PacketsUp: 50, PacketsDown: 70, Empty: 1, Filtered: 2, Acks: 8, UnknownAnswers: 9, Dropped: 1, HeldLate: 2, QueuedNow: 6, BytesUp: 10, BytesDown: 20}
	l.Middle.Failed[codec.ReasonLinkTime] = 1
	status := &refresh.Status{}
	status.Resources[refresh.ConfigV4].Good = time.Unix(1699999000, 0)
	status.Resources[refresh.Secret].Good = time.Unix(1699999999, 0) // not of the configuration
	got := page(t, Snapshot{
		Start: time.Unix(1699990000, 0), Now: time.Unix(1700000000, 0), ClientsLimit: 500, MemoryUsed: 123, TagSet: true, Refresh: status, Loops: []Loop{l, {}},
	})
	for name, want := range map[string]string{
		"pid": strconv.Itoa(os.Getpid()), "start_time": "1699990000", "current_time": "1700000000", "uptime": "10000", "vmrss_bytes": "123",
		"outbound_connections": "14", "ready_outbound_connections": "13", "outbound_connections_created": "36", "total_connect_failures": "5",
		"inbound_connections": "40", "inbound_connections_accepted": "100", "tcp_readv_bytes": "5", "tcp_writev_bytes": "5",
		"accept_calls_failed": "2", "accept_connection_limit_failed": "3", "total_accept_connections_failed": "0 2 3 0 0",
		"config_loaded_at": "1699999000", "workers": "2", "tot_forwarded_queries": "50", "dropped_queries": "3", "tot_forwarded_responses": "67", "dropped_responses": "9",
		"tot_forwarded_simple_acks": "8", "total_special_connections": "40", "total_max_special_connections": "500", "total_connections": "54",
		"ext_connections": "40", "ext_connections_created": "80", "total_network_buffers_used_size": "11",
		"connections_failed_lru": "11", "connections_failed_flood": "12", "proxy_mode": "2", "proxy_tag_set": "1", "version": "epoxy-v9",
		">>>>>>connections>>>>>>": "start", "<<<<<<connections<<<<<<": "end",
	} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// A proxy that does not run yet has a page too.
func TestOfficialEmpty(t *testing.T) {
	for name, value := range page(t, Snapshot{}) {
		if name == "start_time" || name == "uptime" || strings.Contains(name, "targets") {
			if value == "" || strings.HasPrefix(value, "-") {
				t.Errorf("%s is %q", name, value)
			}
		}
	}
	if got := page(t, Snapshot{})["uptime"]; got != "0" {
		t.Errorf("uptime is %s before the start", got)
	}
}
