package dcmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

type vector struct {
	ID     string
	Text   string
	Expect struct {
		Default *codec.DC
		DC      map[string][]string
		Error   string
	}
}

func vectors(t testing.TB) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Config []vector }
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Config) < 6 {
		t.Fatalf("only %d vectors", len(all.Config))
	}
	return all.Config
}

// mustParse reads a text that is right.
func mustParse(t testing.TB, text string, f Family) *List {
	t.Helper()
	l, err := Parse([]byte(text), f)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return l
}

// A63, A64: the configuration vectors, with and without a default; a missing one is DC 2.
func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		f := V4
		if strings.Contains(v.Text, "[") {
			f = V6
		}
		l, err := Parse([]byte(v.Text), f)
		if v.Expect.Error != "" {
			if !errors.Is(err, ErrNoTarget) {
				t.Errorf("%s: %v, want ErrNoTarget", v.ID, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", v.ID, err)
			continue
		}
		want := DefaultDC
		if v.Expect.Default != nil {
			want = *v.Expect.Default
		}
		if l.Default != want || l.Len() != len(v.Expect.DC) || l.Skipped != 0 {
			t.Errorf("%s: default %d, %d ids, %d skipped", v.ID, l.Default, l.Len(), l.Skipped)
		}
		for id, addrs := range v.Expect.DC {
			n, err := strconv.ParseInt(id, 10, 16)
			if err != nil {
				t.Fatal(err)
			}
			var want []netip.AddrPort
			for _, a := range addrs {
				want = append(want, netip.MustParseAddrPort(a))
			}
			if got, addrs := l.Lookup(codec.DC(n)); got != codec.DC(n) || !slices.Equal(addrs, want) {
				t.Errorf("%s: DC %d is %d at %v, want %v", v.ID, n, got, addrs, want)
			}
		}
	}
}

// B22: CRLF, IPv6, garbage and every oddity of the grammar, one by one. The text of each row stands
// before "proxy_for 9 192.0.2.9:9;".
func TestGrammar(t *testing.T) {
	for _, c := range []struct {
		text    string
		want    string // targets beside the last
		skipped int
	}{
		{"", "", 0},
		{";;; ;\r\n;", "", 0},
		{"# proxy_for 1 192.0.2.1:1;\n", "", 0},
		{"#;\r\n#\n", "", 0},
		{"proxy_for 1 192.0.2.1:1;", "1 192.0.2.1:1", 0},
		{"proxy_for\r\n1#x;\n\t192.0.2.1:1 # y;\r\n;", "1 192.0.2.1:1", 0},
		{"proxy_for -32768 192.0.2.1:65535;", "-32768 192.0.2.1:65535", 0},
		{"proxy_for +203 192.0.2.1:1;", "203 192.0.2.1:1", 0},
		{"proxy_for 1 [192.0.2.1]:1;", "1 192.0.2.1:1", 0},
		{"proxy_for 1 [::ffff:192.0.2.1]:1;", "1 192.0.2.1:1", 0},
		{"proxy 192.0.2.1:1;", "0 192.0.2.1:1", 0},
		{"timeout 300; min_connections 4; max_connections 8;", "", 0},
		{"proxy_for 1 192.0.2.1:1; proxy_for 1 192.0.2.1:1;", "1 192.0.2.1:1", 0},
		{"proxy_for 1 192.0.2.2:1; proxy_for 2 192.0.2.1:1; proxy_for 1 192.0.2.1:1;", "1 192.0.2.2:1, 1 192.0.2.1:1, 2 192.0.2.1:1", 0},
		{"hello world proxy_for 1 192.0.2.1:1;", "", 1},
		{"<html>502 Bad Gateway</html>;", "", 1},
		{"proxy_for 1 dc1.example.org:443;", "", 1},
		{"proxy_for 1 [2001:db8::1]:443;", "", 1},
		{"proxy_for 1 2001:db8::1:443;", "", 1},
		{"proxy_for 1 192.0.2.1:0;proxy_for 1 192.0.2.1:65536;proxy_for 1 192.0.2.1:+1;proxy_for 1 192.0.2.1:;", "", 4},
		{"proxy_for 1 192.0.2.1;proxy_for 1 192.0.2.01:1;proxy_for 1 192.0.2:1;proxy_for 1 :1;proxy_for 1 []:1;", "", 5},
		{"proxy_for 32768 192.0.2.1:1;proxy_for -32769 192.0.2.1:1;proxy_for x 192.0.2.1:1;", "", 3},
		{"proxy_for 1;proxy_for;proxy_for 1 192.0.2.1:1 x;proxy;proxy 1 192.0.2.1:1;default;default x;default 1 2;timeout;", "", 9},
		{"proxy_for 1 0.0.0.0:1;proxy_for 1 224.0.0.1:1;PROXY_FOR 1 192.0.2.1:1;", "", 3},
	} {
		l, err := Parse([]byte(c.text+"proxy_for 9 192.0.2.9:9;"), V4)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		var got []string
		for _, target := range l.Targets() {
			if target.DC != 9 {
				got = append(got, fmt.Sprintf("%d %v", target.DC, target.Addr))
			}
		}
		if s := strings.Join(got, ", "); s != c.want || l.Skipped != c.skipped || !l.Has(Target{9, netip.MustParseAddrPort("192.0.2.9:9")}) {
			t.Errorf("%q: targets %q, want %q; %d skipped, want %d", c.text, s, c.want, l.Skipped, c.skipped)
		}
	}
	if l := mustParse(t, "proxy_for 1 2001:db8::1:443;proxy_for 1 [fe80::1%eth0]:443;proxy_for 1 192.0.2.1:1;", V6); l.Skipped != 2 || len(l.Targets()) != 1 {
		t.Errorf("IPv6: %d skipped, %v", l.Skipped, l.Targets())
	}
	for text, want := range map[string]codec.DC{"default 4;": 4, "default -3;default 0;": 0, "default x;": 2, "default 70000;": 2} {
		if l := mustParse(t, text+"proxy_for 1 192.0.2.1:1;", V4); l.Default != want {
			t.Errorf("%q: default %d, want %d", text, l.Default, want)
		}
	}
}

// B22: texts that are refused whole.
func TestRefused(t *testing.T) {
	const good = "proxy_for 1 192.0.2.1:1;"
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i+1)
		}
		return b.String()
	}
	for _, c := range []struct {
		text string
		want error
	}{
		{"default 2;", ErrNoTarget},
		{"proxy 192.0.2.1:1;", ErrNoTarget},
		{"proxy_for 1 host:1;", ErrNoTarget},
		{"proxy_for 1 192.0.2.1:1", ErrNoTarget},
		{"proxy_for 1 [2001:db8::1]:1;", ErrNoTarget},
		{"#" + good, ErrNoTarget},
		{good + "\x00", ErrNUL},
		{good + "proxy_for 1 192.0.2.1:8", ErrTruncated},
		{good + "proxy_for#", ErrTruncated},
		{good + "x\n# y\n", ErrTruncated},
		{good + "# " + strings.Repeat("x", MaxText-len(good)-2), nil},
		{good + "# " + strings.Repeat("x", MaxText-len(good)-1), ErrTextSize},
		{lines(maxTargets, "proxy_for 1 192.0.2.1:%d;"), nil},
		{lines(maxTargets+1, "proxy_for 1 192.0.2.1:%d;"), ErrTooMany},
		{lines(maxDCs, "proxy_for %d 192.0.2.1:1;"), nil},
		{lines(maxDCs+1, "proxy_for %d 192.0.2.1:1;"), ErrTooMany},
		{strings.Repeat(good, maxTargets+1), nil},
	} {
		if _, err := Parse([]byte(c.text), V4); !errors.Is(err, c.want) {
			t.Errorf("%.40q (%d bytes): %v, want %v", c.text, len(c.text), err, c.want)
		}
	}
}

// TestPrefix cuts a text everywhere: a prefix is refused, or gives the first addresses of the whole
// and nothing that the whole does not say.
func TestPrefix(t *testing.T) {
	for _, v := range vectors(t) {
		for _, f := range []Family{V4, V6} {
			whole, err := Parse([]byte(v.Text), f)
			if err != nil {
				continue
			}
			for n := range v.Text {
				l, err := Parse([]byte(v.Text[:n]), f)
				if err != nil {
					continue
				}
				for _, dc := range l.DCs() {
					_, part := l.Lookup(dc)
					_, all := whole.Lookup(dc)
					if len(part) > len(all) || !slices.Equal(part, all[:len(part)]) {
						t.Fatalf("%s cut at %d: DC %d has %v, the whole has %v", v.ID, n, dc, part, all)
					}
				}
			}
		}
	}
}

// TestRoundTrip reads back what AppendText wrote.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		f := Family(rapid.IntRange(0, 1).Draw(t, "family"))
		fmt.Fprintf(&b, "default %d;", rapid.Int16().Draw(t, "default"))
		for range rapid.IntRange(1, 40).Draw(t, "lines") {
			addr := netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "v4")})
			if f == V6 {
				addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: rapid.Byte().Draw(t, "v6")})
			}
			at := netip.AddrPortFrom(addr, rapid.Uint16Min(1).Draw(t, "port"))
			fmt.Fprintf(&b, "%sproxy_for %d %v;", rapid.SampledFrom([]string{"", "\r\n", "#;\n", " bad;"}).Draw(t, "between"), rapid.Int16Range(-9, 9).Draw(t, "dc"), at)
		}
		l, err := Parse(b.Bytes(), f)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(l.AppendText(nil), f)
		if err != nil || !l.Equal(again) || again.Skipped != 0 {
			t.Fatalf("%v; %s\nagain: %s", err, l.AppendText(nil), again.AppendText(nil))
		}
	})
}

// FuzzParse gives any bytes: whatever is taken is valid, bounded and of its family.
func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Text), false)
		f.Add([]byte(v.Text), true)
	}
	f.Add((&List{Default: 4, dcs: map[codec.DC][]netip.AddrPort{-4: {netip.MustParseAddrPort("[2001:db8::1]:443")}}}).AppendText(nil), true)
	f.Fuzz(func(t *testing.T, text []byte, six bool) {
		family := V4
		if six {
			family = V6
		}
		l, err := Parse(text, family)
		if err != nil {
			if l != nil {
				t.Fatal("a list beside an error")
			}
			return
		}
		targets := l.Targets()
		if len(targets) == 0 || len(targets) > maxTargets || l.Len() > maxDCs {
			t.Fatalf("%d targets of %d ids", len(targets), l.Len())
		}
		for _, a := range targets {
			if !family.Of(a.Addr.Addr()) || a.Addr.Port() == 0 || a.Addr.Addr().Is4In6() || a.Addr.Addr().Zone() != "" {
				t.Fatalf("took %v", a)
			}
		}
		if again, err := Parse(l.AppendText(nil), family); err == nil && !l.Equal(again) || err != nil && !errors.Is(err, ErrNoTarget) {
			t.Fatalf("not the same again: %v", err)
		}
	})
}
