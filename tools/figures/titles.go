package main

import (
	"regexp"
	"strings"
)

// wording turns a benchmark's package and name into words for a table; what is not in it is shown as it is.
var wording = []struct {
	name *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`^codec/ctr /16384/rival$`), "AES-256-CTR, crypto/cipher"},
	{regexp.MustCompile(`^codec/ctr /16384/ordinary$`), "AES-256-CTR, ours on any CPU"},
	{regexp.MustCompile(`^codec/ctr /16384/(\w+)$`), "AES-256-CTR, ours by $1"},
	{regexp.MustCompile(`^codec/cbc /(\w+)/16384/ordinary$`), "AES-256-CBC $1, crypto/cipher"},
	{regexp.MustCompile(`^codec/cbc /(\w+)/16384/(\w+)$`), "AES-256-CBC $1, ours by $2"},
	{regexp.MustCompile(`^codec/cbc Lanes/1$`), "AES-256-CBC encrypt, 1 KiB of one stream"},
	{regexp.MustCompile(`^codec/cbc Lanes/(\d+)$`), "AES-256-CBC encrypt, 1 KiB of each of $1 streams side by side"},
	{regexp.MustCompile(`^engine/session FailedHandshake/secrets=(\d+)/tls=true$`), "$1 secrets tried, fake-TLS hello"},
	{regexp.MustCompile(`^engine/session FailedHandshake/secrets=(\d+)/tls=false$`), "$1 secrets tried, bare opening"},
	{regexp.MustCompile(`^engine/replay Seen/fresh$`), "a check, new handshake, all goroutines busy"},
	{regexp.MustCompile(`^engine/replay Seen/copy$`), "a check, copy of an old one, all goroutines busy"},
	{regexp.MustCompile(`^engine/replay Paced$`), "a check, paced, two looks at the clock included"},
	{regexp.MustCompile(`^codec/faketls ParseHello$`), "take a browser's hello apart"},
	{regexp.MustCompile(`^codec/faketls Check$`), "check its HMAC with one secret"},
	{regexp.MustCompile(`^codec/faketls AppendFlight/(\w+)$`), "build the answer, key share $1"},
	{regexp.MustCompile(`^codec/keyshare Point$`), "of that, an x25519 key"},
	{regexp.MustCompile(`^codec/keyshare Ciphertext$`), "of that, an ML-KEM ciphertext"},
	{regexp.MustCompile(`^engine/session Relay/tls/(\d+)$`), "to a client in TLS, $1 B at once"},
	{regexp.MustCompile(`^engine/session Deliver/(\w+)/(\d+)$`), "to a client in TLS, $2 B at once, records sized $1"},
}

// words are those of a benchmark.
func (b *benchmark) words() string {
	name := b.Package + " " + strings.TrimPrefix(b.Name, "Benchmark")
	for _, w := range wording {
		if w.name.MatchString(name) {
			return w.name.ReplaceAllString(name, w.say)
		}
	}
	return "`" + name + "`"
}
