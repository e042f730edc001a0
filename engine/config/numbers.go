package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/codec"
)

// parseDuration reads "10s", "20m", "1h30m"; a bare number is seconds.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		n, nerr := strconv.ParseUint(text, 10, 31)
		if nerr != nil {
			return 0, wrong("is not a duration", "write a number and a unit, such as 500ms, 10s, 20m")
		}
		d = time.Duration(n) * time.Second
	}
	if d < 0 || d > maxDuration {
		return 0, wrong("is below zero or above a week", "write a duration such as 10s or 20m")
	}
	return d, nil
}

// parseSize reads bytes: "131072", "128K", "128KiB", "1M", "1MiB".
func parseSize(text string) (int, error) {
	digits := strings.TrimRight(text, "KMiBkmb")
	shift := 0
	switch strings.ToLower(text[len(digits):]) {
	case "", "b":
	case "k", "kb", "kib":
		shift = 10
	case "m", "mb", "mib":
		shift = 20
	default:
		return 0, errSize()
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || n<<shift > maxSocketSize {
		return 0, errSize()
	}
	return int(n << shift), nil
}

func errSize() error {
	return wrong("is not a number of bytes up to 1 GiB", "write 131072 or 128K")
}

// parseInt returns a parser of whole numbers from low to high.
func parseInt(low, high int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return 0, wrong("is not a number from "+strconv.Itoa(low)+" to "+strconv.Itoa(high), "")
		}
		return n, nil
	}
}

// parseMark reads an unsigned 32-bit number, decimal or 0x hex.
func parseMark(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 0, 32)
	if err != nil {
		return 0, wrong("is not a mark", "write a number from 0 to 4294967295, or 0x and hex digits")
	}
	return uint32(n), nil
}

// parseFamily returns a parser of one address of the wanted family; empty text is no address.
func parseFamily(v4 bool, example string) func(string) (netip.Addr, error) {
	return func(text string) (netip.Addr, error) {
		if text == "" {
			return netip.Addr{}, nil
		}
		a, err := netip.ParseAddr(text)
		if err != nil || a.Unmap().Is4() != v4 {
			return netip.Addr{}, wrong("is not an address of this family", "write an address of this host, such as "+example)
		}
		return a.Unmap(), nil
	}
}

// parseInterface reads a network interface's name; empty text is none.
func parseInterface(text string) (string, error) {
	if len(text) > maxInterface || strings.ContainsAny(text, "/ \t\n") {
		return "", wrong("is not the name of a network interface", "ip link shows the names")
	}
	return text, nil
}

// parseDC reads a datacenter id.
func parseDC(text string) (codec.DC, error) {
	n, err := strconv.ParseInt(text, 10, 16)
	if err != nil || n == 0 {
		return 0, wrong("is not a datacenter id", "write a number from -32768 to 32767 without 0, such as 2, or -2 for its media servers")
	}
	return codec.DC(n), nil
}

// dcRoute is one --dc.
type dcRoute struct {
	id    codec.DC
	addrs []netip.AddrPort
}

// parseRoute reads "ID=HOST:PORT[,HOST:PORT]", hosts being IP addresses.
func parseRoute(text string) (dcRoute, error) {
	const cure = "write ID=ADDRESS:PORT[,ADDRESS:PORT] with IP addresses, such as 2=149.154.167.50:443,[2001:67c:4e8:f002::a]:443"
	id, list, ok := strings.Cut(text, "=")
	if !ok {
		return dcRoute{}, wrong("has no =", cure)
	}
	dc, err := parseDC(id)
	if err != nil {
		return dcRoute{}, err
	}
	r := dcRoute{id: dc}
	for host := range strings.SplitSeq(list, ",") {
		a, err := netip.ParseAddrPort(strings.TrimSpace(host))
		switch {
		case err != nil:
			return dcRoute{}, wrong("has something that is not an IP address with a port", cure)
		case a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast():
			return dcRoute{}, wrong("has an address that nobody can connect to", cure)
		}
		r.addrs = append(r.addrs, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
	}
	return r, nil
}

// showRoutes returns what --dc takes, with commas between, in the order of the ids.
func showRoutes(routes map[codec.DC][]netip.AddrPort) string {
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(routes)) {
		var addrs []string
		for _, a := range routes[id] {
			addrs = append(addrs, a.String())
		}
		texts = append(texts, strconv.Itoa(int(id))+"="+strings.Join(addrs, ","))
	}
	return strings.Join(texts, ",")
}

// Keepalive is TCP keepalive on client and upstream sockets; the zero Keepalive is off.
type Keepalive struct {
	Idle     time.Duration // silence before the first probe, whole seconds
	Interval time.Duration // between probes, whole seconds
	Count    int           // unanswered probes until the socket is dead
}

// String returns what ParseKeepalive takes.
func (k Keepalive) String() string {
	if k == (Keepalive{}) {
		return "off"
	}
	return fmt.Sprintf("%s/%s/%d", short(k.Idle), short(k.Interval), k.Count)
}

// ParseKeepalive reads "IDLE/INTERVAL/COUNT", such as "60s/30s/4", or "off".
func ParseKeepalive(text string) (Keepalive, error) {
	if text == "off" {
		return Keepalive{}, nil
	}
	bad := wrong("is not IDLE/INTERVAL/COUNT", "write whole seconds and a count up to 127, such as 60s/30s/4, or off")
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return Keepalive{}, bad
	}
	idle, err1 := parseDuration(parts[0])
	interval, err2 := parseDuration(parts[1])
	count, err3 := parseInt(1, maxKeepCount)(parts[2])
	if err1 != nil || err2 != nil || err3 != nil || !keepTime(idle) || !keepTime(interval) {
		return Keepalive{}, bad
	}
	return Keepalive{Idle: idle, Interval: interval, Count: count}, nil
}

func keepTime(d time.Duration) bool {
	return d >= time.Second && d <= maxKeepTime*time.Second && d%time.Second == 0
}

// short prints 20m0s as 20m, 1h0m0s as 1h and no time as 0.
func short(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	text := d.String()
	if d >= time.Minute && d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d >= time.Hour && d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
