package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// sysctlCure is the line for now and the line for the next boot.
func sysctlCure(key, value string) string {
	now := value
	if strings.Contains(value, " ") {
		now = strconv.Quote(value)
	}
	return fmt.Sprintf("sysctl -w %s=%s; to keep it, the line `%s = %s` in /etc/sysctl.d/90-epoxy.conf", key, now, key, value)
}

// kernel is the path of a setting.
func kernel(key string) string { return "proc/sys/" + strings.ReplaceAll(key, ".", "/") }

// advice is a finding about one setting of the kernel.
func advice(level Level, key, value, text string) Finding {
	return Finding{Check: "sysctl", Name: key, Level: level, Text: text, Cure: sysctlCure(key, value)}
}

// sysctl looks at the kernel's settings; those that are not there, as in a container, are passed over.
func (d *doctor) sysctl(context.Context) (found []Finding) {
	n, lacking := d.clients()
	backlog := int64(d.set.Backlog)
	need := n*d.each() + d.reserve()
	synLevel := Note
	if v := d.numbers(kernel("net.ipv4.tcp_syncookies")); len(v) == 1 && v[0] == 0 {
		synLevel = Warning
	}
	for _, k := range []struct {
		key   string
		want  int64
		level Level
		why   string
	}{
		{"net.core.somaxconn", backlog, Warning, "the kernel cuts --backlog to it"},
		{"net.ipv4.tcp_max_syn_backlog", backlog, synLevel, "so many handshakes may be under way before the kernel drops or defends, --backlog is more"},
		{"fs.epoll.max_user_watches", need, lacking, "each socket takes one"},
		{"net.netfilter.nf_conntrack_max", need, lacking, "a firewall tracks every connection, and drops new ones when the table is full; better still exempt the port"},
	} {
		if v := d.numbers(kernel(k.key)); len(v) == 1 && v[0] < k.want {
			found = append(found, advice(k.level, k.key, strconv.FormatInt(k.want, 10), fmt.Sprintf("%s is %d, %d are wanted: %s", k.key, v[0], k.want, k.why)))
		}
	}
	found = append(found, d.tracked()...)
	if d.each() > 1 && len(d.set.UpstreamProxies) == 0 {
		found = append(found, d.localPorts(n, lacking)...)
	}
	found = append(found, d.tcp(n, lacking)...)
	if len(found) == 0 {
		found = one(Finding{Check: "sysctl", Text: "the kernel's settings fit " + strconv.FormatInt(n, 10) + " clients"})
	}
	return append(found, d.congestion()...)
}

// tracked tells of a table of connections that is nearly full.
func (d *doctor) tracked() []Finding {
	const key = "net.netfilter.nf_conntrack_max"
	most, now := d.numbers(kernel(key)), d.numbers(kernel("net.netfilter.nf_conntrack_count"))
	if len(most) != 1 || len(now) != 1 || now[0]*100 < most[0]*fullTable {
		return nil
	}
	return one(advice(Fault, key, strconv.FormatInt(4*most[0], 10), fmt.Sprintf("the firewall tracks %d connections of %d: new ones are dropped", now[0], most[0])))
}

// localPorts looks at what direct clients need: a local port each towards their datacenter's address.
func (d *doctor) localPorts(n int64, lacking Level) (found []Finding) {
	const key = "net.ipv4.ip_local_port_range"
	if v := d.numbers(kernel(key)); len(v) == 2 && v[1]-v[0]+1 < min(n, allPorts) {
		found = append(found, advice(lacking, key, "1024 65535", fmt.Sprintf(
			"%s leaves %d ports, and so many clients at most can go to one address of Telegram; there may be %d", key, max(0, v[1]-v[0]+1), n)))
	}
	if n > allPorts {
		found = append(found, Finding{Check: "sysctl", Name: "local_ports", Level: Note,
			Text: fmt.Sprintf("there may be %d clients, and one address of this host has %d ports towards one address of Telegram", n, allPorts),
			Cure: "let clients share links (--upstream middle), give the host IPv6 too, or run a second Epoxy with another --bind-v4"})
	}
	if v := d.numbers(kernel("net.ipv4.tcp_tw_reuse")); len(v) == 1 && v[0] == 0 {
		found = append(found, advice(Note, "net.ipv4.tcp_tw_reuse", "1", "net.ipv4.tcp_tw_reuse is 0: ports towards Telegram rest a minute after each client"))
	}
	return found
}

// tcp looks at the memory of sockets.
func (d *doctor) tcp(n int64, lacking Level) (found []Finding) {
	if v := d.numbers(kernel("net.ipv4.tcp_mem")); len(v) == 3 {
		pages := n * d.each() * memorySocket / int64(os.Getpagesize())
		if v[1] < pages {
			value := fmt.Sprintf("%d %d %d", pages, pages*3/2, pages*2)
			found = append(found, advice(lacking, "net.ipv4.tcp_mem", value, fmt.Sprintf(
				"net.ipv4.tcp_mem begins to save at %d pages, the sockets of %d clients take about %d", v[1], n, pages)))
		}
	}
	if v := d.numbers(kernel("net.ipv4.tcp_rmem")); len(v) == 3 {
		const good = "4096 131072 6291456"
		switch {
		case v[1] > mostRmem:
			found = append(found, advice(Warning, "net.ipv4.tcp_rmem", good, fmt.Sprintf("net.ipv4.tcp_rmem lets every new socket take %d bytes", v[1])))
		case v[2] < leastRmem:
			found = append(found, advice(Warning, "net.ipv4.tcp_rmem", good, fmt.Sprintf("net.ipv4.tcp_rmem lets a socket take %d bytes at most: uploads over long lines are slow", v[2])))
		}
	}
	if v := d.numbers(kernel("net.ipv4.tcp_wmem")); len(v) == 3 && v[2] < leastWmem {
		found = append(found, advice(Warning, "net.ipv4.tcp_wmem", "4096 16384 4194304", fmt.Sprintf("net.ipv4.tcp_wmem lets a socket take %d bytes at most: downloads over long lines are slow", v[2])))
	}
	return found
}

// congestion notes that clients far away are better served by BBR.
func (d *doctor) congestion() []Finding {
	const key = "net.ipv4.tcp_congestion_control"
	now := d.read(kernel(key))
	if now == "" || strings.HasPrefix(now, "bbr") {
		return nil
	}
	f := advice(Note, key, "bbr", key+" is "+now+"; bbr often serves clients on lossy lines better")
	if !strings.Contains(d.read(kernel("net.ipv4.tcp_available_congestion_control")), "bbr") {
		f.Cure = "modprobe tcp_bbr; " + f.Cure
	}
	return one(f)
}
