package doctor

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"epoxy/engine/config"
)

// ports looks whether clients and the operator can be listened for.
func (d *doctor) ports(ctx context.Context) []Finding {
	running := d.running(ctx)
	places := d.set.Listen
	if !d.set.Admin.IsZero() {
		places = append(places[:len(places):len(places)], config.Listen{Endpoint: d.set.Admin})
	}
	if !d.set.ServeBack.IsZero() {
		places = append(places[:len(places):len(places)], config.Listen{Name: "serve-back", Endpoint: d.set.ServeBack})
	}
	return together(len(places), func(i int) []Finding {
		flag := "--listen"
		switch {
		case places[i].Name == "":
			flag = "--admin"
		case i >= len(d.set.Listen):
			flag = "--serve-back"
		}
		return one(d.port(flag, places[i].Endpoint, running))
	})
}

// epoxy is the one that runs with these settings, as its door tells.
type epoxy struct {
	answers bool
	pid     string // empty when it cannot be told
}

// running looks for one.
func (d *doctor) running(ctx context.Context) (e epoxy) {
	if e.answers = d.epoxyAt(ctx, d.set.Admin); e.answers {
		e.pid, _ = d.holder(d.set.Admin.Addr)
	}
	return e
}

// port looks at one place.
func (d *doctor) port(flag string, at config.Endpoint, running epoxy) Finding {
	f := Finding{Check: "ports", Text: flag + " " + at.String() + " is free"}
	if dir := path.Dir(at.Path); at.Path != "" && at.Path[0] == '/' && dir != "/" {
		if info, err := fs.Stat(d.Root, dir[1:]); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
			f.Name, f.Level, f.Text = "no_directory", Fault, flag+" "+at.String()+": the directory is not there"
			f.Cure = "mkdir -p " + dir + ", or RuntimeDirectory= in the systemd unit"
			return f
		}
	}
	err := d.Bind(at.String())
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "in use"):
		return d.taken(flag, at, running)
	case errors.Is(err, fs.ErrPermission):
		f.Name, f.Level, f.Text = "port_privilege", Fault, fmt.Sprintf("%s %s: this user may not listen below port 1024", flag, at)
		f.Cure = "write AmbientCapabilities=CAP_NET_BIND_SERVICE into the systemd unit; or `setcap cap_net_bind_service=+ep` on the program; or " +
			sysctlCure("net.ipv4.ip_unprivileged_port_start", strconv.Itoa(int(at.Addr.Port())))
		if at.Path != "" {
			f.Text, f.Cure = flag+" "+at.String()+": this user may not make the socket there", "name another directory"
		}
	default:
		f.Name, f.Level, f.Text = "port_unusable", Fault, fmt.Sprintf("%s %s: nobody can listen there: %v", flag, at, err)
		f.Cure = "name an address of this machine (`ip address` lists them), or :PORT for all"
	}
	return f
}

// taken tells who has a place.
func (d *doctor) taken(flag string, at config.Endpoint, running epoxy) Finding {
	pid, name := d.holder(at.Addr)
	who := "another program, which only root can name"
	if pid != "" {
		who = name + " (pid " + pid + ")"
	}
	f := Finding{Check: "ports", Text: fmt.Sprintf("%s %s is taken by %s", flag, at, who)}
	switch {
	case running.answers && (pid == "" || pid == running.pid || name == "epoxy"):
		f.Text += ": the Epoxy whose door is at " + d.set.Admin.String()
	case name == "epoxy":
		f.Name, f.Level, f.Cure = "port_epoxy", Note, "nothing when that is the Epoxy of these settings; a second one needs another port"
	default:
		f.Name, f.Level = "port_taken", Fault
		f.Cure = "stop it, or choose another port by " + flag
		if pid == "" {
			f.Cure = fmt.Sprintf("`ss -ltnp sport = %d` as root names it; ", at.Addr.Port()) + f.Cure
		}
	}
	return f
}

// epoxyAt reports whether an Epoxy's door is there.
func (d *doctor) epoxyAt(ctx context.Context, door config.Endpoint) bool {
	if door.IsZero() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, d.Probe)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if door.Path != "" {
			return d.dial(ctx, "unix", door.Path)
		}
		return d.dial(ctx, "tcp", door.Addr.String())
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return err == nil && (strings.HasPrefix(string(body), "Epoxy,") || resp.StatusCode == http.StatusUnauthorized && strings.Contains(string(body), "admin: the token"))
}

// holder returns the process that listens where at would, empty when it cannot be told.
func (d *doctor) holder(at netip.AddrPort) (pid, name string) {
	sockets := map[string]bool{}
	for _, table := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		for line := range strings.Lines(d.read(table)) {
			if inode := listener(line, at); inode != "" {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	if len(sockets) == 0 {
		return "", ""
	}
	processes, _ := fs.ReadDir(d.Root, "proc")
	for _, p := range processes {
		if _, err := strconv.Atoi(p.Name()); err == nil && d.holds(p.Name(), sockets) {
			return p.Name(), d.read("proc/" + p.Name() + "/comm")
		}
	}
	return "", ""
}

// listener returns the inode in a line of /proc/net/tcp when it is a listener in the way of at:
//
//	number: address:port other:port state ... ... ... uid timeout inode      all in hex but the last; state 0A listens
func listener(line string, at netip.AddrPort) string {
	const where, state, inode = 1, 3, 9
	words := strings.Fields(line)
	if len(words) <= inode || words[state] != "0A" {
		return ""
	}
	addr, port, _ := strings.Cut(words[where], ":")
	raw, err := hex.DecodeString(addr)
	if n, perr := strconv.ParseUint(port, 16, 16); err != nil || perr != nil || uint16(n) != at.Port() {
		return ""
	}
	for i := 0; i+4 <= len(raw); i += 4 { // words in the machine's order, which is little endian
		raw[i], raw[i+1], raw[i+2], raw[i+3] = raw[i+3], raw[i+2], raw[i+1], raw[i]
	}
	a, _ := netip.AddrFromSlice(raw)
	if a = a.Unmap(); a.IsUnspecified() || at.Addr().IsUnspecified() || a == at.Addr() {
		return words[inode]
	}
	return ""
}

// holds reports whether a process has one of the sockets.
func (d *doctor) holds(pid string, sockets map[string]bool) bool {
	dir := "proc/" + pid + "/fd"
	f, err := d.Root.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	open, ok := f.(fs.ReadDirFile)
	if !ok {
		return false
	}
	entries, _ := open.ReadDir(maxSockets) // a descriptor that closes meanwhile ends the list
	for _, e := range entries {
		if to, err := fs.ReadLink(d.Root, dir+"/"+e.Name()); err == nil && sockets[to] {
			return true
		}
	}
	return false
}
