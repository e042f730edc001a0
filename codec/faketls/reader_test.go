package faketls

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"epoxy/codec"
)

// strip runs p through r in pieces of the given sizes, the last one the rest.
func strip(r *Reader, p []byte, sizes ...int) (out []byte, err error) {
	p = slices.Clone(p)
	for i := 0; len(p) > 0; i++ {
		n := len(p)
		if i < len(sizes) {
			n = min(n, max(sizes[i], 0))
		}
		got, err := r.Strip(p[:n])
		out = append(out, p[:got]...)
		if err != nil {
			return out, err
		}
		p = p[n:]
	}
	return out, nil
}

// record returns one record.
func record(kind byte, payload string) string {
	return string([]byte{kind, 3, 3, byte(len(payload) >> 8), byte(len(payload))}) + payload
}

// The split loop: every pair of cut points gives the same bytes.
func TestStripSplits(t *testing.T) {
	p := []byte(ccs + record(typeData, "hello ") + record(typeData, "") + ccs + record(typeData, "w") + record(typeData, "orld") + "\x17\x03")
	for i := range len(p) + 1 {
		for j := range len(p) - i + 1 {
			var r Reader
			if got, err := strip(&r, p, i, j); err != nil || string(got) != "hello world" {
				t.Fatalf("cut at %d and %d: %q, %v", i, i+j, got, err)
			}
		}
	}
	var r Reader
	var got []byte
	for _, b := range p { // one byte a segment
		one := []byte{b}
		n, err := r.Strip(one)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, one[:n]...)
	}
	if string(got) != "hello world" {
		t.Errorf("byte by byte: %q", got)
	}
}

func TestStripFaults(t *testing.T) {
	data, empty := record(typeData, "x"), record(typeData, "")
	repeat := func(s string, n int) string { return string(bytes.Repeat([]byte(s), n)) }
	for name, c := range map[string]struct {
		in   string
		want string
		why  codec.Reason
	}{
		"alert":              {data + "\x15\x03\x03\x00\x02\x02\x32", "x", codec.ReasonTLSAlert},
		"alert, 03 01":       {"\x15\x03\x01\x00\x02", "", codec.ReasonTLSAlert},
		"handshake":          {data + record(typeHandshake, "y"), "x", codec.ReasonTLSRecord},
		"type 0":             {"\x00\x03\x03\x00\x01", "", codec.ReasonTLSRecord},
		"version 0301":       {data + "\x17\x03\x01\x00\x01y", "x", codec.ReasonTLSRecord},
		"version 0403":       {"\x17\x04\x03\x00\x01y", "", codec.ReasonTLSRecord},
		"CCS, 03 01":         {"\x14\x03\x01\x00\x01\x01", "", codec.ReasonTLSRecord},
		"CCS of 0":           {record(typeCCS, ""), "", codec.ReasonTLSRecord},
		"CCS of 2":           {record(typeCCS, "\x01\x01"), "", codec.ReasonTLSRecord},
		"CCS of 257":         {"\x14\x03\x03\x01\x01", "", codec.ReasonTLSRecord},
		"four CCS":           {repeat(ccs, 4) + data, "x", codec.ReasonNone},
		"CCS says 7":         {record(typeCCS, "\x07") + data, "x", codec.ReasonNone},
		"five CCS":           {ccs + data + repeat(ccs, 4) + data, "x", codec.ReasonTLSCCS},
		"15 empty":           {repeat(empty, 15) + data + repeat(empty, 15) + data, "xx", codec.ReasonNone},
		"16 empty":           {data + repeat(empty, 16) + data, "x", codec.ReasonTLSEmpty},
		"16 empty, with CCS": {repeat(empty, 8) + ccs + repeat(empty, 8) + data, "", codec.ReasonTLSEmpty},
	} {
		for cut := range len(c.in) {
			var r Reader
			if got, err := strip(&r, []byte(c.in), cut); string(got) != c.want || codec.ReasonOf(err, 0) != c.why || (err == nil) != (c.why == 0) {
				t.Errorf("%s, cut at %d: %q, %v", name, cut, got, err)
			}
		}
	}
}

// gotd puts 48 KiB into one record: lengths up to 65535 are taken, and handed out as they come.
func TestStripLongRecord(t *testing.T) {
	p := AppendRecords(nil, bytes.Repeat([]byte("abc"), 21845), 65535)
	if len(p) != HeaderSize+65535 {
		t.Fatalf("%d bytes", len(p))
	}
	var r Reader
	if n, err := r.Strip(slices.Clone(p[:1000])); n != 995 || err != nil {
		t.Errorf("of a record's first 1000 bytes: %d, %v", n, err)
	}
	r = Reader{}
	if got, err := strip(&r, p, 3, 40000); err != nil || !bytes.Equal(got, p[HeaderSize:]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestReaderSize(t *testing.T) {
	if n := unsafe.Sizeof(Reader{}); n > 16 {
		t.Errorf("a Reader is %d bytes", n)
	}
}

// A34, A35, A38: packets up to 128 kB in records survive any cutting.
func TestStripStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want, wire []byte
		fill := source(rapid.Byte().Draw(t, "seed"))
		for range rapid.IntRange(1, 6).Draw(t, "packets") {
			packet := make([]byte, rapid.OneOf(rapid.IntRange(8, 16000), rapid.IntRange(16<<10, 128<<10)).Draw(t, "size"))
			fill(packet)
			want = append(want, packet...)
			wire = AppendRecords(wire, packet, rapid.SampledFrom([]int{ClientPayload, MaxPayload, 65535}).Draw(t, "record"))
		}
		var r Reader
		got, err := strip(&r, wire, rapid.SliceOf(rapid.IntRange(1, 40000)).Draw(t, "cuts")...)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(want), err)
		}
	})
}

// A36, A37: up to 16384 bytes are exactly one record, more are several; joined they are the input.
func TestAppendRecords(t *testing.T) {
	for _, n := range []int{8, 16383, 16384, 16385, 32768, 32769, 65535} {
		p := make([]byte, n)
		source(5)(p)
		wire, joined, records := AppendRecords(nil, p, MaxPayload), []byte(nil), 0
		for len(wire) > 0 {
			size := int(binary.BigEndian.Uint16(wire[3:]))
			if string(wire[:3]) != "\x17\x03\x03" || size == 0 || size > MaxPayload {
				t.Fatalf("%d bytes: header %x", n, wire[:5])
			}
			joined = append(joined, wire[HeaderSize:HeaderSize+size]...)
			wire = wire[HeaderSize+size:]
			records++
		}
		if want := (n + MaxPayload - 1) / MaxPayload; records != want || !bytes.Equal(joined, p) {
			t.Errorf("%d bytes: %d records", n, records)
		}
	}
	if out := AppendRecords([]byte("x"), nil, 1); string(out) != "x" {
		t.Errorf("nothing: %x", out)
	}
}

// model strips a whole stream record by record.
func model(p []byte) (out []byte, why codec.Reason) {
	switchers, empty := 0, 0
	for len(p) >= HeaderSize {
		kind, version, n := p[0], string(p[1:3]), int(p[3])<<8|int(p[4])
		body := p[HeaderSize:min(len(p), HeaderSize+n)]
		p = p[HeaderSize+len(body):]
		if kind == typeAlert {
			return out, codec.ReasonTLSAlert
		}
		if version != "\x03\x03" || kind != typeCCS && kind != typeData || kind == typeCCS && n != 1 {
			return out, codec.ReasonTLSRecord
		}
		if kind == typeCCS {
			if switchers++; switchers == 5 {
				return out, codec.ReasonTLSCCS
			}
			continue
		}
		empty++
		if n > 0 {
			empty = 0
		}
		if empty == 16 {
			return out, codec.ReasonTLSEmpty
		}
		out = append(out, body...)
	}
	return out, codec.ReasonNone
}

func FuzzStrip(f *testing.F) {
	f.Add([]byte(ccs+record(typeData, "hello")+record(typeData, "")+record(typeData, "world")), 3, 7)
	f.Add([]byte(record(typeAlert, "\x02\x32")), 1, 1)
	f.Add(bytes.Repeat([]byte(ccs), 5), 6, 6)
	f.Add(bytes.Repeat([]byte(record(typeData, "")), 16), 4, 9)
	v := loadVectors(f).Records
	f.Add([]byte(v.First), 10, 64)
	f.Fuzz(func(t *testing.T, p []byte, i, j int) {
		var whole, cut Reader
		want, why := model(p)
		got, err := strip(&whole, p)
		if !bytes.Equal(got, want) || codec.ReasonOf(err, codec.ReasonNone) != why {
			t.Fatalf("%x, %v; want %x, %v", got, err, want, why)
		}
		got, err = strip(&cut, p, i, j)
		if !bytes.Equal(got, want) || codec.ReasonOf(err, codec.ReasonNone) != why {
			t.Fatalf("cut: %x, %v; want %x, %v", got, err, want, why)
		}
	})
}
