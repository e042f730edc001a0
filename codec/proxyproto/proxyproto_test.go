package proxyproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

type vector struct {
	Name, Wire string
	Src        *string
	Port       uint16
}

func load(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		All []vector `json:"proxy_protocol"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.All) == 0 {
		t.Fatal("no vectors")
	}
	return v.All
}

func (v vector) wire(t testing.TB) []byte {
	t.Helper()
	p, err := hex.DecodeString(v.Wire)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkWhole parses wire, cut short everywhere and with bytes behind it.
func checkWhole(t interface {
	Helper()
	Errorf(string, ...any)
}, wire []byte, want Header) {
	t.Helper()
	for cut := range wire {
		if h, n, err := Parse(wire[:cut]); err != codec.ErrShort || n != 0 || h != (Header{}) {
			t.Errorf("%d bytes of %q: %v, %d, %v", cut, wire, h, n, err)
		}
	}
	for _, tail := range []string{"", "\r\n", "PROXY ", "\x16\x03\x01"} {
		h, n, err := Parse(append(bytes.Clone(wire), tail...))
		if err != nil || n != len(wire) || h != want {
			t.Errorf("%q + %q: %v, %d, %v, want %v", wire, tail, h, n, err, want)
		}
	}
}

func TestVectors(t *testing.T) {
	for _, v := range load(t) {
		t.Run(v.Name, func(t *testing.T) {
			wire := v.wire(t)
			h, n, err := Parse(wire)
			switch {
			case v.Src != nil && *v.Src == "error":
				if codec.ReasonOf(err, 0) != codec.ReasonProxyHeader || n != 0 {
					t.Errorf("%v, %d, %v", h, n, err)
				}
				return
			case v.Src == nil:
				if h != (Header{Local: true}) {
					t.Errorf("%v, want Local", h)
				}
			case h.Src != netip.AddrPortFrom(netip.MustParseAddr(*v.Src), v.Port):
				t.Errorf("source %v, want %s", h.Src, *v.Src)
			case h.Dst.Port() != 443 || h.Local:
				t.Errorf("%v, want port 443", h)
			}
			checkWhole(t, wire, h)
		})
	}
}

func TestVersion1(t *testing.T) {
	pair := func(src, dst string) Header {
		return Header{Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
	}
	local := Header{Local: true}
	for line, want := range map[string]Header{
		"TCP4 1.2.3.4 5.6.7.8 0 65535":        pair("1.2.3.4:0", "5.6.7.8:65535"),
		"TCP6 ::ffff:1.2.3.4 2001:db8::1 1 2": pair("1.2.3.4:1", "[2001:db8::1]:2"),
		"UNKNOWN":                             local,
		"UNKNOWN ffff::1 ffff::2 65535 1":     local,
		"UNKNOWN " + strings.Repeat("x", 91):  local, // 107 bytes
		"TCP6 " + full + " " + full + " 1 2":  pair("["+full+"]:1", "["+full+"]:2"),
	} {
		checkWhole(t, []byte("PROXY "+line+"\r\n"), want)
	}
	for _, line := range []string{
		"", " ", "TCP4", "TCP4 ", "TCP4 1.2.3.4 5.6.7.8 1", "TCP4 1.2.3.4 5.6.7.8 1 2 ", "TCP4 1.2.3.4 5.6.7.8 1 2 3",
		"TCP4  1.2.3.4 5.6.7.8 1 2", "TCP4 1.2.3.4 5.6.7.8 1 65536", "TCP4 1.2.3.4 5.6.7.8 -1 2", "TCP4 1.2.3.4 5.6.7.8 +1 2",
		"TCP4 1.2.3.4 5.6.7.8 01 2", "TCP4 1.2.3.4 5.6.7.8 1 00", "TCP4 01.2.3.4 5.6.7.8 1 2", "TCP4 ::1 ::2 1 2", "TCP6 1.2.3.4 5.6.7.8 1 2",
		"TCP6 fe80::1%eth0 ::2 1 2", "tcp4 1.2.3.4 5.6.7.8 1 2", "UDP4 1.2.3.4 5.6.7.8 1 2", "UNKNOWNS", "UNKNOWN " + strings.Repeat("x", 92),
		"TCP4 1.2.3.4 5.6.7.8 1 2\n", "TCP4 1.2.3.4 5.6.7.8 1 2\r",
	} {
		if h, n, err := Parse([]byte("PROXY " + line + "\r\n")); codec.ReasonOf(err, 0) != codec.ReasonProxyHeader || n != 0 {
			t.Errorf("%q: %v, %d, %v", line, h, n, err)
		}
	}
	if _, _, err := Parse([]byte("PROXY " + strings.Repeat("x", 101))); err != errLine {
		t.Errorf("an endless line: %v", err)
	}
	if _, _, err := Parse([]byte("PROXY " + strings.Repeat("x", 100))); err != codec.ErrShort {
		t.Errorf("106 bytes: %v", err)
	}
}

const full = "2001:db8:1111:2222:3333:4444:5555:6666"

func TestVersion2(t *testing.T) {
	head := func(version, family byte, length int) []byte {
		return append([]byte(signatureV2), version, family, byte(length>>8), byte(length))
	}
	with := func(p []byte, rest int) []byte { return append(p, bytes.Repeat([]byte{7}, rest)...) }
	for name, wire := range map[string][]byte{
		"local with addresses": with(head(0x20, 0x11, 12), 12),
		"local with TLVs":      with(head(0x20, 0x00, 2048), 2048),
		"unspec":               with(head(0x21, 0x00, 3), 3),
		"unix":                 with(head(0x21, 0x31, 216), 216),
		"unknown family":       with(head(0x21, 0x91, 1), 1),
	} {
		t.Run(name, func(t *testing.T) { checkWhole(t, wire, Header{Local: true}) })
	}
	for name, wire := range map[string][]byte{
		"version 1":       head(0x11, 0x11, 12),
		"version 3":       head(0x31, 0x11, 12),
		"command 2":       head(0x22, 0x11, 12)[:13], // known from its byte on
		"short inet":      head(0x21, 0x11, 11),
		"short inet6":     head(0x21, 0x21, 35),
		"too long":        head(0x21, 0x11, 2049),
		"too long, local": head(0x20, 0x00, 65535),
	} {
		if h, n, err := Parse(wire); codec.ReasonOf(err, 0) != codec.ReasonProxyHeader || n != 0 {
			t.Errorf("%s: %v, %d, %v", name, h, n, err)
		}
	}
}

func TestNoHeader(t *testing.T) {
	for _, text := range []string{"G", "PROXX", "PROXY\t", "\r\n\r\r", "\x16\x03\x01", "proxy "} {
		if _, n, err := Parse([]byte(text)); err != errSignature || n != 0 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

func TestAppend(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("192.0.2.7:56324"), netip.MustParseAddrPort("[2001:db8::1]:443")
	mapped, zoned := netip.MustParseAddrPort("[::ffff:192.0.2.7]:56324"), netip.MustParseAddrPort("[fe80::1%lo]:5")
	for _, c := range []struct {
		src, dst netip.AddrPort
		v1       string
		v2       string // from byte 12
	}{
		{v4, v4, "PROXY TCP4 192.0.2.7 192.0.2.7 56324 56324\r\n", "2111000cc0000207c0000207dc04dc04"},
		{mapped, v4, "PROXY TCP4 192.0.2.7 192.0.2.7 56324 56324\r\n", "2111000cc0000207c0000207dc04dc04"},
		{
			v4, v6, "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 56324 443\r\n",
			"2121002400000000000000000000ffffc000020720010db8000000000000000000000001dc0401bb",
		},
		{
			zoned, zoned, "PROXY TCP6 fe80::1 fe80::1 5 5\r\n",
			"21210024fe800000000000000000000000000001fe80000000000000000000000000000100050005",
		},
		{v4, netip.AddrPort{}, "PROXY UNKNOWN\r\n", "20000000"},
		{netip.AddrPort{}, v6, "PROXY UNKNOWN\r\n", "20000000"},
	} {
		if got := string(AppendV1([]byte("x"), c.src, c.dst)); got != "x"+c.v1 {
			t.Errorf("%v, %v: %q", c.src, c.dst, got)
		}
		if got := AppendV2([]byte("x"), c.src, c.dst); hex.EncodeToString(got[13:]) != c.v2 || string(got[:13]) != "x"+signatureV2 {
			t.Errorf("%v, %v: %x", c.src, c.dst, got)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	addrs := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		size := rapid.SampledFrom([]int{4, 16}).Draw(t, "size")
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address"))
		return netip.AddrPortFrom(addr.Unmap(), rapid.Uint16().Draw(t, "port"))
	})
	rapid.Check(t, func(t *rapid.T) {
		want := Header{Src: addrs.Draw(t, "src"), Dst: addrs.Draw(t, "dst")}
		line := AppendV1(nil, want.Src, want.Dst)
		if len(line) > MaxV1 {
			t.Fatalf("%d bytes: %s", len(line), line)
		}
		checkWhole(t, line, want)
		checkWhole(t, AppendV2(nil, want.Src, want.Dst), want)
	})
}

func FuzzParse(f *testing.F) {
	for _, v := range load(f) {
		f.Add(v.wire(f))
	}
	f.Add(AppendV1(nil, netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("1.2.3.4:5")))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := Parse(p)
		switch {
		case err == codec.ErrShort:
			if len(p) >= Max || n != 0 {
				t.Errorf("%d bytes are short, %d used", len(p), n)
			}
		case err != nil:
			if n != 0 || codec.ReasonOf(err, 0) != codec.ReasonProxyHeader {
				t.Errorf("%d, %v", n, err)
			}
		default:
			if n > len(p) || n > Max || h.Local == h.Src.IsValid() || h.Src.IsValid() != h.Dst.IsValid() || h.Src.Addr().Is4In6() {
				t.Errorf("%v, %d of %d", h, n, len(p))
			}
			checkWhole(t, bytes.Clone(p[:n]), h)
			if again, _, err := Parse(AppendV2(nil, h.Src, h.Dst)); err != nil || again != h {
				t.Errorf("%v, %v, want %v", again, err, h)
			}
		}
	})
}
