package config

import (
	"strings"
	"testing"
)

// What cannot work, and what would leave the machine in clear, is refused with its cure; the rest is taken.
func TestSplit(t *testing.T) {
	const cert = " --back-cert=f --serve-back-cert=b"
	for args, want := range map[string]string{
		"--upstream=back":    "there is no back",
		"--back=127.0.0.1:9": "never used with --upstream auto",
		"--upstream=back --back=127.0.0.1:9 --serve-back=127.0.0.1:8": "a way to Telegram of its own",
		"--upstream=back --back=back.example:9":                       "has no certificate, and is not an address of this machine",
		"--upstream=back --back=203.0.113.7:9 --link-insecure-vpn":    "is not an address of this machine",
		"--upstream=back --back=10.0.0.1:9":                           "--link-insecure-vpn when a VPN",
		"--upstream=back --back=10.0.0.1:9 --link-insecure-vpn":       "",
		"--upstream=back --back=127.0.0.1:9 --back=unix:/run/b":       "",
		"--upstream=back --back=back.example:9" + cert:                "",
		"--upstream=back --back=127.0.0.1:0":                          "1 to 65535",
		"--upstream=back --back=:9":                                   "has no host",
		"--upstream=back --back=nowhere":                              "not a host with a port",
		"--upstream=back --back=127.0.0.1:9 --back-key=k":             "no certificate",
		"--serve-back=:9": "is not an address of this machine",
		"--serve-back=0.0.0.0:9 --link-insecure-vpn":                           "is not an address of this machine",
		"--serve-back=192.168.1.1:9":                                           "--link-insecure-vpn when a VPN",
		"--serve-back=192.168.1.1:9 --link-insecure-vpn":                       "",
		"--serve-back=:9" + cert:                                               "",
		"--serve-back=:9 --serve-back-allow=" + cert:                           "no name of a certificate",
		"--serve-back=:1443 --listen=:1443" + cert:                             "clients connect there",
		"--serve-back=unix:/run/b --serve-back-streams=5 --serve-back-opens=5": "",
	} {
		_, err := load(t, strings.Fields(args), nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", args, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// A back has clients of its own only when somebody said where they connect.
func TestBackListens(t *testing.T) {
	for args, want := range map[string]int{
		"--serve-back=127.0.0.1:9":                0,
		"--serve-back=127.0.0.1:9 --listen=:1443": 1,
		"--serve-back=127.0.0.1:9 --listen=:1":    1,
		"--upstream=back --back=127.0.0.1:9":      1,
	} {
		s, err := load(t, strings.Fields(args), nil)
		if err != nil || len(s.Listen) != want {
			t.Errorf("%s: %d listeners, %v", args, len(s.Listen), err)
		}
	}
}
