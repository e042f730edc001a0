package admin

import (
	"encoding/json"
	"strings"
	"testing"

	"epoxy/engine/policy"
)

// Whatever is sent to a table is answered in JSON, and what was taken comes back as it is.
func FuzzTableBody(f *testing.F) {
	f.Add(true, "a", `[{"key": "client_ip", "value": "192.0.2.1"}]`)
	f.Add(true, "a.b-c", `[{"key": "secret", "value": "x y"}]`)
	f.Add(true, "a", `[{"key": 1}] []`)
	f.Add(false, "a", "# x\nclient_subnet 2001:db8::/32\nport p\n")
	f.Add(false, "a", "tls_domain ÄÖ.example")
	f.Add(false, "a", "tls_domain \xff0")
	f.Add(false, "..", "client_ip ::ffff:1.2.3.4%eth0")
	f.Fuzz(func(t *testing.T, asJSON bool, table, body string) {
		if policy.CheckName(table) != nil || strings.Trim(table, ".") == "" { // what a path cannot hold, ServeMux answers
			return
		}
		c := newControl()
		h := pages(Options{Control: c})
		kind := "text/plain"
		if asJSON {
			kind = "application/json"
		}
		w := asked{"POST", root + "/tables/" + table, kind, body}.of(h)
		var got Changed
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		if w.Code != 200 {
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error == "" {
				t.Fatalf("%d %s: %v", w.Code, w.Body, err)
			}
			return
		}
		if got.Added != c.tables.Len() {
			t.Errorf("%d added, %d there", got.Added, c.tables.Len())
		}
		back := asked{"GET", root + "/tables/" + table, "-", ""}.of(h).Body.String()
		if w := (asked{"DELETE", root + "/tables/" + table, "", back}).of(h); w.Code != 200 || c.tables.Len() != 0 {
			t.Errorf("what was listed, %s, deletes with %d and leaves %d", back, w.Code, c.tables.Len())
		}
	})
}
