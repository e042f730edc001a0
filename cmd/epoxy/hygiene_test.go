package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// What must not show: a key in every form that secrets have, and words that are as good as a password.
const (
	hygieneSalt  = "pepperXsalt"
	hygieneToken = "tokenXtokenXtoken"
	hygieneWord  = "hunterXhunter"
)

// forms returns every spelling of a secret that is taken.
func forms(t *testing.T) []string {
	key := unhex(t, testKey)
	domain := []byte("a.example")
	var all []string
	for _, raw := range [][]byte{key, append([]byte{0xdd}, key...), append(append([]byte{0xee}, key...), domain...)} {
		all = append(all, fmt.Sprintf("%x", raw), fmt.Sprintf("%X", raw), base64.RawURLEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw))
	}
	return all
}

// ways returns the arguments and variables that bring a secret and the words by flag, variable and file, and further
// places where somebody may have put a secret by mistake.
func ways(t *testing.T, secret string) (list [][2][]string) {
	t.Helper()
	proxy := "socks5://bob:" + hygieneWord + "@127.0.0.1:1080"
	file := func(text string) [2][]string { return [2][]string{{"--config", write(t, 0o600, text)}, nil} }
	more := fmt.Sprintf("sni_salt = %q\nadmin_token = %q\nupstream_proxy = %q\nallow = \"tls\"\n", hygieneSalt, hygieneToken, proxy)
	return [][2][]string{
		{{"--secret", "bob=" + secret, "--sni-salt", hygieneSalt, "--admin-token=" + hygieneToken, "--upstream-proxy", proxy, "--allow=tls"}, nil},
		{{"--listen", ":1?allow=tls&sni-salt=" + hygieneSalt, "--secret=" + secret + "?quota=1G"}, nil},
		{nil, []string{"EPOXY_SECRET=" + secret, "EPOXY_SNI_SALT=" + hygieneSalt, "EPOXY_ADMIN_TOKEN=" + hygieneToken, "EPOXY_UPSTREAM_PROXY=" + proxy, "EPOXY_ALLOW=tls"}},
		file(more + "[[port]]\nlisten = ':1'\nsni_salt = '" + hygieneSalt + "'\n[[secret]]\nsecret = '" + secret + "'\n"),
		// mistakes
		{{"--secret", secret + "x"}, nil},
		{{"--secret", secret + "?qota=1"}, nil},
		{{"--secret" + secret}, nil},
		{{secret}, nil},
		{{"--secret", "bob=" + secret, "--secret", "eve=" + secret}, nil},
		{{"--upstream-proxy", "ftp://bob:" + hygieneWord + "@127.0.0.1"}, nil},
		{{"--admin-token", hygieneToken + " "}, nil},
		{nil, []string{"EPOXY_SECRET=" + secret + "," + secret + "x"}},
		file("[[secret]]\nsecret = '" + secret),
		file("[[secret]]\nsecret = " + secret),
		file("[[secret]]\nsecret '" + secret + "'"),
		file("[[secret]]\nscret = '" + secret + "'"),
		file("[[secret]]\nsecret = ['" + secret + "', {a = '" + secret + "'}]"),
		file("[secret]\nbob = '" + secret + "'"),
		file("secret = '" + secret + "x'"),
		file("scret = '" + secret + "'"),
	}
}

// misplaced returns hex secrets where something else belongs.
func misplaced(t *testing.T, secret string) (list [][2][]string) {
	t.Helper()
	file := func(text string) [2][]string { return [2][]string{{"--config", write(t, 0o600, text)}, nil} }
	return [][2][]string{
		{{"--listen", "bob=" + secret}, nil},
		{{"--tag", secret + "00"}, nil},
		{nil, []string{"EPOXY_LOOPS=" + secret}},
		file(secret + " = 1\n" + secret + " = 2"),
		file("[[" + secret + "]]\na = 1"),
		file("[" + secret + "]\na = 1"),
		file("max_clients = '" + secret + "'"),
		file("[[secret]]\nname = '" + secret + "x'\nsecret = '" + secret + "'"),
		file("[[port]]\nlisten = '" + secret + "'"),
	}
}

// No command shows a secret that it was given: not where it shows settings, not in an error, not in help.
func TestSecretsAreNotShown(t *testing.T) {
	key := unhex(t, testKey)
	for n, secret := range forms(t) {
		list := ways(t, secret)
		if strings.Contains(strings.ToLower(secret), testKey) {
			list = append(list, misplaced(t, secret)...)
		}
		for i, way := range list {
			cmds := []string{"config check"} // for mistakes
			switch {
			case n == 0 && i < 4:
				cmds = []string{"config show", "config check", "check --offline", "config show --help", "run --help", "link --help", "link --pinn=1", "config show --loops x"}
			case i < 4:
				cmds = []string{"config show", "config show --loops x"}
			}
			for _, cmd := range cmds {
				w := newWorld(t)
				w.environ = way[1]
				code := w.do(append(strings.Fields(cmd), way[0]...)...)
				if dd := strings.Contains(w.errs.String(), "its links need secure"); i < 4 && cmd == "config show" && code != exitOK && !dd {
					t.Errorf("%s %q: exit %d, %s", cmd, way, code, w.errs)
				}
				said := w.out.String() + w.errs.String()
				if piece := leaks(said, key); piece != "" {
					t.Errorf("%s with %q shows %s:\n%s", cmd, way, piece, said)
				}
				for _, word := range []string{secret, hygieneSalt, hygieneToken, hygieneWord} {
					if strings.Contains(said, word) {
						t.Errorf("%s with %q shows %s:\n%s", cmd, way, word, said)
					}
				}
			}
		}
	}
}
