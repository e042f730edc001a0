package strangers

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// browser returns a browser's hello, torn where records says.
func browser(t testing.TB, records ...int) []byte {
	t.Helper()
	r := rand.NewChaCha8([32]byte{1})
	random := func(p []byte) { _, _ = r.Read(p) }
	shares, err := faketls.NewShares(random)
	if err != nil {
		t.Fatal(err)
	}
	c := faketls.ClientHello{Domain: "secret.example", Secret: codec.Key{1}, Unix: 1795000000, Shares: shares, Records: records}
	p, err := c.Append(nil, random)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// hello returns a small hello whose one suite, hence its fingerprint, is n.
func hello(n uint16) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(append(body, 32), make([]byte, 32)...)
	body = binary.BigEndian.AppendUint16(append(body, 0, 4, 0x13, 1), n)
	body = append(body, 1, 0, 0, 44, 0, 21, 0, 40)
	body = append(body, make([]byte, 40)...)
	size := len(body)
	return append([]byte{0x16, 3, 1, 0, byte(size + 4), 1, 0, 0, byte(size)}, body...)
}

func TestKinds(t *testing.T) {
	whole := browser(t)
	bad := slices.Clone(whole)
	bad[9] = 2
	for _, c := range []struct {
		p    string
		want Kind
	}{
		{"", Empty},
		{string(whole), TLS}, {string(whole) + "behind", TLS}, {string(browser(t, 1, 2, 3, 100)), TLS},
		{string(whole[:1]), TLSPart}, {string(whole[:3]), TLSPart}, {string(whole[:len(whole)-1]), TLSPart},
		{string(bad), TLSBad}, {"\x16\x03\x01\xff\xff", TLSBad}, {"\x16\x03\x00\x00\x10", TLSBad}, {"\x15\x03\x03\x00\x02\x02\x28", TLSBad},
		{"GET / HTTP/1.1\r\n\r\n", HTTP}, {"HEAD / HTTP/1.0\r\n", HTTP}, {"CONNECT a:443 HTTP/1.1\r\n", HTTP}, {"GET ", HTTP},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP2},
		{"SSH-2.0-Go\r\n", SSH},
		{"EHLO a\r\n", Text}, {"EHLO", Text}, {"USER root\r\n", Text}, {"GETX", Text}, {"abc", Bytes},
		{"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", SOCKS4},
		{"\x05\x01\x00", SOCKS5}, {"\x05\x02\x00\x02\x05\x01\x00\x01", SOCKS5}, {"\x05\x02\x00\x02\x77", Bytes}, {"\x05\x40\x00", Bytes},
		{"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n", Proxy}, {"\r\n\r\n\x00\r\nQUIT\n\x21", Proxy},
		{"\xef\x01", TelegramPlain}, {"\xee\xee\xee\xee\x28\x00", TelegramPlain}, {"\xdd\xdd\xdd\xdd", TelegramPlain},
		{"\xdd\xdd\xdd", Bytes}, {"\x00", Bytes}, {"\x03\x00\x00\x13\x0e\xe0", Bytes}, {"\x16\x04\x01\x00", Bytes},
	} {
		if got, _ := classify([]byte(c.p), nil); got != c.want {
			t.Errorf("%.20q is %v, want %v", c.p, got, c.want)
		}
	}
	seen := map[string]bool{}
	for k := range kinds {
		if seen[k.String()] || k.String() == "" {
			t.Errorf("kind %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
}

// Every beginning of a hello is the beginning of one, and no more than that.
func TestPrefixes(t *testing.T) {
	for _, p := range [][]byte{browser(t), browser(t, 7, 300), hello(5)} {
		for n := 1; n < len(p); n++ {
			if k, _ := classify(p[:n], nil); k != TLSPart {
				t.Fatalf("%d of %d bytes: %v", n, len(p), k)
			}
		}
	}
}

func report(tab *Table, now, unix int64) (r Report) {
	tab.Copy(&r, now, unix)
	return r
}

func TestNote(t *testing.T) {
	tab := New(0)
	whole := browser(t)
	for i := range int64(3) {
		tab.Note(codec.ReasonHelloDigest, whole, 5000+1000*i)
	}
	tab.Note(codec.ReasonReplay, browser(t, 50), 9000) // the same fingerprint, torn
	tab.Note(codec.ReasonWrongSecret, []byte("GET / HTTP/1.1\r\n"), 10_000)
	tab.Note(codec.Reason(255), nil, 10_000)
	r := report(tab, 11_000, 2000)
	if r.Total != 6 || r.Kinds[TLS] != 4 || r.Kinds[HTTP] != 1 || r.Kinds[Empty] != 1 || r.Floor != 0 || r.Skipped != 0 ||
		r.Reasons[codec.ReasonHelloDigest] != 3 || r.Reasons[codec.ReasonReplay] != 1 || r.Reasons[codec.ReasonNone] != 1 {
		t.Errorf("%+v", r)
	}
	e := r.Top[0]
	if len(r.Top) != 4 || e.Count != 3 || e.Over != 0 || e.First != 1994 || e.Last != 1996 || e.Why != codec.ReasonHelloDigest ||
		!strings.HasPrefix(e.JA4.String(), "t13d1516h2_8daaf6152771_") {
		t.Errorf("%+v", r.Top)
	}
	i := slices.IndexFunc(r.Top, func(o Entry) bool { return o.Why == codec.ReasonReplay })
	if i < 0 || r.Top[i].JA4 != e.JA4 {
		t.Errorf("torn: %+v", r.Top)
	}
	text, err := json.Marshal(Merge(r))
	if err != nil || strings.Contains(string(text), "example") {
		t.Fatalf("%s, %v", text, err)
	}
	for _, want := range []string{`"total":6`, `"tls":4`, `"hello_digest":3`, `"ja4":"t13d1516h2_`, `"why":"replay"`, `"first_seen":1994`, `"kind":"empty"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if text, err := json.Marshal(Merge()); err != nil || !strings.Contains(string(text), `"top":[]`) {
		t.Errorf("%s, %v", text, err)
	}
}

// Beyond 200 a second hellos count without a fingerprint.
func TestRate(t *testing.T) {
	tab := New(0)
	p := hello(1)
	for i := range int64(ja4Rate + 50) {
		tab.Note(codec.ReasonHelloDigest, p, 7000+i)
	}
	tab.Note(codec.ReasonHelloDigest, p, 8000)
	r := report(tab, 8000, 0)
	if r.Skipped != 50 || len(r.Top) != 2 || r.Top[0].Count != ja4Rate+1 || r.Top[1].Count != 50 || r.Top[1].JA4 != (JA4{}) || r.Kinds[TLS] != ja4Rate+51 {
		t.Errorf("%+v", r)
	}
}

func TestAllocations(t *testing.T) {
	tab := New(4)
	inputs := [][]byte{browser(t), browser(t, 9, 90), nil, []byte("GET / HTTP/1.1\r\n"), []byte("\xef\x01"), make([]byte, 64)}
	for i := range uint16(8) {
		inputs = append(inputs, hello(i))
	}
	var now int64
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range inputs {
			now += 10
			tab.Note(codec.ReasonHelloDigest, p, now)
		}
	}); n != 0 {
		t.Errorf("Note: %v allocations", n)
	}
	var r Report
	tab.Copy(&r, now, 0)
	if n := testing.AllocsPerRun(100, func() { tab.Copy(&r, now, 0) }); n != 0 {
		t.Errorf("Copy: %v allocations", n)
	}
}

// A flood of distinct strangers takes no memory and does not hide who comes often.
func TestFlood(t *testing.T) {
	const n = 100_000
	tab := New(64)
	for i := range n {
		now := int64(i) * (second / ja4Rate) // as many as are looked at
		p := hello(uint16(i))
		if i%20 == 0 {
			p = []byte("SSH-2.0-x\r\n")
		}
		tab.Note(codec.Reason(i%3), p, now)
	}
	r := report(tab, 0, 0)
	if len(tab.slots) != 64 || cap(tab.slots) != 64 || cap(tab.join) != joinSize || r.Total != n || len(r.Top) != 64 || r.Floor > n/64 {
		t.Errorf("%d entries, floor %d, total %d", len(r.Top), r.Floor, r.Total)
	}
	for i := range 3 {
		if r.Top[i].Kind != SSH || r.Top[i].Count < n/60 || r.Top[i].Count-r.Top[i].Over > n/60+1 {
			t.Errorf("not on top: %+v", r.Top[i])
		}
	}
	if got := cap(New(1 << 30).slots); got != maxSize {
		t.Errorf("a table of %d entries", got)
	}
}

// The guarantees of Space-Saving, of one table and of several merged, against exact counts.
func TestSpaceSaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exact := map[pair]uint64{}
		var reports []Report
		total, rooms := uint64(0), 0
		for i := range rapid.IntRange(1, 4).Draw(t, "tables") {
			size := rapid.IntRange(1, 8).Draw(t, "size")
			tab, own := New(size), map[pair]uint64{}
			notes := rapid.SliceOfN(rapid.IntRange(0, 15), 0, 120).Draw(t, fmt.Sprint("notes ", i))
			for now, n := range notes {
				p := pair{kind: Kind(n % 4), why: codec.Reason(n / 4)}
				tab.add(p, int64(now))
				tab.kinds[p.kind]++
				own[p]++
				exact[p]++
			}
			total += uint64(len(notes))
			rooms = max(rooms, size)
			r := report(tab, 0, 0)
			check(t, r, own, size)
			if r.Floor > uint64(len(notes)/size) || len(r.Top) != min(size, len(own)) {
				t.Fatalf("floor %d, %d entries after %d notes in %d", r.Floor, len(r.Top), len(notes), size)
			}
			reports = append(reports, r)
		}
		sum := Merge(reports...)
		if sum.Total != total {
			t.Fatalf("total %d, want %d", sum.Total, total)
		}
		check(t, sum, exact, rooms)
	})
}

// check holds a report against the true counts.
func check(t *rapid.T, r Report, exact map[pair]uint64, room int) {
	if len(r.Top) > room {
		t.Fatalf("%d entries of %d pairs with room for %d", len(r.Top), len(exact), room)
	}
	listed := map[pair]bool{}
	for i, e := range r.Top {
		p := pair{ja4: e.JA4, kind: e.Kind, why: e.Why}
		if n := exact[p]; listed[p] || n == 0 || e.Count < n || e.Count-e.Over > n {
			t.Fatalf("%+v came %d times", e, n)
		}
		if listed[p] = true; i > 0 && e.Count > r.Top[i-1].Count {
			t.Fatalf("not sorted: %+v", r.Top)
		}
	}
	for p, n := range exact {
		if !listed[p] && n > r.Floor {
			t.Fatalf("%+v came %d times and is not listed; floor %d", p, n, r.Floor)
		}
	}
}

func BenchmarkNote(b *testing.B) {
	tab := New(0)
	for i := range uint16(64) {
		tab.Note(codec.ReasonHelloDigest, hello(i), 0)
	}
	b.Run("hello", func(b *testing.B) {
		p, now := browser(b), int64(0)
		for b.Loop() {
			now += second // each is looked at
			tab.Note(codec.ReasonHelloDigest, p, now)
		}
	})
	b.Run("bytes", func(b *testing.B) {
		p := make([]byte, 64)
		for b.Loop() {
			tab.Note(codec.ReasonWrongSecret, p, 0)
		}
	})
}

func FuzzNote(f *testing.F) {
	whole := browser(f)
	for _, p := range [][]byte{nil, whole, whole[:100], browser(f, 1, 2, 3), hello(1), make([]byte, 64), {5, 1, 0}, {4, 1}, []byte("GET "), []byte("PROXY "), {0xef}} {
		f.Add(p, uint8(1))
	}
	f.Fuzz(func(t *testing.T, p []byte, why uint8) {
		tab, before := New(2), slices.Clone(p)
		for now := range int64(3) {
			tab.Note(codec.Reason(why), p, now)
			tab.Note(codec.ReasonReplay, nil, now)
		}
		r := report(tab, 0, 0)
		if !slices.Equal(p, before) || r.Total != 6 || len(r.Top) > 2 {
			t.Fatalf("%+v", r)
		}
		if k, _ := classify(p, nil); r.Kinds[k] < 3 || k == Empty != (len(p) == 0) {
			t.Fatalf("%v: %+v", k, r)
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}
