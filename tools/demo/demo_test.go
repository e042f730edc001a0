package main

import (
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gotd/td/mtproxy"
	"github.com/gotd/td/mtproxy/obfuscated2"
	"github.com/gotd/td/mtproxy/obfuscator"
)

// TestBareSecrets checks the demo itself: each secret without TLS comes through a small proxy made of gotd's own
// parts.
func TestBareSecrets(t *testing.T) {
	tg, err := startTelegram(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tg.stop()
	key := []byte("0123456789abcdef")
	proxy := relay(t, tg.addr, key)
	for _, k := range secrets(key)[:4] {
		t.Run(k.name, func(t *testing.T) {
			if _, err := tg.call(t.Context(), through(proxy, k.secret)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestTagSeen checks that a missing tag is noticed.
func TestTagSeen(t *testing.T) {
	for seen, good := range map[string]bool{
		"streams 4\nstreams of tag " + adTag + ": 4\nstreams without tag: 0\n":                true,
		"streams of tag " + adTag + ": 4\nstreams without tag: 1\n":                           false,
		"streams of tag " + strings.Repeat("0", len(adTag)) + ": 4\nstreams without tag: 0\n": false,
		"streams without tag: 0\n": false,
		"":                         false,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, seen) }))
		if what, err := tagSeen(t.Context(), srv.URL); (err == nil) != good {
			t.Errorf("%q: %q, %v", seen, what, err)
		}
		srv.Close()
	}
}

// relay is a proxy for bare secrets; it returns its address.
func relay(t *testing.T, dc string, key []byte) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = carry(conn, dc, key) // the client's own error says more
			}()
		}
	}()
	return l.Addr().String()
}

func carry(conn net.Conn, dc string, key []byte) error {
	client, meta, err := obfuscated2.Accept(conn, key)
	if err != nil {
		return err
	}
	raw, err := net.Dial("tcp", dc)
	if err != nil {
		return err
	}
	defer raw.Close()
	up := obfuscator.Obfuscated2(rand.Reader, raw)
	if err := up.Handshake(meta.Protocol, dcID, mtproxy.Secret{}); err != nil {
		return err
	}
	go func() {
		defer conn.Close()
		_, _ = io.Copy(client, up)
	}()
	_, err = io.Copy(up, client)
	return err
}
