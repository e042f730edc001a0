package faketls

import (
	"testing"
)

func TestNoAllocations(t *testing.T) {
	hello, torn := testHello(t, Browser), testHello(t, Browser, 700)
	join := make([]byte, 0, HeaderSize+MaxHello)
	d, k := NewDigester(), NewKey(testSecret)
	wire := AppendRecords(nil, make([]byte, 16<<10), ClientPayload)
	scratch, header := make([]byte, len(wire)), make([]byte, HeaderSize)
	profile := Profile{Group: X25519MLKEM768, Spread: 3}
	h := mustParse(t, hello)
	flight, rand := make([]byte, 0, MaxFlight), source(8)
	for name, f := range map[string]func(){
		"Sniff": func() { _, _ = Sniff(hello) },
		"ParseHello": func() {
			if _, _, err := ParseHello(hello, nil); err != nil {
				t.Error(err)
			}
		},
		"ParseHello torn": func() {
			if _, _, err := ParseHello(torn, join); err != nil {
				t.Error(err)
			}
		},
		"ParseHello bad": func() {
			if _, _, err := ParseHello(hello[1:], nil); err == nil {
				t.Error("no error")
			}
		},
		"Check": func() {
			if _, ok := d.Check(k, &h); !ok {
				t.Error("digest")
			}
		},
		"Choose": func() { _, _ = profile.Choose(&h) },
		"Strip": func() {
			var r Reader
			copy(scratch, wire)
			if n, err := r.Strip(scratch); n != 16<<10 || err != nil {
				t.Error(n, err)
			}
		},
		"AppendFlight": func() {
			for _, group := range []Group{X25519, X25519MLKEM768} {
				if _, err := d.AppendFlight(flight, k, &h, &profile, Choice{0x1301, group}, rand); err != nil {
					t.Error(err)
				}
			}
		},
		"PutHeader": func() { PutHeader(header, 1) },
	} {
		if n := testing.AllocsPerRun(20, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkParseHello(b *testing.B) {
	p := testHello(b, Browser)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, _, err := ParseHello(p, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	h := mustParse(b, testHello(b, Browser))
	d, k := NewDigester(), NewKey(testSecret)
	b.SetBytes(int64(len(h.Record)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := d.Check(k, &h); !ok {
			b.Fatal("digest")
		}
	}
}

func BenchmarkAppendFlight(b *testing.B) {
	for name, group := range map[string]Group{"x25519": X25519, "hybrid": X25519MLKEM768} {
		b.Run(name, func(b *testing.B) {
			h := mustParse(b, testHello(b, Browser))
			d, k, p := NewDigester(), NewKey(testSecret), Profile{Group: group}
			dst, rand := make([]byte, 0, MaxFlight), source(8)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.AppendFlight(dst, k, &h, &p, Choice{0x1301, group}, rand); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStrip(b *testing.B) {
	wire := AppendRecords(nil, make([]byte, 16<<10), ClientPayload)
	p := make([]byte, len(wire))
	b.SetBytes(int64(len(wire)))
	b.ReportAllocs()
	for b.Loop() {
		copy(p, wire)
		var r Reader
		if _, err := r.Strip(p); err != nil {
			b.Fatal(err)
		}
	}
}
