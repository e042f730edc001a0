package main

import (
	"encoding/hex"
	"strings"
	"testing"

	"epoxy/codec"
	"epoxy/codec/secret"
)

// Each port has the links of its own settings: its number, domain, protocols and secrets; a salt's links carry the key of their
// domain, and a disabled secret has none.
func TestLinksOfPorts(t *testing.T) {
	w := newWorld(t)
	other := "00112233445566778899aabbccddeeff"
	if code := w.do("link", "--public-host", "p.example", "--secret", "alice="+testKey, "--secret", "bob="+other, "--secret", "off=ffeeddccbbaa99887766554433221100?enabled=false",
		"--domain", "www.example.com", "--listen", "0.0.0.0:443", "--listen", "[::]:443",
		"--listen", "b=:444?allow=tls&domain=shop.example.com&secrets=bob", "--listen", "c=:445?allow=tls&sni-salt=pepper&secrets=alice"); code != exitOK {
		t.Fatal(w.errs)
	}
	raw, _ := hex.DecodeString(testKey)
	derived := secret.DeriveSNI([]byte("pepper"), codec.Key(raw), "www.example.com")
	ee := func(key, domain string) string { return "ee" + key + hex.EncodeToString([]byte(domain)) }
	var got []string
	for line := range strings.SplitSeq(w.out.String(), "\n") {
		if _, link, ok := strings.Cut(line, "https://t.me/proxy?"); ok {
			got = append(got, link)
		}
	}
	for _, want := range []string{
		"server=p.example&port=443&secret=" + ee(testKey, "www.example.com"), "server=p.example&port=443&secret=dd" + testKey,
		"server=p.example&port=443&secret=" + ee(other, "www.example.com"), "server=p.example&port=443&secret=dd" + other,
		"server=p.example&port=444&secret=" + ee(other, "shop.example.com"),
		"server=p.example&port=445&secret=" + ee(hex.EncodeToString(derived[:]), "www.example.com"),
	} {
		found := 0
		for _, g := range got {
			if s, err := secret.Parse(strings.TrimPrefix(g[strings.Index(g, "secret="):], "secret=")); err == nil && strings.HasPrefix(want, g[:strings.Index(g, "secret=")]) {
				if w, err := secret.Parse(want[strings.Index(want, "secret=")+7:]); err == nil && w.Equal(s) {
					found++
				}
			}
		}
		if found != 1 {
			t.Errorf("%s stands there %d times:\n%s", want, found, strings.Join(got, "\n"))
		}
	}
	if len(got) != 6 {
		t.Errorf("%d links:\n%s", len(got), strings.Join(got, "\n"))
	}
}
