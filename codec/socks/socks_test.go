package socks

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

type vectors struct {
	SOCKS5 []struct{ ID, Target, User, Pass, C1, S1, C2, S2, C3, S3 string }
	HTTP   []struct {
		ID, Target, User, Pass, Request string
		Answer                          string `json:"ok_response"`
	} `json:"http_connect"`
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(text, &v)
	}
	if err != nil || len(v.SOCKS5) == 0 || len(v.HTTP) == 0 {
		t.Fatal("no vectors: ", err)
	}
	return v
}

func raw(t testing.TB, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// whole parses wire cut short everywhere, which must be short, and with bytes behind it, which must stay.
func whole[T comparable](t interface {
	Helper()
	Errorf(string, ...any)
}, wire []byte, want T, parse func([]byte) (T, int, error)) {
	t.Helper()
	var none T
	for cut := range wire {
		if v, n, err := parse(wire[:cut]); v != none || n != 0 || err != codec.ErrShort {
			t.Errorf("%d bytes of %q: %v, %d, %v", cut, wire, v, n, err)
		}
	}
	for _, tail := range []string{"", "\x05\x00", "HTTP/1.1 200\r\n\r\n"} {
		if v, n, err := parse(append(bytes.Clone(wire), tail...)); v != want || n != len(wire) || err != nil {
			t.Errorf("%q + %q: %v, %d, %v; want %v", wire, tail, v, n, err, want)
		}
	}
}

// The parsers in one shape.
func methodOf(password bool) func([]byte) (Method, int, error) {
	return func(p []byte) (Method, int, error) { return ParseMethod(p, password) }
}

func authOf(p []byte) (struct{}, int, error) {
	n, err := ParseAuth(p)
	return struct{}{}, n, err
}

func TestVectorsSOCKS5(t *testing.T) {
	for _, v := range load(t).SOCKS5 {
		target, login := netip.MustParseAddrPort(v.Target), v.User != ""
		request, reply, method := v.C2, v.S2, NoAuth
		if login {
			method = Password
			if got := AppendAuth(nil, v.User, v.Pass); !bytes.Equal(got, raw(t, v.C2)) {
				t.Errorf("%s: login %x", v.ID, got)
			}
			whole(t, raw(t, v.S2), struct{}{}, authOf)
			request, reply = v.C3, v.S3
		}
		if got := AppendGreeting(nil, login); !bytes.Equal(got, raw(t, v.C1)) {
			t.Errorf("%s: greeting %x", v.ID, got)
		}
		whole(t, raw(t, v.S1), method, methodOf(login))
		if got := AppendRequest(nil, target); !bytes.Equal(got, raw(t, request)) {
			t.Errorf("%s: request %x", v.ID, got)
		}
		wire := raw(t, reply)
		bound, _, err := ParseReply(wire)
		if want := raw(t, reply[8:]); err != nil || !bytes.Equal(bound.Addr().AsSlice(), want[:4]) || bound.Port() != uint16(want[4])<<8|uint16(want[5]) {
			t.Errorf("%s: bound to %v, %v", v.ID, bound, err)
		}
		whole(t, wire, bound, ParseReply)
	}
}

func TestReplies(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::7")
	for _, c := range []struct {
		wire string
		want netip.AddrPort
	}{
		{"\x05\x00\x00\x01\xcb\x00\x71\x07\x9c\x40", netip.MustParseAddrPort("203.0.113.7:40000")},
		{"\x05\x00\x00\x04" + string(v6.AsSlice()) + "\x00\x01", netip.AddrPortFrom(v6, 1)},
		{"\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04\x00\x01", netip.MustParseAddrPort("1.2.3.4:1")},
		{"\x05\x00\x00\x03\x00\x00\x01", netip.AddrPort{}},
		{"\x05\x00\x00\x03\x09localhost\x00\x01", netip.AddrPort{}},
		{"\x05\x00\x00\x03\xff" + strings.Repeat("x", 257), netip.AddrPort{}},
	} {
		whole(t, []byte(c.wire), c.want, ParseReply)
		if len(c.wire) > MaxReply {
			t.Errorf("%d bytes, above MaxReply", len(c.wire))
		}
	}
}

// Each failure has its reason, and every code of a reply its own text.
func TestFailures(t *testing.T) {
	texts := map[string]bool{}
	for code := 1; code < 256; code++ {
		_, n, err := ParseReply([]byte{5, byte(code)})
		if n != 0 || codec.ReasonOf(err, 0) != codec.ReasonEgressRefused {
			t.Errorf("code %d: %d, %v", code, n, err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 9 {
		t.Errorf("%d texts for 8 codes and the unknown ones", len(texts))
	}
	for _, p := range []string{"\x04", "HTTP/1.1 400 Bad Request", "\x05\x00\x01", "\x05\x00\x00\x02", "\x05\x00\x00\x00\x00"} {
		if _, n, err := ParseReply([]byte(p)); n != 0 || codec.ReasonOf(err, 0) != codec.ReasonEgressShape {
			t.Errorf("reply %q: %d, %v", p, n, err)
		}
	}
	for p, want := range map[string]codec.Reason{
		"\x04": codec.ReasonEgressShape, "H": codec.ReasonEgressShape, "\x05\x01": codec.ReasonEgressShape,
		"\x05\xff": codec.ReasonEgressAuth, "\x05\x02": codec.ReasonEgressAuth,
	} {
		if _, n, err := ParseMethod([]byte(p), false); n != 0 || codec.ReasonOf(err, 0) != want {
			t.Errorf("method %q: %d, %v", p, n, err)
		}
	}
	for p, want := range map[string]codec.Reason{
		"\x05": codec.ReasonEgressShape, "\x00\x00": codec.ReasonEgressShape, "\x01\x01": codec.ReasonEgressAuth, "\x01\xff": codec.ReasonEgressAuth,
	} {
		if n, err := ParseAuth([]byte(p)); n != 0 || codec.ReasonOf(err, 0) != want {
			t.Errorf("login %q: %d, %v", p, n, err)
		}
	}
}

func TestCredentials(t *testing.T) {
	long := strings.Repeat("x", 255)
	for _, c := range []struct {
		user, password string
		ok             bool
	}{
		{"u", "p", true}, {long, long, true}, {"", "p", false}, {"u", "", false}, {long + "x", "p", false}, {"u", long + "x", false},
	} {
		if ValidCredentials(c.user, c.password) != c.ok {
			t.Errorf("%d and %d bytes: not %v", len(c.user), len(c.password), c.ok)
		}
	}
	wire := AppendAuth(nil, long, long)
	if len(wire) != 513 || wire[1] != 255 || wire[257] != 255 {
		t.Errorf("%d bytes", len(wire))
	}
}

func TestVectorsHTTP(t *testing.T) {
	for _, v := range load(t).HTTP {
		if got := AppendConnect(nil, netip.MustParseAddrPort(v.Target), v.User, v.Pass); string(got) != v.Request {
			t.Errorf("%s: %q", v.ID, got)
		}
		whole(t, []byte(v.Answer), 200, ParseConnect)
	}
	got := string(AppendConnect(nil, netip.MustParseAddrPort("[::ffff:192.0.2.51]:80"), "", ""))
	if got != "CONNECT 192.0.2.51:80 HTTP/1.1\r\nHost: 192.0.2.51:80\r\n\r\n" {
		t.Errorf("%q", got)
	}
	got = string(AppendConnect(nil, netip.MustParseAddrPort("[2001:db8::a]:443"), "u", ""))
	if got != "CONNECT [2001:db8::a]:443 HTTP/1.1\r\nHost: [2001:db8::a]:443\r\nProxy-Authorization: Basic dTo=\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func TestHTTP(t *testing.T) {
	for head, status := range map[string]int{
		"HTTP/1.0 200\r\n\r\n": 200, "HTTP/1.1 299 \r\nContent-Length: 5\r\nVia: x\r\n\r\n": 299,
		"HTTP/1.1 204 No\nthing\r\n\r\n":                                       204,
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", MaxHeader-24) + headEnd: 200,
	} {
		whole(t, []byte(head), status, ParseConnect)
	}
	for head, want := range map[string]codec.Reason{
		"HTTP/1.1 407 Proxy Authentication Required\r\n": codec.ReasonEgressAuth,
		"HTTP/1.1 100 Continue\r\n":                      codec.ReasonEgressRefused, "HTTP/1.1 302 Found\r\n\r\n": codec.ReasonEgressRefused,
		"HTTP/1.1 403\r\n": codec.ReasonEgressRefused, "HTTP/1.0 503 No\r\n\r\nbody": codec.ReasonEgressRefused,
		"\x05": codec.ReasonEgressShape, "HTTP/2": codec.ReasonEgressShape, "SSH-2.0-x": codec.ReasonEgressShape,
		"HTTP/1.2 200\r\n": codec.ReasonEgressShape, "HTTP/1.1 20\r\n": codec.ReasonEgressShape, "HTTP/1.1 2000\r\n": codec.ReasonEgressShape,
		"HTTP/1.1  200\r\n": codec.ReasonEgressShape, "HTTP/1.1 +20\r\n": codec.ReasonEgressShape, "HTTP/1.1\r\n": codec.ReasonEgressShape,
		"HTTP/1.1_200 OK\r\n": codec.ReasonEgressShape,
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("x", MaxHeader): codec.ReasonEgressShape,
		"HTTP/1.1 200 " + strings.Repeat("x", MaxHeader):       codec.ReasonEgressShape,
	} {
		if _, n, err := ParseConnect([]byte(head)); n != 0 || codec.ReasonOf(err, 0) != want {
			t.Errorf("%.40q: %d, %v; want %v", head, n, err, want)
		}
	}
}

// What we write says what it should, whatever the values.
func TestWriters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr, _ := netip.AddrFromSlice(rapid.OneOf(
			rapid.SliceOfN(rapid.Byte(), 4, 4), rapid.SliceOfN(rapid.Byte(), 16, 16)).Draw(t, "addr"))
		to := netip.AddrPortFrom(addr, rapid.Uint16().Draw(t, "port"))
		wire := AppendRequest(nil, to)
		wire[1] = 0 // a reply to itself has the request's shape
		whole(t, wire, netip.AddrPortFrom(addr.Unmap(), to.Port()), ParseReply)
		user, password := rapid.StringMatching(`[^:]{0,40}`).Draw(t, "user"), rapid.StringN(0, 40, -1).Draw(t, "password")
		lines := strings.Split(string(AppendConnect(nil, to, user, password)), crlf)
		if user == "" && password == "" {
			if len(lines) != 4 {
				t.Fatalf("%q", lines)
			}
			return
		}
		text, ok := strings.CutPrefix(lines[2], basicHeader)
		login, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || string(login) != user+":"+password || len(lines) != 5 {
			t.Fatalf("%q", lines)
		}
	})
}

// Reading allocates nothing, whatever a proxy says.
func TestAllocations(t *testing.T) {
	replies := [][]byte{[]byte("\x05\x00\x00\x01\x01\x02\x03\x04\x00\x01"), []byte("\x05\x05"), []byte("HTTP/1.1 200 OK\r\n\r\n"), []byte("HTTP/1.1 502 x\r\n")}
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range replies {
			_, _, _ = ParseReply(p)
			_, _, _ = ParseMethod(p, true)
			_, _ = ParseAuth(p)
			_, _, _ = ParseConnect(p)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes: an error takes nothing, a value takes what is there, and more bytes do not change it.
func FuzzParse(f *testing.F) {
	v := load(f)
	for _, s := range v.SOCKS5 {
		for _, text := range []string{s.S1, s.S2, s.S3} {
			f.Add(raw(f, text))
		}
	}
	for _, h := range v.HTTP {
		f.Add([]byte(h.Answer))
	}
	f.Add(AppendConnect(nil, netip.MustParseAddrPort("1.2.3.4:5"), "u", "p"))
	f.Add(AppendRequest(nil, netip.MustParseAddrPort("[::1]:5")))
	f.Add([]byte("HTTP/1.1 407 x\r\n\r\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		steady(t, p, methodOf(true))
		steady(t, p, methodOf(false))
		steady(t, p, authOf)
		steady(t, p, ParseReply)
		steady(t, p, ParseConnect)
	})
}

// steady parses every prefix: short ones, then one result for good.
func steady[T comparable](t *testing.T, p []byte, parse func([]byte) (T, int, error)) {
	t.Helper()
	want, used, err := parse(p)
	if err != nil && used != 0 || err == nil && (used == 0 || used > len(p)) {
		t.Fatalf("%q: %v, %d, %v", p, want, used, err)
	}
	for cut := range p {
		v, n, e := parse(p[:cut])
		if e == codec.ErrShort {
			if n != 0 || err == nil && cut >= used {
				t.Fatalf("%d bytes of %q are short, %d are used", cut, p, used)
			}
			continue
		}
		if v != want || n != used || e != err {
			t.Fatalf("%d bytes of %q: %v, %d, %v; all: %v, %d, %v", cut, p, v, n, e, want, used, err)
		}
	}
}
