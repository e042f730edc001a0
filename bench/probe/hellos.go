package probe

import (
	"bytes"
	"slices"
	"time"

	"epoxy/codec/faketls"
)

// greeting is a probe that sends a hello of shape, signed by nobody's secret.
func greeting(name string, row int, about string, shape faketls.Shape, edit func(c *faketls.ClientHello)) Probe {
	return raw(name, row, about, func(k *kit) (script, error) {
		p, err := k.build(shape, &k.stray, 0, edit)
		return script{{send: p}}, err
	})
}

// bent is a probe that sends a hello with something changed; what bend returns is sent as it is.
func bent(name string, row int, about string, bend func(k *kit, h *hello) []byte) Probe {
	return scripted(name, row, about, faketls.Classic517, func(k *kit, p []byte) script {
		return script{{send: bend(k, parseHello(p))}}
	})
}

// scripted is a probe around a hello of shape.
func scripted(name string, row int, about string, shape faketls.Shape, how func(k *kit, p []byte) script) Probe {
	return raw(name, row, about, func(k *kit) (script, error) {
		p, err := k.build(shape, &k.stray, 0, nil)
		if err != nil {
			return nil, err
		}
		return how(k, p), nil
	})
}

// helloProbes are ClientHellos, whole and in one record.
func helloProbes() []Probe {
	version := func(v byte) func(*faketls.ClientHello) { return func(c *faketls.ClientHello) { c.Version = v } }
	return []Probe{
		greeting("hello-browser", 16, "a browser's hello, as Telegram's apps send, another secret", faketls.Browser, nil),
		greeting("hello-classic", 16, "an older browser's hello of 517 bytes", faketls.Classic517, nil),
		greeting("hello-small", 16, "a hello of a few extensions", faketls.Small, nil),
		greeting("hello-no-sni", 22, "a browser's hello without SNI", faketls.Browser, func(c *faketls.ClientHello) { c.Domain = "" }),
		greeting("hello-ip-sni", 21, "a browser's hello, an address as SNI", faketls.Browser, func(c *faketls.ClientHello) { c.Domain = "127.0.0.1" }),
		greeting("hello-other-sni", 21, "a browser's hello, another site's SNI", faketls.Browser, func(c *faketls.ClientHello) { c.Domain = "www.example.org" }),
		bent("record-0300", 42, "a hello whose record says SSL 3.0", func(_ *kit, h *hello) []byte { h.record = 0; return h.bytes() }),
		greeting("record-0302", 31, "a hello whose record says TLS 1.1", faketls.Classic517, version(2)),
		greeting("record-0303", 31, "a hello whose record says TLS 1.2", faketls.Classic517, version(3)),
		bent("record-0304", 31, "a hello whose record says TLS 1.3", func(_ *kit, h *hello) []byte { h.record = 4; return h.bytes() }),
		bent("hello-99", 25, "a hello in a record of 99 bytes", func(_ *kit, h *hello) []byte {
			h.suites, h.extensions = h.suites[2:6], nil
			return h.sized(99)
		}),
		bent("hello-100", 25, "a hello in a record of 100 bytes", func(_ *kit, h *hello) []byte {
			h.suites, h.extensions = h.suites[2:6], nil
			return h.sized(100)
		}),
		bent("hello-16384", 25, "a hello of 16384 bytes, which fills a record", func(_ *kit, h *hello) []byte { return h.sized(16384) }),
		bent("hello-16385", 25, "a hello in a record of 16385 bytes, one too many", func(_ *kit, h *hello) []byte { return h.sized(16385) }),
		bent("hello-3000", 26, "a hello of 3000 bytes, longer than a segment", func(_ *kit, h *hello) []byte { return h.sized(3000) }),
		bent("extension-beyond", 32, "the last extension is longer than the hello", func(_ *kit, h *hello) []byte {
			h.extensions = append(h.extensions, extension{0x1234, nil})
			p := h.bytes()
			p[len(p)-1] = 5
			return p
		}),
		bent("extension-twice", 32, "the same extension twice", func(_ *kit, h *hello) []byte {
			h.extensions = append(h.extensions, h.extensions[1])
			return h.bytes()
		}),
		bent("sni-torn", 32, "an SNI whose inner length is wrong", func(_ *kit, h *hello) []byte { h.set(0, "\x00\x20\x00\x00\x05front"); return h.bytes() }),
		bent("versions-empty", 32, "an empty list of versions", func(_ *kit, h *hello) []byte { h.set(extVersions, "\x00"); return h.bytes() }),
		bent("share-short", 32, "a key share of 31 bytes", func(_ *kit, h *hello) []byte {
			h.set(extKeyShare, "\x00\x23\x00\x1d\x00\x1f"+string(make([]byte, 31)))
			return h.bytes()
		}),
		bent("share-zero", 32, "an X25519 key of zeros", func(_ *kit, h *hello) []byte {
			h.set(extKeyShare, "\x00\x24\x00\x1d\x00\x20"+string(make([]byte, 32)))
			return h.bytes()
		}),
		bent("share-none", 24, "no key share at all", func(_ *kit, h *hello) []byte { h.set(extKeyShare, "\x00\x00"); return h.bytes() }),
		bent("hello-tls12", 23, "a hello of a TLS 1.2 client", func(_ *kit, h *hello) []byte { h.drop(extVersions, extKeyShare, 45); return h.bytes() }),
		bent("no-extensions", 32, "a hello without extensions", func(_ *kit, h *hello) []byte { h.extensions = nil; return h.bytes() }),
		bent("session-33", 32, "a session id of 33 bytes", func(_ *kit, h *hello) []byte { h.session = append(h.session, 1); return h.bytes() }),
		bent("session-none", 16, "an empty session id", func(_ *kit, h *hello) []byte { h.session = nil; return h.bytes() }),
		bent("suites-odd", 32, "a list of suites of odd length", func(_ *kit, h *hello) []byte { h.suites = h.suites[1:]; return h.bytes() }),
		bent("suites-none", 32, "no suites", func(_ *kit, h *hello) []byte { h.suites = nil; return h.bytes() }),
		bent("suites-unknown", 23, "suites that nobody has", func(_ *kit, h *hello) []byte { h.suites = []byte("\xfe\x01\xfe\x02"); return h.bytes() }),
		bent("compression-none", 32, "no compression methods", func(_ *kit, h *hello) []byte { h.compression = nil; return h.bytes() }),
		bent("length-more", 32, "the hello says it is longer than its record", func(_ *kit, h *hello) []byte { p := h.bytes(); p[8] += 8; return p }),
		bent("length-less", 32, "the hello says it is shorter than its record", func(_ *kit, h *hello) []byte { p := h.bytes(); p[8] -= 8; return p }),
		bent("server-hello", 32, "a handshake message of another type", func(_ *kit, h *hello) []byte { h.kind = 2; return h.bytes() }),
	}
}

// recordProbes are hellos cut and joined, and records that are none.
func recordProbes() []Probe {
	records := func(sizes ...int) func(*faketls.ClientHello) {
		return func(c *faketls.ClientHello) { c.Records = sizes }
	}
	const alert, ccs = "\x15\x03\x01\x00\x02\x01\x00", "\x14\x03\x03\x00\x01\x01"
	return []Probe{
		greeting("two-records", 28, "a hello in two records", faketls.Browser, records(200)),
		greeting("three-records", 28, "a hello in three records, the first of one byte", faketls.Classic517, records(1, 100)),
		greeting("many-records", 28, "a hello in 26 records", faketls.Classic517, records(slices.Repeat([]int{20}, 25)...)),
		scripted("two-segments", 27, "a hello in two segments, 50 ms apart", faketls.Browser, func(_ *kit, p []byte) script {
			return script{{send: p[:100]}, {pause: segmentPause, send: p[100:]}}
		}),
		scripted("two-segments-header", 27, "a hello in two segments, cut in the record header", faketls.Browser, func(_ *kit, p []byte) script {
			return script{{send: p[:3]}, {pause: segmentPause, send: p[3:]}}
		}),
		scripted("drip", 44, "the first 40 bytes of a hello one by one, 50 ms apart, then the rest", faketls.Classic517, func(_ *kit, p []byte) script {
			return append(drip(p[:40], segmentPause), step{pause: segmentPause, send: p[40:]})
		}),
		scripted("trailing", 29, "a hello with 20 bytes behind it", faketls.Classic517, func(k *kit, p []byte) script {
			return script{{send: append(p, k.noise(20)...)}}
		}),
		scripted("trailing-record", 29, "a hello with an application-data record behind it", faketls.Classic517, func(k *kit, p []byte) script {
			return script{{send: append(p, faketls.AppendRecords(nil, k.noise(64), 64)...)}}
		}),
		scripted("hello-twice", 29, "the same hello twice in one segment", faketls.Classic517, func(_ *kit, p []byte) script {
			return script{{send: append(bytes.Clone(p), p...)}}
		}),
		scripted("hello-fin", 16, "a hello, then FIN", faketls.Classic517, func(_ *kit, p []byte) script { return script{{send: p, fin: true}} }),
		scripted("truncated", 30, "300 bytes of a hello, then silence", faketls.Classic517, func(_ *kit, p []byte) script { return script{{send: p[:300]}} }),
		scripted("truncated-fin", 30, "300 bytes of a hello, then FIN", faketls.Classic517, func(_ *kit, p []byte) script { return script{{send: p[:300], fin: true}} }),
		scripted("hello-then-noise", 34, "a hello, and random records 200 ms later", faketls.Classic517, func(k *kit, p []byte) script {
			return script{{send: p}, {pause: 4 * segmentPause, send: append([]byte(ccs), faketls.AppendRecords(nil, k.noise(200), 200)...)}}
		}),
		scripted("hello-then-alert", 36, "a hello, and an alert 200 ms later", faketls.Classic517, func(_ *kit, p []byte) script {
			return script{{send: p}, {pause: 4 * segmentPause, send: []byte("\x15\x03\x03\x00\x02\x02\x28")}}
		}),
		text("sslv2", 42, "an SSL 2.0 hello", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80\x02\x00\x80\x03\x00\x80\x04\x00\x80\x05\x00\x80\x06\x00\x40\x07\x00\xc0"+"0123456789abcdef"),
		text("alert-first", 36, "an alert before any hello", alert),
		text("ccs-first", 38, "a change of cipher before any hello", ccs),
		raw("data-first", 38, "application data before any hello", func(k *kit) (script, error) {
			return script{{send: faketls.AppendRecords(nil, k.noise(100), 100)}}, nil
		}),
		text("heartbeat-first", 38, "a heartbeat before any hello", "\x18\x03\x02\x00\x03\x01\x40\x00"),
		text("empty-record", 39, "a handshake record of no bytes", "\x16\x03\x01\x00\x00"),
		text("huge-record", 40, "a handshake record that says 65535 bytes", "\x16\x03\x01\xff\xff\x01\x00\xff\xfb\x03\x03"),
	}
}

// drip sends p byte by byte.
func drip(p []byte, pause time.Duration) (s script) {
	for i := range p {
		s = append(s, step{pause: pause, send: p[i : i+1]})
	}
	return s
}

// slowProbes are those that look at the server's patience.
func slowProbes() []Probe {
	patient := func(p Probe, name string) Probe {
		p.Name, p.Slow = name, true
		return p
	}
	return []Probe{
		patient(text("", 1, "connect and send nothing, as long as it takes", ""), "slow-silence"),
		patient(text("", 2, "16 and silence, as long as it takes", "\x16"), "slow-prefix-1"),
		patient(text("", 2, "a record header and silence, as long as it takes", "\x16\x03\x01\x02\x00"), "slow-prefix-5"),
		patient(text("", 3, "half a request line and silence, as long as it takes", "GET / HT"), "slow-request"),
		patient(scripted("", 30, "300 bytes of a hello and silence, as long as it takes", faketls.Classic517,
			func(_ *kit, p []byte) script { return script{{send: p[:300]}} }), "slow-truncated"),
		patient(scripted("", 16, "a hello and silence, as long as it takes", faketls.Browser,
			func(_ *kit, p []byte) script { return script{{send: p}} }), "slow-hello"),
		patient(scripted("", 44, "a hello at one byte a second", faketls.Classic517,
			func(_ *kit, p []byte) script { return drip(p, slowBytePause)[:65] }), "slow-drip"),
	}
}
