package policy

import (
	"net/netip"
	"strings"
	"testing"
)

func mustKey(t testing.TB, line string) Key {
	t.Helper()
	k, err := ParseLine(line)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeys(t *testing.T) {
	for in, want := range map[string]string{
		"client_ip 192.0.2.1":                        "client_ip 192.0.2.1",
		"client_ip ::ffff:192.0.2.1":                 "client_ip 192.0.2.1", // B01
		"client_ip 2001:DB8:0::1":                    "client_ip 2001:db8::1",
		"client_subnet 10.0.0.0/8":                   "client_subnet 10.0.0.0/8",
		"client_subnet ::ffff:10.0.0.0/104":          "client_subnet 10.0.0.0/8", // B01
		"client_subnet 0.0.0.0/0":                    "client_subnet 0.0.0.0/0",
		"client_subnet ::/0":                         "client_subnet ::/0",
		"client_subnet 2001:db8::/48":                "client_subnet 2001:db8::/48",
		"tls_domain WWW.Example.ORG.":                "tls_domain www.example.org",
		"\t port \t main ":                           "port main",
		"secret Bob":                                 "secret Bob",
		"tls_domain " + strings.Repeat("a", maxText): "tls_domain " + strings.Repeat("a", maxText),
	} {
		k := mustKey(t, in)
		if k.String() != want || mustKey(t, want) != k {
			t.Errorf("%q is %q, want %q", in, k, want)
		}
	}
	for in, cure := range map[string]string{
		"":                         "write KEY VALUE",
		"client_ip":                "write KEY VALUE",
		"client_ip 1.2.3.4 5":      "write KEY VALUE",
		"client_ip 1.2.3":          "write one like",
		"client_ip fe80::1%eth0":   "write one like",
		"client_ip 10.0.0.0/8":     "write one like",
		"client_subnet 10.0.0.0":   "write one like",
		"client_subnet 10.1.0.0/8": "write 10.0.0.0/8",
		"ip 1.2.3.4":               "one of client_ip",
		"tls_domain .":             "name one",
		"port a\x01":               "take it out",
		"secret " + strings.Repeat("a", maxText+1): "at most 255",
	} {
		if k, err := ParseLine(in); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%q is %v, %v; want an error with %q", in, k, err, cure)
		}
	}
	if _, err := ParseKey(KeyKind(kinds), "x"); err == nil {
		t.Error("a kind that is none is taken")
	}
}

// TestTyped is B04: keys of different kinds are different, whatever their text.
func TestTyped(t *testing.T) {
	lines := []string{
		"client_subnet 10.0.0.0/8", "client_subnet 10.0.0.0/32", "client_subnet 10.0.0.0/9", "client_ip 10.0.0.0",
		"client_ip ::a00:0", "port 10.0.0.0", "secret 10.0.0.0", "tls_domain 10.0.0.0",
		"port example.org", "tls_domain example.org", "secret example.org", "client_subnet ::/0", "client_ip ::",
	}
	seen := map[Key]string{}
	for _, line := range lines {
		k := mustKey(t, line)
		if was, ok := seen[k]; ok {
			t.Errorf("%q and %q are one key", was, line)
		}
		seen[k] = line
	}
}

func TestSubnet(t *testing.T) {
	for _, p := range []string{"203.0.113.255/24", "203.0.113.255/1", "203.0.113.255/31", "2001:db8:ffff:ffff::1/48", "2001:db8:ffff:ffff::1/61", "2001:db8::1/128"} {
		want := netip.MustParsePrefix(p)
		s := spec{kind: ClientSubnet, bits4: uint8(want.Bits()), bits6: uint8(want.Bits())}
		c := Client{IP: want.Addr()}
		k, ok := c.key(s)
		if !ok || k != mustKey(t, "client_subnet "+want.Masked().String()) {
			t.Errorf("%s: %v", p, k)
		}
	}
}

func TestParseRule(t *testing.T) {
	for in, want := range map[string]string{
		"max_connections port,client_ip 2":                                              "max_connections client_ip,port 2",
		" max_connections  secret  0 ":                                                  "max_connections secret 0",
		"max_connections client_subnet/24 9":                                            "max_connections client_subnet/24/64 9",
		"max_connections client_subnet/32/48 9":                                         "max_connections client_subnet/32/48 9",
		"max_connections tls_domain,secret,port,client_ip,client_subnet/8/8 2147483647": "max_connections client_ip,client_subnet/8/8,tls_domain,port,secret 2147483647",
		"in_table tls_domain customers":                                                 "in_table tls_domain customers",
		"not_in_table client_ip blocked":                                                "not_in_table client_ip blocked",
		"not_in_table client_subnet/24 blocked-24.x":                                    "not_in_table client_subnet/24/64 blocked-24.x",
	} {
		r, err := ParseRule(in)
		if err != nil || r.String() != want {
			t.Errorf("%q is %q, %v; want %q", in, r, err, want)
		}
		if back, err := ParseRule(want); err != nil || back != r {
			t.Errorf("%q: %v, %v", want, back, err)
		}
	}
	for in, cure := range map[string]string{
		"":                                      "write one like",
		"allow client_ip x":                     "one of max_connections",
		"in_table client_ip":                    "write in_table KEY TABLE",
		"max_connections port":                  "write max_connections KEY N",
		"max_connections port 2 3":              "write max_connections KEY N",
		"max_connections port -1":               "from 0",
		"max_connections port 2147483648":       "from 0",
		"max_connections port,port 1":           "leave one out",
		"max_connections client_subnet 1":       "write client_subnet/24",
		"max_connections client_subnet/0 1":     "write client_subnet/24",
		"max_connections client_subnet/33 1":    "write client_subnet/24",
		"max_connections client_subnet/8/ 1":    "write client_subnet/24",
		"max_connections client_subnet/8/129 1": "write client_subnet/24",
		"max_connections client_subnet/8/9/9 1": "write client_subnet/24",
		"max_connections port/8 1":              "write port",
		"max_connections port, 1":               "one of client_ip",
		"in_table port,secret x":                "a rule for each",
		"in_table port a/b":                     "of letters, digits",
	} {
		if r, err := ParseRule(in); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%q is %v, %v; want an error with %q", in, r, err, cure)
		}
	}
	for _, bad := range [][]string{
		{"max_connections port,secret 1", "max_connections secret,port 2"},
		{"in_table port x", "in_table port x"},
	} {
		if _, err := Compile(mustRules(t, bad...)...); err == nil || !strings.Contains(err.Error(), "leave one out") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := Compile(Rule{}); err == nil {
		t.Error("an empty rule is taken")
	}
	if _, err := Compile(make([]Rule, maxRules+1)...); err == nil {
		t.Error("too many rules are taken")
	}
}

func mustRules(t testing.TB, lines ...string) []Rule {
	t.Helper()
	var rules []Rule
	for _, l := range lines {
		r, err := ParseRule(l)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	return rules
}

func compile(t testing.TB, lines ...string) *Rules {
	t.Helper()
	set, err := Compile(mustRules(t, lines...)...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// FuzzParseRule: what is taken is printed, read and printed the same.
func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"max_connections port,client_ip 2", "in_table client_subnet/24/48 x", "not_in_table tls_domain y", "a b c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			return
		}
		if back, err := ParseRule(r.String()); err != nil || back != r {
			t.Fatalf("%q is %q, which is %q, %v", text, r, back, err)
		}
		if _, err := Compile(r); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzParseLines: what is taken, exported and imported is the same table.
func FuzzParseLines(f *testing.F) {
	f.Add("client_ip 192.0.2.1\n# no\n\ntls_domain A.b.\r\nclient_subnet ::ffff:1.0.0.0/104\n")
	f.Add("port x\nsecret y\nclient_subnet 2001:db8::/32")
	f.Fuzz(func(t *testing.T, text string) {
		tables := NewTables(0)
		n, err := tables.Import("a", text)
		if err != nil {
			return
		}
		if m, err := tables.Import("b", string(tables.Export("a"))); m != n || err != nil {
			t.Fatalf("%q: %d keys, then %d, %v", text, n, m, err)
		}
		for _, k := range tables.List("a") {
			if !tables.Has("b", k) {
				t.Fatalf("%q lost %v", text, k)
			}
		}
	})
}
