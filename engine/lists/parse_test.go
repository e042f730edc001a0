package lists

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// netset is a list in all its forms, with three bad lines.
const netset = "\ufeff# FireHOL-like\n#\n; another comment\n\n" +
	"192.0.2.1\n198.51.100.0/24 ; SBL1\n203.0.113.77/24 # bits behind the prefix\r\n" +
	"10.0.0.3 - 10.0.0.8\n2001:db8::/32\n2001:db8:ffff::1-2001:db8:ffff::2\n::ffff:100.64.0.0/106\n  ::ffff:192.0.2.2\t\n" +
	"not an address\n10.0.0.9-10.0.0.1\n1.2.3.4/33"

func TestParse(t *testing.T) {
	c, err := parse(netset)
	if err != nil || c.bad != 3 || c.firstBad != 13 {
		t.Fatalf("%d bad lines, first %d, %v", c.bad, c.firstBad, err)
	}
	got := spans(c.table)
	want := "10.0.0.3-10.0.0.8 100.64.0.0-100.127.255.255 192.0.2.1-192.0.2.2 198.51.100.0-198.51.100.255 203.0.113.0-203.0.113.255 " +
		"2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s\nwant\n%s", s, want)
	}
	for text, want := range map[string]error{
		"<!DOCTYPE html>\n1.2.3.4":            errHTML,
		"\n \t<html>":                         errHTML,
		"1.2.3.4\na\nb":                       errBadLines,
		"fe80::1%eth0":                        errBadLines,
		"1.2.3.4-::1":                         errBadLines,
		"1.2.3.4\n\x00\x01":                   errBinary,
		"1.2.3.4 5.6.7.8":                     errBadLines,
		"::fffe:0:0-1.2.3.4":                  errBadLines,
		"::/0-::1":                            errBadLines,
		"fe80::1%a-fe80::2%a":                 errBadLines,
		"":                                    nil,
		"# nothing":                           nil,
		"0.0.0.0-255.255.255.255\n::/0\nwhat": nil,
	} {
		if _, err := parse(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if c, _ := parse("0.0.0.0-255.255.255.255"); !c.table.everybody() {
		t.Error("everybody is not noticed")
	}
}

// spans returns what a table holds, as ranges.
func spans(t *table) []string {
	var all []string
	for _, s := range t.v4 {
		all = append(all, fmt.Sprintf("%v-%v", addr4(s.first), addr4(s.last)))
	}
	for _, s := range t.v6 {
		all = append(all, fmt.Sprintf("%v-%v", addr6(s.first), addr6(s.last)))
	}
	return all
}

func addr4(x uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, x)))
}

func addr6(x wide) netip.Addr {
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.hi), x.lo)))
}

// TestTable compares a table with the prefixes and ranges in it, with and without an index.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) netip.Addr {
			var ip [16]byte
			for i := range ip {
				ip[i] = rapid.SampledFrom([]byte{0, 0, 1, 0x7f, 0x80, 0xfe, 0xff, 0xff}).Draw(t, label)
			}
			if rapid.Bool().Draw(t, "v4") {
				return netip.AddrFrom4([4]byte(ip[:4]))
			}
			return netip.AddrFrom16(ip).Unmap()
		}
		tab := new(table)
		type pair struct{ a, b netip.Addr }
		var in []pair
		var ask []netip.Addr
		for range rapid.IntRange(0, 8).Draw(t, "n") {
			a, b := draw("a"), draw("b")
			line := fmt.Sprintf("%v/%d", a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
			if rapid.Bool().Draw(t, "range") && a.BitLen() == b.BitLen() && !b.Less(a) {
				line = fmt.Sprintf("%v - %v", a, b)
			}
			first, last, ok := entry(line)
			if !ok {
				t.Fatalf("%q is not taken", line)
			}
			if p, err := netip.ParsePrefix(line); err == nil && (!p.Contains(first) || !p.Contains(last) || first.Prev().IsValid() && p.Contains(first.Prev()) || last.Next().IsValid() && p.Contains(last.Next())) {
				t.Fatalf("%q is %v to %v", line, first, last)
			}
			tab.add(first, last)
			in = append(in, pair{first, last})
			ask = append(ask, first, last, first.Prev(), last.Next(), draw("x"))
		}
		if rapid.Bool().Draw(t, "index") { // far from all others
			for i := range uint32(indexFrom) {
				a := addr4(0x42000000 + 2*i)
				tab.add(a, a)
			}
			in = append(in, pair{addr4(0x42000002), addr4(0x42000002)})
			ask = append(ask, addr4(0x42000001), addr4(0x41ffffff), addr4(0x42000002))
		}
		tab.build()
		for _, x := range ask {
			if !x.IsValid() {
				continue
			}
			want := false
			for _, p := range in {
				want = want || x.BitLen() == p.a.BitLen() && !x.Less(p.a) && !p.b.Less(x)
			}
			if tab.contains(x) != want {
				t.Fatalf("%v: want %v in %v", x, want, in)
			}
		}
	})
}

// FuzzParse: no text is a fault, and what is taken is the same list when it is printed and read again.
func FuzzParse(f *testing.F) {
	f.Add(netset)
	f.Add("1.2.3.4-1.2.4.1\n::1-::ff;x\n<html>")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(text)
		if err != nil {
			return
		}
		var b strings.Builder
		all := spans(c.table)
		for _, s := range all {
			fmt.Fprintln(&b, s)
		}
		if back, err := parse(b.String()); err != nil || back.bad != 0 || !slices.Equal(spans(back.table), all) {
			t.Fatalf("%q gives %q: %v", text, b.String(), err)
		}
	})
}

func TestSpec(t *testing.T) {
	for in, want := range map[string]Spec{
		"a block-drop /x y":                  {"a", BlockDrop, "/x y"},
		"  b  allow   https://u:p@h/l?k=1  ": {"b", AllowFront, "https://u:p@h/l?k=1"},
		"c.-_ allow-drop file:///x":          {"c.-_", AllowDrop, "file:///x"},
	} {
		if s, err := ParseSpec(in); err != nil || s != want {
			t.Errorf("%q: %+v, %v", in, s, err)
		}
	}
	for in, cure := range map[string]string{
		"": "write one like", "a block-drop": "write one like", "a deny x": "one of block-drop", "a/b allow x": "letters",
		"a allow ftp://x/y": "http or https", "a allow https://": "names no host", "a allow file://h/x": "names no host",
	} {
		if s, err := ParseSpec(in); err == nil || !strings.Contains(err.Error(), cure) {
			t.Errorf("%q: %+v, %v; want %q", in, s, err, cure)
		}
	}
	s := Spec{"b", AllowFront, "https://u:hunter2@h/l?key=hunter2"}
	if text := s.String(); strings.Contains(text, "hunter2") || !strings.HasPrefix(text, "b allow-front https://u:") {
		t.Errorf("%s", text)
	}
}

// FuzzParseSpec: what is taken without a secret is printed, read and printed the same.
func FuzzParseSpec(f *testing.F) {
	f.Add("a block-drop /x y")
	f.Add("b allow https://h/l")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpec(text)
		if err != nil || strings.Contains(s.Source, "://") {
			return
		}
		if back, err := ParseSpec(s.Name + " " + s.Mode.String() + " " + s.Source); err != nil || back != s {
			t.Fatalf("%q is %+v, then %+v, %v", text, s, back, err)
		}
	})
}

// FuzzUnseal gives any file: what comes out is what was sealed.
func FuzzUnseal(f *testing.F) {
	for _, body := range []string{"", netset, sealMark} {
		f.Add(body+newSeal(body, "a", mark{`"tag"`, "Mon"}).line(), "a")
	}
	f.Fuzz(func(t *testing.T, all, source string) {
		body, m, err := unseal(all, source)
		if err == nil && all != body+newSeal(body, source, m).line() {
			t.Fatalf("%q gives %q", all, body)
		}
		m = mark{tame(source), tame(all)}
		if back, got, err := unseal(all+newSeal(all, source, m).line(), source); err != nil || back != all || got != m {
			t.Fatalf("%q sealed gives %q, %v", all, back, err)
		}
	})
}
