package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The door opens for others with a token only; the token is no weak one, and nothing prints it.
func TestDoor(t *testing.T) {
	const token = "0123456789abcdef"
	for args, want := range map[string]string{
		"--admin 192.0.2.1:8888":                         `--admin "192.0.2.1:8888": without --admin-token the door opens on loopback only; add --admin-token`,
		"--admin :8888":                                  "without --admin-token",
		"--admin :8888 --admin-token " + token:           "",
		"--admin [::1]:8888":                             "",
		"--admin unix:/run/a --admin-mode 0666":          "",
		"--admin unix:/run/a --admin-mode 0066":          `--admin-mode "0066": keeps the owner out; write octal`,
		"--admin unix:/run/a --admin-mode rw":            "is no mode of a file",
		"--admin-token short-word-15ch":                  "--admin-token: is short enough to be guessed (not shown)",
		"--admin-token 0123456789abcdef\x01":             "--admin-token: has characters",
		"--admin-token " + strings.Repeat(token, 33):     "--admin-token: is longer than 512 bytes",
		"--admin-token 0123456789abcde\u00e9 --admin :1": "--admin-token: has characters",
	} {
		s, err := load(t, strings.Split(args, " "), nil)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
		if strings.Contains(fmt.Sprint(err), "0123456789abcde") || strings.Contains(fmt.Sprint(err), "short-word") {
			t.Errorf("%q shows the token: %v", args, err)
		}
		j, _ := json.Marshal(s.AdminToken)
		if shown := fmt.Sprintf("%v %+v %#v %s", s.AdminToken, *s, s.AdminToken, j); strings.Contains(shown, token) {
			t.Errorf("the token is printed: %s", shown)
		}
	}
	for m, text := range map[string]string{"0600": "0600", "660": "0660", "0777": "0777"} {
		if mode, err := parseMode(m); err != nil || showMode(mode) != text {
			t.Errorf("%s is %s, %v", m, showMode(mode), err)
		}
	}
}
