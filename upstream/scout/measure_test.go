package scout

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

func random(p []byte) { _, _ = rand.Read(p) }

// checkProfile sends hellos of each kind to the front and compares its first flight, record by record,
// with ours by the profile, which our client must take.
func checkProfile(t *testing.T, dial func(context.Context, string, string) (net.Conn, error), network, addr string, header []byte, p faketls.Profile) {
	t.Helper()
	shares, err := faketls.NewShares(random)
	if err != nil {
		t.Fatal(err)
	}
	for _, hello := range []faketls.ClientHello{{Shape: faketls.Browser}, {Shape: faketls.Classic517}, {AES256First: true}} {
		secret := codec.Key{1}
		hello.Domain, hello.Shares, hello.Secret = domain, shares, secret
		wire, err := hello.Append(nil, random)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dial(t.Context(), network, addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append(bytes.Clone(header), wire...)); err != nil {
			t.Fatal(err)
		}
		real, _, err := readFlight(conn)
		conn.Close()
		if err != nil {
			t.Fatal(err)
		}
		h, _, err := faketls.ParseHello(wire, nil)
		if err != nil {
			t.Fatal(err)
		}
		choice, err := p.Choose(&h)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := faketls.NewDigester().AppendFlight(nil, faketls.NewKey(secret), &h, &p, choice, random)
		if err != nil {
			t.Fatal(err)
		}
		if used, err := faketls.CheckFlight(ours, &secret, h.Random); err != nil || used != len(ours) {
			t.Errorf("our client refuses our flight: %v", err)
		}
		sum := func(flight []byte) (head []byte, data int) {
			head = flight[:5+int(binary.BigEndian.Uint16(flight[3:]))+6] // ServerHello and CCS
			for rest := flight[len(head):]; len(rest) > 0; {
				n := int(binary.BigEndian.Uint16(rest[3:]))
				data, rest = data+n, rest[5+n:]
			}
			return head, data
		}
		realHead, realData := sum(real)
		oursHead, oursData := sum(ours)
		if !bytes.Equal(oursHead[:11], realHead[:11]) || !bytes.Equal(oursHead[43:88], realHead[43:88]) || len(oursHead) != len(realHead) {
			t.Errorf("shape %d, Apple %v: our ServerHello\n%x\nthe front's\n%x", hello.Shape, hello.AES256First, oursHead[:100], realHead[:100])
		}
		if p.AppData == faketls.MaxAppData {
			continue // cut to what clients take
		}
		const near = 5 // bytes that signatures vary by
		if d := oursData - realData; d > near || d < -near {
			t.Errorf("shape %d: our application data is of %d bytes, the front's of %d", hello.Shape, oursData, realData)
		}
	}
}

// config is a server with a certificate of about size bytes, chain more behind it, and these groups.
func config(t testing.TB, size, chain int, curves ...tls.CurveID) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{certificate(t, size, chain)}, CurvePreferences: curves}
}

// Fronts of many kinds are measured; the profile answers as they do.
func TestMeasure(t *testing.T) {
	const addr = "192.0.2.1:443"
	h2 := config(t, 2000, 0)
	h2.NextProtos = []string{"h2", "http/1.1"}
	large := config(t, 2000, 0, tls.X25519)
	large.DynamicRecordSizingDisabled = true
	old := config(t, 2000, 0)
	old.MaxVersion = tls.VersionTLS12
	only13 := config(t, 2000, 0)
	only13.MinVersion = tls.VersionTLS13
	for name, c := range map[string]struct {
		config *tls.Config
		wait   time.Duration
		page   int
		proxy  byte
		want   Status // ALPN, TLS13, TLS12, delays
		group  faketls.Group
		ramp   bool
		warn   string
	}{
		"hybrid":    {config: h2, page: 60000, want: Status{ALPN: "h2", TLS13: true, TLS12: true}, group: faketls.X25519MLKEM768, ramp: true},
		"x25519":    {config: large, page: 60000, want: Status{TLS13: true, TLS12: true}, group: faketls.X25519},
		"tiny page": {config: h2, page: 300, want: Status{ALPN: "h2", TLS13: true, TLS12: true}, group: faketls.X25519MLKEM768},
		"slow": {config: only13, wait: 37 * time.Millisecond, group: faketls.X25519MLKEM768,
			want: Status{TLS13: true, DelayLow: 37 * time.Millisecond, DelayHigh: 37 * time.Millisecond}},
		"not slow":  {config: only13, wait: 4 * time.Millisecond, want: Status{TLS13: true}, group: faketls.X25519MLKEM768},
		"very slow": {config: only13, wait: 3 * time.Second, want: Status{TLS13: true, DelayLow: 2 * time.Second, DelayHigh: 2 * time.Second}, group: faketls.X25519MLKEM768},
		"big chain": {config: config(t, 4000, 2), want: Status{TLS13: true, TLS12: true}, group: faketls.X25519MLKEM768, warn: "first flight is of 1"},
		"tiny":      {config: config(t, 300, 0), want: Status{TLS13: true, TLS12: true}, group: faketls.X25519MLKEM768},
		"TLS 1.2":   {config: old, want: Status{TLS12: true}, warn: warnOldTLS},
		"retry":     {config: config(t, 2000, 0, tls.CurveP384), want: Status{TLS13: true, TLS12: true}, warn: warnRetry},
		"no x25519": {config: config(t, 2000, 0, tls.X25519MLKEM768), want: Status{TLS13: true}, group: faketls.X25519MLKEM768, warn: warnClassic},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWeb()
			w.site(addr, serveTLS(c.config, c.wait, c.page))
			o, j := options(w, Site{Domain: domain, Target: addr})
			s, stop := start(t, o)
			after(60 * time.Second)
			stop()
			v := s.Current()
			got := v.Sites[0]
			if got.ALPN != c.want.ALPN || got.TLS13 != c.want.TLS13 || got.TLS12 != c.want.TLS12 || got.Err != "" || got.Measured.IsZero() ||
				got.DelayLow != c.want.DelayLow || got.DelayHigh != c.want.DelayHigh {
				t.Errorf("status %+v", got)
			}
			if c.warn == "" && len(got.Warnings) > 0 || c.warn != "" && (len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], c.warn)) {
				t.Errorf("warnings %q", got.Warnings)
			}
			if n := j.count("level=WARN"); n != len(got.Warnings) {
				t.Errorf("%d warnings in the log:\n%s", n, &j.text)
			}
			p, ok := v.Profiles[domain]
			if ok != (c.group != 0) {
				t.Fatalf("profile %+v, %v", p, ok)
			}
			if !ok {
				return
			}
			if p.Group != c.group || !p.VersionsFirst || p.Ramp != c.ramp || p.Suite < 0x1301 || p.Suite > 0x1303 ||
				time.Duration(p.DelayHigh)*time.Millisecond != c.want.DelayHigh || got.Records < 1 || got.FirstFlight < 300 {
				t.Errorf("profile %+v, status %+v", p, got)
			}
			if name != "no x25519" && name != "tiny" && name != "very slow" {
				checkProfile(t, w.dial, "tcp", addr, nil, p)
			}
		})
	}
}

// The site behind a load balancer wants a PROXY header, ours says that it speaks for itself.
func TestProxyHeader(t *testing.T) {
	const addr = "192.0.2.1:443"
	inner := serveTLS(config(t, 2000, 0), 0, 100)
	for version, header := range map[byte]string{1: "PROXY UNKNOWN\r\n", 2: "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"} {
		bubble(t, header[:5], func(t *testing.T) {
			w := newWeb()
			w.site(addr, func(conn net.Conn) {
				got := make([]byte, len(header))
				if _, err := conn.Read(got); err != nil || string(got) != header {
					t.Errorf("header %q, %v", got, err)
				}
				inner(conn)
			})
			o, _ := options(w, Site{Target: addr, Proxy: version})
			o.Default = domain
			s, stop := start(t, o)
			after(30 * time.Second)
			stop()
			if v := s.Current(); len(v.Profiles) != 1 || v.Targets.Default.Proxy != version || v.Sites[0].Err != "" {
				t.Errorf("%+v", v.Sites)
			}
		})
	}
}

// A front that follows the client's order of suites gives a profile that does so too.
func TestSuiteOrder(t *testing.T) {
	const addr = "192.0.2.1:443"
	for _, follow := range []bool{true, false} {
		bubble(t, map[bool]string{true: "client's", false: "server's"}[follow], func(t *testing.T) {
			w := newWeb()
			answer := faketls.Profile{Suite: 0x1302, Group: faketls.X25519, AppData: 3000}
			if follow {
				answer.Suite = 0
			}
			w.site(addr, func(conn net.Conn) { // answers as the profile says, and no more
				defer conn.Close()
				buf, n := make([]byte, 4096), 0
				for {
					got, err := conn.Read(buf[n:])
					if err != nil {
						return
					}
					n += got
					h, _, err := faketls.ParseHello(buf[:n], nil)
					if err == codec.ErrShort {
						continue
					}
					choice, err := answer.Choose(&h)
					if err != nil {
						return
					}
					flight, err := faketls.NewDigester().AppendFlight(nil, faketls.NewKey(codec.Key{}), &h, &answer, choice, random)
					if err != nil {
						t.Error(err)
					}
					_, _ = conn.Write(flight)
					return
				}
			})
			o, _ := options(w, Site{Target: addr})
			s, stop := start(t, o)
			after(time.Minute)
			stop()
			if p, ok := s.Current().Profiles[""]; !ok || p != answer {
				t.Errorf("%+v, %v, want %+v", p, ok, answer)
			}
		})
	}
}

func TestDelays(t *testing.T) {
	ms := func(all ...time.Duration) (seen []sample) {
		for _, d := range all {
			seen = append(seen, sample{delay: d * time.Millisecond})
		}
		return seen
	}
	for _, c := range []struct {
		seen      []sample
		low, high time.Duration
	}{
		{ms(1, 4, 2), 0, 0}, {ms(1, 5, 2), 1, 5}, {ms(3, 1, 2, 1000, 6), 1, 6}, {ms(9), 9, 9}, {ms(5000), 2000, 2000}, {ms(1, 2, 3, 1000), 0, 0},
	} {
		if low, high := delays(c.seen); low != c.low*time.Millisecond || high != c.high*time.Millisecond {
			t.Errorf("%v: %v, %v", c.seen, low, high)
		}
	}
}

func TestRamp(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  bool
	}{
		{nil, false}, {[]int{300}, false}, {[]int{1400}, false}, {[]int{300, 16406, 5000}, false}, {[]int{16406, 900}, false},
		{[]int{1208, 2416, 3624}, true}, {[]int{400, 1369, 1369, 1369, 4096}, true}, {[]int{1369, 1369, 1369, 1369}, true},
		{[]int{400, 1369, 200}, false}, {[]int{300, 700, 16406}, false}, {[]int{1369, 1369, 300}, false}, {[]int{1501, 1502}, false},
	} {
		if got := ramp(c.sizes); got != c.want {
			t.Errorf("%v: %v", c.sizes, got)
		}
	}
}

// The recorder sees the same records wherever the stream is cut.
func TestRecorder(t *testing.T) {
	stream := slices.Concat(faketls.AppendRecords(nil, make([]byte, 70), 30), []byte("\x16\x03\x03\x00\x02ab"), faketls.AppendRecords(nil, []byte("abc"), 3))
	for cut := range stream {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			for _, part := range [][]byte{stream[:cut], stream[cut:]} {
				if _, err := theirs.Write(part); err != nil {
					t.Error(err)
				}
			}
		}()
		r := &recorder{Conn: ours}
		for buf := make([]byte, 64); ; {
			if _, err := r.Read(buf); err != nil {
				break
			}
		}
		ours.Close()
		if !slices.Equal(r.sizes, []int{35, 35, 15, 8}) {
			t.Fatalf("cut at %d: %v", cut, r.sizes)
		}
	}
}
