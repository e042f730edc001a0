package probe

import (
	"bytes"
	"fmt"
	"time"

	"epoxy/codec/faketls"
)

// overheard is a probe of one who overheard a client of the target: how gets a good hello that nobody has
// seen yet.
func overheard(name string, row int, about string, shape faketls.Shape, how func(k *kit, p []byte) ([]byte, error)) Probe {
	return aged(name, row, about, shape, 0, how)
}

// aged is the same with a hello whose time is off by so many seconds.
func aged(name string, row int, about string, shape faketls.Shape, seconds int, how func(k *kit, p []byte) ([]byte, error)) Probe {
	return Probe{Name: name, Row: row, About: about, Signed: true, script: func(k *kit) (script, error) {
		p, err := k.build(shape, k.secret, seconds, nil)
		if err == nil && how != nil {
			p, err = how(k, p)
		}
		return script{{send: p}}, err
	}}
}

// replayed sends the hello for its client and then hands it on, changed.
func replayed(change func(k *kit, p []byte) ([]byte, error)) func(k *kit, p []byte) ([]byte, error) {
	return func(k *kit, p []byte) ([]byte, error) {
		if err := k.capture(p); err != nil {
			return nil, err
		}
		return change(k, p)
	}
}

// resigned changes a hello before it is signed.
func resigned(edit func(h *hello)) func(k *kit, p []byte) ([]byte, error) {
	return func(k *kit, p []byte) ([]byte, error) {
		h := parseHello(p)
		edit(h)
		return sign(h.bytes(), k.secret, uint32(k.now.Unix())), nil
	}
}

// signedProbes are hellos with a good digest that the target must not answer, or nearly good ones.
func signedProbes() []Probe {
	same := func(_ *kit, p []byte) ([]byte, error) { return p, nil }
	later := func(k *kit, p []byte) ([]byte, error) { return p, k.pause(k.wait) }
	shifted := func(d uint32) func(*kit, []byte) ([]byte, error) {
		return func(_ *kit, p []byte) ([]byte, error) { return shift(p, d), nil }
	}
	const hour = int(time.Hour / time.Second)
	all := []Probe{
		overheard("replay", 19, "a client's hello again, at once", faketls.Browser, replayed(same)),
		overheard("replay-classic", 19, "the same with a hello of 517 bytes", faketls.Classic517, replayed(same)),
		overheard("replay-later", 19, "a client's hello again, after --replay-after", faketls.Browser, replayed(later)),
		overheard("replay-shifted", 20, "a client's hello again, its time moved by 1 s", faketls.Browser, replayed(shifted(1))),
		overheard("replay-shifted-far", 20, "a client's hello again, its time moved by 256 s", faketls.Browser, replayed(shifted(256))),
		overheard("replay-trailing", 19, "a client's hello again with bytes behind it", faketls.Browser, replayed(func(k *kit, p []byte) ([]byte, error) {
			return append(p, k.noise(20)...), nil
		})),
		aged("time-old", 17, "a good digest, 1 h old", faketls.Browser, -hour, nil),
		aged("time-ahead", 18, "a good digest, 1 h ahead", faketls.Browser, hour, nil),
		aged("time-day", 17, "a good digest, a day old", faketls.Classic517, -24*hour, nil),
		overheard("good-no-suite", 23, "a good digest, no TLS 1.3 suite", faketls.Classic517, resigned(func(h *hello) { h.suites = []byte("\xc0\x2b\xc0\x2f\xc0\x30\x00\x9c") })),
		overheard("good-no-share", 24, "a good digest, a key share for P-256 only", faketls.Classic517, resigned(func(h *hello) {
			h.set(extKeyShare, "\x00\x45\x00\x17\x00\x41\x04"+string(bytes.Repeat([]byte{7}, 64)))
		})),
		overheard("good-empty-share", 24, "a good digest, no key share", faketls.Classic517, resigned(func(h *hello) { h.set(extKeyShare, "\x00\x00") })),
		overheard("good-trailing", 29, "a good digest with bytes behind the hello", faketls.Browser, func(k *kit, p []byte) ([]byte, error) {
			return append(p, k.noise(20)...), nil
		}),
		overheard("good-bad-extension", 32, "a good digest, the last extension is longer than the hello", faketls.Classic517, func(k *kit, p []byte) ([]byte, error) {
			h := parseHello(p)
			h.extensions = append(h.extensions, extension{0x1234, nil})
			p = h.bytes()
			p[len(p)-1] = 5
			return sign(p, k.secret, uint32(k.now.Unix())), nil
		}),
		overheard("good-too-short", 25, "a good digest in a record of 99 bytes", faketls.Classic517, resigned(func(h *hello) {
			h.suites, h.extensions = h.suites[2:6], []extension{{extPadding, make([]byte, 10)}}
		})),
	}
	for _, f := range []struct {
		at   int
		what string
	}{
		{randomAt, "first byte of the random"}, {randomAt + signedSize - 1, "last signed byte"},
		{randomAt + 31, "the time's highest byte"}, {sessionAt, "session id"}, {sessionAt + 31, "last byte of the session id"}, {-1, "last byte"},
	} {
		name := fmt.Sprintf("flip-%d", f.at)
		if f.at < 0 {
			name = "flip-last"
		}
		all = append(all, overheard(name, 16, "a good hello with one bit changed: "+f.what, faketls.Browser, func(_ *kit, p []byte) ([]byte, error) {
			p[(f.at+len(p))%len(p)] ^= 0x40
			return p, nil
		}))
	}
	return all
}
