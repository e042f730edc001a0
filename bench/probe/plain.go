package probe

import (
	"crypto/tls"

	"epoxy/codec"
	"epoxy/codec/obfs2"
)

// raw is a probe that sends what make returns.
func raw(name string, row int, about string, make func(k *kit) (script, error)) Probe {
	return Probe{Name: name, Row: row, About: about, script: make}
}

// text is a probe that sends the same bytes always, in one write.
func text(name string, row int, about, send string) Probe {
	return raw(name, row, about, func(*kit) (script, error) { return script{{send: []byte(send)}}, nil })
}

// noise is a probe that sends n random bytes.
func noise(name string, row int, about string, n int, fin bool) Probe {
	return raw(name, row, about, func(k *kit) (script, error) { return script{{send: k.noise(n), fin: fin}}, nil })
}

// plainProbes are those without a TLS hello.
func plainProbes() []Probe {
	const v2 = "\r\n\r\n\x00\r\nQUIT\n"
	return []Probe{
		text("silence", 1, "connect and send nothing", ""),
		raw("fin", 1, "connect and send FIN", func(*kit) (script, error) { return script{{fin: true}}, nil }),
		text("prefix-1", 2, "the first byte of a TLS record, 16, then silence", "\x16"),
		text("prefix-2", 2, "16 03, then silence", "\x16\x03"),
		text("prefix-3", 2, "16 03 01, then silence", "\x16\x03\x01"),
		text("prefix-4", 2, "16 03 01 02, then silence", "\x16\x03\x01\x02"),
		text("prefix-5", 2, "the header of a record of 512 bytes, then silence", "\x16\x03\x01\x02\x00"),
		text("prefix-9", 2, "the headers of record and ClientHello, then silence", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"),
		raw("prefix-fin", 30, "16 03 01, then FIN", func(*kit) (script, error) { return script{{send: []byte("\x16\x03\x01"), fin: true}}, nil }),
		text("one-byte", 2, "one byte that starts no TLS, then silence", "\x47"),
		text("http10-get", 3, "HTTP/1.0 GET in clear", "GET / HTTP/1.0\r\n\r\n"),
		host("http11-get", "HTTP/1.1 GET in clear", "GET / HTTP/1.1\r\nHost: %\r\n\r\n"),
		host("http11-head", "HTTP/1.1 HEAD in clear", "HEAD / HTTP/1.1\r\nHost: %\r\n\r\n"),
		host("http11-post", "HTTP/1.1 POST in clear", "POST / HTTP/1.1\r\nHost: %\r\nContent-Length: 4\r\n\r\na=b\n"),
		host("http11-connect", "HTTP/1.1 CONNECT in clear", "CONNECT %:443 HTTP/1.1\r\nHost: %:443\r\n\r\n"),
		host("http11-options", "HTTP/1.1 OPTIONS in clear", "OPTIONS * HTTP/1.1\r\nHost: %\r\n\r\n"),
		host("http11-absolute", "HTTP/1.1 GET of a whole URL, as to a proxy", "GET http://%/ HTTP/1.1\r\nHost: %\r\n\r\n"),
		host("http-pipelined", "two HTTP/1.1 GETs in one segment", "GET / HTTP/1.1\r\nHost: %\r\n\r\nGET / HTTP/1.1\r\nHost: %\r\n\r\n"),
		text("http-garbage", 3, "a request line that is none", "GET\r\n\r\n\r\n"),
		text("http2-preface", 3, "HTTP/2 in clear: preface and empty SETTINGS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
		text("ssh-banner", 42, "an SSH client's banner", "SSH-2.0-OpenSSH_9.6\r\n"),
		text("smtp-ehlo", 42, "SMTP EHLO", "EHLO example.com\r\n"),
		noise("random-63", 5, "63 random bytes", 63, false),
		noise("random-63-fin", 5, "63 random bytes, then FIN", 63, true),
		noise("random-64", 4, "64 random bytes", 64, false),
		noise("random-64-fin", 4, "64 random bytes, then FIN", 64, true),
		noise("random-65", 4, "65 random bytes", 65, false),
		noise("random-256", 4, "256 random bytes", 256, false),
		noise("random-256-fin", 4, "256 random bytes, then FIN", 256, true),
		noise("random-1024", 4, "1024 random bytes", 1024, false),
		noise("random-2048", 4, "2048 random bytes", 2048, false),
		noise("random-40000", 4, "40000 random bytes", 40000, false),
		raw("random-64-high", 4, "64 random bytes, the first as in SSL 2.0", func(k *kit) (script, error) {
			p := k.noise(64)
			p[0] |= 0x80
			return script{{send: p}}, nil
		}),
		raw("zeros-64", 4, "64 zero bytes", func(*kit) (script, error) { return script{{send: make([]byte, 64)}}, nil }),
		text("proxy-v1", 41, "a PROXY protocol header, version 1", "PROXY TCP4 127.0.0.1 127.0.0.1 40000 443\r\n"),
		text("proxy-v2", 41, "a PROXY protocol header, version 2", v2+"\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x9c\x40\x01\xbb"),
		text("socks5", 0, "a SOCKS5 greeting", "\x05\x02\x00\x02"),
		text("socks4", 0, "a SOCKS4 CONNECT", "\x04\x01\x01\xbb\x01\x01\x01\x01\x00"),
		raw("abridged", 4, "Telegram's abridged transport in clear: ef and a packet", func(k *kit) (script, error) {
			return script{{send: append([]byte{0xef, 0x0a}, k.noise(40)...)}}, nil
		}),
		raw("intermediate", 4, "Telegram's intermediate transport in clear", func(k *kit) (script, error) {
			return script{{send: append([]byte("\xee\xee\xee\xee\x28\x00\x00\x00"), k.noise(40)...)}}, nil
		}),
		raw("padded", 4, "Telegram's padded transport in clear", func(k *kit) (script, error) {
			return script{{send: append([]byte("\xdd\xdd\xdd\xdd\x2c\x00\x00\x00"), k.noise(44)...)}}, nil
		}),
		opening("obfs2-abridged", 6, "an obfuscated2 opening with another secret, abridged", codec.Abridged, 0),
		opening("obfs2-intermediate", 6, "the same, intermediate", codec.Intermediate, 0),
		opening("obfs2-padded", 6, "the same, padded", codec.Padded, 0),
		opening("obfs2-more", 6, "the same with 200 bytes behind it", codec.Padded, 200),
	}
}

// host is a request in clear; % is the domain.
func host(name, about, request string) Probe {
	return raw(name, 3, about, func(k *kit) (script, error) {
		var p []byte
		for _, b := range []byte(request) {
			if b == '%' {
				p = append(p, k.domain...)
			} else {
				p = append(p, b)
			}
		}
		return script{{send: p}}, nil
	})
}

// opening is a bare client whose secret the target does not have.
func opening(name string, row int, about string, t codec.Transport, more int) Probe {
	return raw(name, row, about, func(k *kit) (script, error) {
		var random [64]byte
		for {
			k.random(random[:])
			wire, _, _, ok := obfs2.ClientInit(&random, &k.stray, t, 2)
			if !ok {
				continue
			}
			return script{{send: append(wire[:], k.noise(more + 1)[:more]...)}}, nil
		}
	})
}

// genuine is a real TLS client.
func genuine(name, about string, p purpose, configure func(c *tls.Config)) Probe {
	return Probe{Name: name, Row: 16, About: about, client: &client{purpose: p, configure: configure}}
}

// tlsProbes are real TLS clients, who must find the site behind the target.
func tlsProbes() []Probe {
	h1 := func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }
	curves := func(ids ...tls.CurveID) func(c *tls.Config) {
		return func(c *tls.Config) { h1(c); c.CurvePreferences = ids }
	}
	tls12 := func(c *tls.Config) { h1(c); c.MaxVersion = tls.VersionTLS12 }
	return []Probe{
		genuine("tls13-get", "TLS 1.3, ALPN http/1.1, GET /", get, h1),
		genuine("tls13-h2-get", "TLS 1.3, ALPN h2, GET /", get, nil),
		genuine("tls12-get", "TLS 1.2 only, GET /", get, tls12),
		genuine("tls12-h2-get", "TLS 1.2 only, ALPN h2, GET /", get, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }),
		genuine("tls12-rsa", "TLS 1.2 with one old suite", get, func(c *tls.Config) {
			tls12(c)
			c.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}),
		genuine("tls11", "TLS 1.1 at most", get, func(c *tls.Config) { h1(c); c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }),
		genuine("tls-no-alpn", "TLS 1.3 without ALPN, GET /", get, func(c *tls.Config) { c.NextProtos = nil }),
		genuine("tls-odd-alpn", "TLS 1.3, an ALPN that no site has", idle, func(c *tls.Config) { c.NextProtos = []string{"epoxy-none"} }),
		genuine("tls-no-sni", "TLS 1.3 without SNI, GET /", get, func(c *tls.Config) { h1(c); c.ServerName = "" }),
		genuine("tls-other-sni", "TLS 1.3 with another site's SNI, GET /", get, func(c *tls.Config) { h1(c); c.ServerName = "www.example.org" }),
		genuine("tls-x25519", "key exchange X25519 only, GET /", get, curves(tls.X25519)),
		genuine("tls-mlkem", "key exchange X25519MLKEM768 only, GET /", get, curves(tls.X25519MLKEM768)),
		genuine("tls-p256", "key exchange P-256 only, GET /", get, curves(tls.CurveP256)),
		genuine("tls-p384-retry", "a key share for ML-KEM, P-384 offered: a HelloRetryRequest, GET /", get, curves(tls.X25519MLKEM768, tls.CurveP384)),
		genuine("tls13-resume", "GET / again with a ticket, TLS 1.3", resume, h1),
		genuine("tls12-resume", "GET / again with a ticket, TLS 1.2", resume, tls12),
		genuine("tls13-idle", "TLS 1.3 handshake, then nothing", idle, h1),
		genuine("tls12-idle", "TLS 1.2 handshake, then nothing", idle, tls12),
		genuine("tls13-leave", "TLS 1.3 handshake, then close_notify and FIN", leave, h1),
		genuine("tls12-leave", "TLS 1.2 handshake, then close_notify and FIN", leave, tls12),
	}
}
