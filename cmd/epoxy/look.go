package main

import (
	"strconv"

	"epoxy/codec"
	"epoxy/engine/admin"
	"epoxy/engine/stats"
	"epoxy/upstream/middle"
)

// looker returns what tells the door the state of the process.
func (a *app) looker(e proxy, exporter *stats.Exporter, control admin.Control) func() admin.Status {
	return func() admin.Status {
		st := statusOf(exporter.Snapshot())
		st.Version, st.Commit = a.build.Version, a.build.Commit
		st.Ready, st.ReadyWhy = answered(e.Ready())
		st.Healthy, st.HealthyWhy = answered(e.Healthy())
		if control != nil {
			st.Busiest = admin.BusiestOf(control.Secrets())
		}
		return st
	}
}

func answered(err error) (bool, string) {
	if err != nil {
		return false, err.Error()
	}
	return true, ""
}

// statusOf puts a snapshot into the words of the API.
func statusOf(s *stats.Snapshot) admin.Status {
	sum := s.Sum()
	var ports []admin.Port
	for _, p := range s.Ports {
		ports = append(ports, admin.Port{Name: p.Name, Now: p.Clients, Limit: p.Limit})
	}
	st := admin.Status{
		Draining: s.Draining,
		Clients:  admin.Clients{Now: sum.ClientsNow, Limit: s.ClientsLimit, Strangers: sum.StrangersNow, Ports: ports},
		Handshakes: admin.Handshakes{
			Accepted: sum.Accepted, Good: map[string]uint64{},
			Refused: byReason(sum.Refused), Strangers: byReason(sum.Strangers), Closed: byReason(sum.Closed),
		},
		Traffic: admin.Traffic{
			ClientUpBytes: sum.ClientUp, ClientDownBytes: sum.ClientDown,
			TelegramUpBytes: sum.TelegramUp, TelegramDownBytes: sum.TelegramDown,
			FrontUpBytes: sum.Front.Up, FrontDownBytes: sum.Front.Down, QueuedBytes: sum.QueuedNow + sum.Middle.QueuedNow,
		},
		Replay: admin.Replay{
			Entries: s.Replay.Entries, Capacity: s.Replay.Capacity, Bytes: s.Replay.Bytes,
			Checks: s.Replay.Checks, Hits: s.Replay.Hits, Evicted: s.Replay.Evicted,
		},
		Memory: admin.Memory{UsedBytes: s.MemoryUsed, LimitBytes: s.MemoryLimit},
	}
	if !s.Start.IsZero() {
		st.UptimeSeconds = max(0, s.Now.Sub(s.Start).Seconds())
	}
	for p := codec.Classic; p <= codec.TLS; p++ {
		st.Handshakes.Good[p.String()] = sum.Handshakes[p]
	}
	for slot := range sum.DC {
		if dc := &sum.DC[slot]; dc.StreamsNow+dc.Opened+dc.Middle.Opened+linksOf(dc) > 0 {
			st.Datacenters = append(st.Datacenters, datacenterOf(slot, dc))
		}
	}
	for _, f := range s.Fronts {
		st.Fronts = append(st.Fronts, admin.Front{Domain: f.Domain, Target: f.Target, Measured: f.Measured, Error: f.Err, Warnings: f.Warnings})
	}
	for _, b := range s.Backs {
		st.Servers = append(st.Servers, admin.Peer{Role: "back", Name: b.Addr, Up: b.Up, Links: uint64(b.Links), UpBytes: b.BytesUp, DownBytes: b.BytesDown})
	}
	for _, f := range s.Served {
		st.Servers = append(st.Servers, admin.Peer{
			Role: "front", Name: f.Name, Up: f.Links > 0, Links: uint64(f.Links), Clients: uint64(max(f.Streams, 0)), UpBytes: f.BytesUp, DownBytes: f.BytesDown,
		})
	}
	for i := range s.Loops {
		l := &s.Loops[i]
		st.Loops = append(st.Loops, admin.Loop{Clients: l.ClientsNow, Accepted: l.Accepted, UpBytes: l.ClientUp, DownBytes: l.ClientDown})
	}
	return st
}

// byReason returns the counts above 0.
func byReason(counts [codec.Reasons]uint64) map[string]uint64 {
	some := map[string]uint64{}
	for r, n := range counts {
		if n > 0 {
			some[codec.Reason(r).String()] = n
		}
	}
	return some
}

// linksOf counts links that are not dead.
func linksOf(dc *stats.DC) (n uint64) {
	for s := middle.Dialling; s < middle.Dead; s++ {
		n += dc.Middle.Links[s]
	}
	return n
}

func datacenterOf(slot int, dc *stats.DC) admin.Datacenter {
	d := admin.Datacenter{
		Name: slotName(slot), Way: "mixed",
		Streams: dc.StreamsNow + dc.Middle.StreamsNow, StreamsDirect: dc.StreamsNow, Opened: dc.Opened + dc.Middle.Opened,
		RoundTripSeconds: float64(dc.Middle.RTT) / 1000,
	}
	switch {
	case dc.ByMiddle == 0:
		d.Way = "direct"
	case dc.ByDirect == 0:
		d.Way = "middle"
	}
	for s := middle.Dialling; s < middle.Dead; s++ {
		if n := dc.Middle.Links[s]; n > 0 {
			if d.Links == nil {
				d.Links = map[string]uint64{}
			}
			d.Links[s.String()] = n
		}
	}
	return d
}

// slotName names a datacenter as the metrics do.
func slotName(slot int) string {
	const test = 10000
	switch dc := stats.SlotDC(slot); {
	case dc == 0:
		return "other"
	case dc > test:
		return "test"
	default:
		return strconv.Itoa(int(dc))
	}
}
