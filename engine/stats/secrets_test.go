package stats

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/engine/quota"
)

// A12: who limits refused is counted by secret and reason; all values are there from the start.
func TestSecrets(t *testing.T) {
	u := quota.Usage{
		Name: "bob", Clients: 2, Addresses: 3, Up: 10, Down: 20, AllUp: 100, AllDown: 200, Quota: 1000, Expires: time.Unix(1800000000, 0), Enabled: true,
	}
	u.Refused[codec.ReasonSecretClients] = 4
	got := scrape(t, Snapshot{Loops: make([]Loop, 1), Secrets: []quota.Usage{{Name: "amy"}, u}, Ports: []Port{{Name: "main", Clients: 7}}})
	for name, want := range map[string]string{
		PortClients + `{port="main"}`: "7", SecretClients + `{secret="bob"}`: "2", SecretAddresses + `{secret="bob"}`: "3",
		SecretBytes + `{secret="bob",direction="up"}`: "100", SecretBytes + `{secret="bob",direction="down"}`: "200",
		SecretUsed + `{secret="bob"}`: "30", SecretQuota + `{secret="bob"}`: "1000", SecretExpires + `{secret="bob"}`: "1800000000",
		SecretEnabled + `{secret="bob"}`: "1", SecretRefused + `{secret="bob",reason="secret_clients"}`: "4",
		SecretRefused + `{secret="amy",reason="secret_quota"}`: "0", SecretExpires + `{secret="amy"}`: "0", SecretEnabled + `{secret="amy"}`: "0",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}

// A page does not grow without bound: beyond a thousand secrets the rest are one.
func TestManySecrets(t *testing.T) {
	var all []quota.Usage
	for i := range 1234 {
		all = append(all, quota.Usage{Name: fmt.Sprint("s", i), Clients: 1, AllUp: 2})
	}
	got := scrape(t, Snapshot{Loops: make([]Loop, 1), Secrets: all})
	lines := 0
	for name := range got {
		if strings.HasPrefix(name, SecretClients+"{") {
			lines++
		}
	}
	if lines != 1001 || got[SecretClients+`{secret="other"}`] != "234" || got[SecretBytes+`{secret="other",direction="up"}`] != "468" {
		t.Errorf("%d lines, the others have %s clients", lines, got[SecretClients+`{secret="other"}`])
	}
	if all[1000].Name != "s1000" {
		t.Error("the source's list was changed")
	}
}
