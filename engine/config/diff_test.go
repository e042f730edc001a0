package config

import (
	"slices"
	"strings"
	"testing"
)

// Every kind of difference is one line; what must not be shown is not, and nothing that is the same is told.
func TestDiff(t *testing.T) {
	base := []string{"--listen=a=:443", "--listen=b=:444", "--secret=x=" + testKey, "--allow=tls"}
	from, err := load(t, base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(from, from); len(d) != 0 {
		t.Errorf("nothing differs, and it says %v", d)
	}
	to, err := load(t, []string{
		"--listen=a=:443?max-clients=5", "--listen=c=:445", "--secret=x=" + testKey + "?quota=1G", "--secret=y=00112233445566778899aabbccddeeff",
		"--allow=tls", "--sni-salt=pepper", "--admin-token=0123456789abcdefXYZ", "--upstream-proxy=socks5://u:hunter2@127.0.0.1:1",
		"--telegram-config=https://u:hunter2@host/x", "--loops=3", "--idle-timeout=5m",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range Diff(from, to) {
		lines = append(lines, c.String())
	}
	for _, want := range []string{
		"port :443 changed", "port :445 added", "port :444 removed", "secret x changed", "secret y added", "sni-salt changed",
		"admin-token changed (after a restart)", "upstream-proxy changed", "loops: 0 becomes 3 (after a restart)", "idle-timeout: 20m becomes 5m",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not told in %q", want, lines)
		}
	}
	all := strings.Join(lines, "\n")
	for _, hidden := range []string{"hunter2", "pepper", "XYZ", testKey, "00112233"} {
		if strings.Contains(all, hidden) {
			t.Errorf("%q is told:\n%s", hidden, all)
		}
	}
	if strings.Contains(all, "max-clients") || len(lines) != 11 {
		t.Errorf("%d lines:\n%s", len(lines), all)
	}
}
