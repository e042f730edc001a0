package browser

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/engine"
	"epoxy/engine/config"
	"epoxy/engine/stats"
)

const (
	domain   = "www.example.com"
	marker   = "what every visitor reads at"
	visits   = 10
	patience = time.Minute // of one visit
)

// A browser that knows nothing of Epoxy opens https:// at its port, ten times with a new profile each, and gets the front's page
// over HTTP/2; Epoxy counts it among the strangers at the front and as nothing else.
func TestChromium(t *testing.T) {
	if testing.Short() {
		t.Skip("ten starts of a browser are left out of short runs")
	}
	chromium := program(t, "chromium")
	s := newSite(t)
	e, port := proxy(t, s)
	for i := range visits {
		uri := fmt.Sprintf("/visit/%d", i)
		page := visit(t, chromium, port, s.pin, uri)
		if want := marker + " " + uri + "<"; !strings.Contains(page, want) {
			t.Fatalf("visit %d: %q is not in the page:\n%s", i, want, page)
		}
		var seen []string
		for end := time.Now().Add(patience); len(seen) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			seen = s.lines(t, uri) // nginx writes the line after its answer
		}
		if len(seen) != 1 || seen[0] != "HTTP/2.0 "+uri+" 200" {
			t.Fatalf("visit %d: nginx saw %q", i, seen)
		}
	}
	var now stats.Snapshot
	e.Collect(&now)
	sum := now.Sum()
	// Some visits have a second connection, which the browser opens ahead and never uses.
	if sum.Front.Opened < visits || sum.Front.Opened != sum.Accepted || sum.Front.Failed != [codec.Reasons]uint64{} || sum.Front.Full+sum.Front.NoTarget > 0 {
		t.Errorf("%d accepted, at the front: %+v", sum.Accepted, sum.Front)
	}
	t.Logf("%d visits, %d strangers at the front", visits, sum.Front.Opened)
}

// proxy runs an Epoxy in front of s, as --front would, until the test ends.
func proxy(t *testing.T, s *site) (*engine.Engine, netip.AddrPort) {
	t.Helper()
	set := config.Default()
	at, err := config.ParseEndpoint("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set.Listen = []config.Listen{{Name: "web", Endpoint: at}}
	set.Secrets = []config.NamedSecret{{Name: "a", Secret: secret.Secret{Key: codec.Key{1, 2, 3}}}}
	set.Domain, set.Allow, set.Upstream, set.Loops = domain, config.AllowOf(codec.TLS), config.UpstreamDirect, 2
	set.Fronts = []config.Front{{Addr: s.at}}
	if err := set.Validate(); err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e, netip.MustParseAddrPort(e.Addrs()[0])
}

// visit lets a fresh browser open the page and returns its document. It knows one name, the site's, and resolves no other.
func visit(t *testing.T, chromium string, port netip.AddrPort, pin, uri string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, chromium,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir="+t.TempDir(),
		"--host-resolver-rules=MAP "+domain+" 127.0.0.1 , MAP * ~NOTFOUND", "--proxy-server=direct://", "--disable-quic",
		"--ignore-certificate-errors-spki-list="+pin, "--no-first-run", "--no-default-browser-check", "--no-pings", "--disable-background-networking",
		"--disable-component-update", "--disable-default-apps", "--disable-domain-reliability", "--disable-extensions", "--disable-sync",
		"--dump-dom", fmt.Sprintf("https://%s:%d%s", domain, port.Port(), uri))
	var page, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &page, &said
	cmd.WaitDelay = 5 * time.Second // its children may hold the pipes
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, &said)
	}
	return page.String()
}
