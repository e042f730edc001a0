package dcmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"epoxy/codec"
)

// TestLookup walks the order of spec upstream-protocols 4.7.
func TestLookup(t *testing.T) {
	const text = `default 4; proxy_for 1 192.0.2.1:1; proxy_for -1 192.0.2.11:1; proxy_for 2 192.0.2.2:1;
		proxy_for 3 192.0.2.3:1; proxy_for 4 192.0.2.4:1; proxy_for 10001 192.0.2.101:1; proxy_for 1500 192.0.2.15:1;`
	l := mustParse(t, text, V4)
	noDefault := mustParse(t, "default 8;"+text[len("default 4;"):], V4)
	neither := mustParse(t, "default 8; proxy_for 1 192.0.2.1:1;", V4)
	for _, c := range []struct {
		list     *List
		dc, want codec.DC
	}{
		{l, 1, 1}, {l, -1, -1}, {l, -3, 3}, // exact, then without the sign
		{l, 7, 4}, {l, -7, 4}, {l, 0, 4}, {l, 1000, 4}, {l, 10002, 4}, {l, -32768, 4}, {l, 32767, 4}, // the default
		{l, 10001, 10001},             // a test DC that the list names
		{l, -10001, 4}, {l, -1500, 4}, // beyond 999 the sign is not dropped
		{noDefault, 7, 2},                // the default is unknown itself
		{neither, 7, 0}, {neither, 1, 1}, // nobody
		{nil, 1, 0},
	} {
		got, addrs := c.list.Lookup(c.dc)
		if got != c.want || (len(addrs) > 0) != (c.want != 0) {
			t.Errorf("DC %d is served by %d at %v, want %d", c.dc, got, addrs, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { l.Lookup(-7) }); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

func TestSnapshot(t *testing.T) {
	v4 := mustParse(t, "default 1; proxy_for 1 192.0.2.1:1; proxy_for 1 192.0.2.2:1; proxy_for 2 192.0.2.1:1;", V4)
	v6 := mustParse(t, "default 3; proxy_for 1 [2001:db8::1]:1;", V6)
	old := &Snapshot{V4: v4, V6: v6}
	if old.Default() != 1 || (&Snapshot{V6: v6}).Default() != 3 || (&Snapshot{}).Default() != 2 {
		t.Error("wrong default")
	}
	if dc, a := old.Lookup(1, V6); dc != 1 || len(a) != 1 || !a[0].Addr().Is6() {
		t.Errorf("IPv6 of DC 1 is %d at %v", dc, a)
	}

	next := &Snapshot{V4: mustParse(t, "proxy_for 1 192.0.2.2:1; proxy_for 5 192.0.2.1:1;", V4), V6: v6}
	target := func(dc codec.DC, addr string) Target { return Target{dc, netip.MustParseAddrPort(addr)} }
	added, removed := old.Changes(next)
	if !slices.Equal(added, []Target{target(5, "192.0.2.1:1")}) {
		t.Errorf("added %v", added)
	}
	if !slices.Equal(removed, []Target{target(1, "192.0.2.1:1"), target(2, "192.0.2.1:1")}) {
		t.Errorf("removed %v", removed)
	}
	if added, removed = next.Changes(next); len(added)+len(removed) > 0 {
		t.Errorf("against itself: %v, %v", added, removed)
	}
	if added, removed = (*Snapshot)(nil).Changes(old); len(added) != 4 || len(removed) != 0 {
		t.Errorf("against nothing: %v, %v", added, removed)
	}
	if added, removed = old.Changes(&Snapshot{V4: v4}); len(added) != 0 || len(removed) != 1 {
		t.Errorf("without IPv6: %v, %v", added, removed)
	}
	if !old.Has(target(1, "[2001:db8::1]:1")) || old.Has(target(5, "192.0.2.1:1")) {
		t.Error("Has is wrong")
	}
}

// B22: half the DCs are refused once and taken the second time.
func TestGuard(t *testing.T) {
	list := func(dcs ...codec.DC) *List {
		var b strings.Builder
		for _, dc := range dcs {
			fmt.Fprintf(&b, "proxy_for %d 192.0.2.1:1;", dc)
		}
		return mustParse(t, b.String(), V4)
	}
	old := list(1, 2, 3, 4, 5, -1)
	for _, c := range []struct {
		name string
		next []*List
		ok   []bool
	}{
		{"half is enough", []*List{list(1, 2, 3)}, []bool{true}},
		{"others do not count", []*List{list(1, 2, 6, 7, 8, 9)}, []bool{false}},
		{"twice the same", []*List{list(1, 2), list(1, 2)}, []bool{false, true}},
		{"not in a row", []*List{list(1, 2), list(1), list(1, 2), list(1, 2)}, []bool{false, false, false, true}},
		{"a good one between", []*List{list(1, 2), list(1, 2, 3), list(1, 2)}, []bool{false, true, false}},
	} {
		var g Guard
		for i, next := range c.next {
			err := g.Check(old, next)
			if (err == nil) != c.ok[i] || err != nil && !errors.Is(err, ErrImplausible) {
				t.Errorf("%s, list %d: %v", c.name, i, err)
			}
		}
	}
	var g Guard
	if g.Check(list(1, 203, -203), list(203, -203)) == nil {
		t.Error("took a list without DC 1..5")
	}
	if err := g.Check(nil, list(-203)); err != nil {
		t.Errorf("the first list: %v", err)
	}
}

// B21: a secret has 32..256 bytes and a selector.
func TestSecret(t *testing.T) {
	of := func(n int) []byte { return bytes.Repeat([]byte{0xa5}, n) }
	for n := range 300 {
		s, err := ParseSecret(of(n))
		if ok := n >= 32 && n <= 256; (err == nil) != ok || !ok && !errors.Is(err, ErrSecretSize) || len(s) != n && ok {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	p := of(32)
	copy(p, []byte{0xc4, 0xf9, 0xfa, 0xca})
	s, err := ParseSecret(p)
	if err != nil || s.Selector() != 0xcafaf9c4 {
		t.Fatalf("selector %#x, %v", s.Selector(), err)
	}
	if clear(p); s.Selector() != 0xcafaf9c4 {
		t.Error("the secret changes with the input")
	}
	if _, err := ParseSecret(append(make([]byte, 4), of(28)...)); !errors.Is(err, ErrSelector) {
		t.Errorf("selector 0: %v", err)
	}
	if !s.Equal(slices.Clone(s)) || s.Equal(s[:31]) || s.Equal(of(32)) {
		t.Error("Equal is wrong")
	}
	var none Secret
	if none.Selector() != 0 {
		t.Error("no secret has a selector")
	}

	snap := &Snapshot{Secret: s, Selector: s.Selector(), Old: s, OldSelector: 7, OldUntil: 100}
	if _, _, ok := snap.Alternate(100); ok {
		t.Error("the old secret lives too long")
	}
	if o, sel, ok := snap.Alternate(99); !ok || sel != 7 || !o.Equal(s) {
		t.Error("the old secret is gone too early")
	}
	if _, _, ok := (&Snapshot{OldUntil: 100}).Alternate(1); ok {
		t.Error("an old secret out of nothing")
	}
}

// TestSecretHidden prints a secret in every way.
func TestSecretHidden(t *testing.T) {
	raw := "tell-nobody-that-this-is-a-secret"
	s, err := ParseSecret([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	snap := Snapshot{Secret: s, Old: s}
	var out strings.Builder
	for _, v := range []any{s, &s, snap, &snap, []Secret{s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "% x", "%08b", "%o", "%c", "%U"} {
			fmt.Fprintf(&out, verb, v)
		}
		fmt.Fprintln(&out, v)
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	out.WriteString(s.String())
	for _, bad := range []string{raw[:4], fmt.Sprintf("%x", raw[:4]), fmt.Sprintf("%X", raw[:4]), "116 101 108", "0x74, 0x65", "dGVsbC1u", "164 145", "01110100"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("the secret shows as %q", bad)
		}
	}
}

func TestPublicAddr(t *testing.T) {
	a := netip.MustParseAddr
	s := &Snapshot{Own: [2]Own{V4: {Found: a("192.0.2.7")}, V6: {Given: a("2001:db8::7"), Found: a("2001:db8::8")}}}
	for local, want := range map[string]string{
		"10.0.0.1": "192.0.2.7", "127.0.0.1": "192.0.2.7", "100.64.1.1": "192.0.2.7", "198.51.100.1": "198.51.100.1",
		"::ffff:10.0.0.1": "192.0.2.7", "2001:db8::1": "2001:db8::7", "fd00::1": "2001:db8::7",
	} {
		if got := s.PublicAddr(a(local)); got != a(want) {
			t.Errorf("from %s: %v, want %s", local, got, want)
		}
	}
	if got := (&Snapshot{}).PublicAddr(a("10.0.0.1")); got != a("10.0.0.1") {
		t.Errorf("knowing nothing: %v", got)
	}
	for addr, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "10.1.1.1": false, "100.127.0.1": false, "100.128.0.1": true,
		"127.0.0.1": false, "169.254.1.1": false, "::1": false, "fe80::1": false, "fc00::1": false, "0.0.0.0": false,
		"::ffff:10.0.0.1": false, "224.0.0.1": false,
	} {
		if IsPublic(a(addr)) != want {
			t.Errorf("IsPublic(%s) is %v", addr, !want)
		}
	}
	if IsPublic(netip.Addr{}) {
		t.Error("no address is public")
	}
}
