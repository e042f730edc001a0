package config

import (
	"io"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzFlags gives any text to every flag: nothing panics, and what is taken prints as something that is taken again
// and prints the same.
func FuzzFlags(f *testing.F) {
	for _, text := range []string{
		"4G", "https://a/b", "203.0.113.7", testTag, "a=:443", "[::]:443", "unix:/x", testKey, "n=dd" + testKey, "tls,secure", "2=1.2.3.4:443,[::1]:1", "60s/30s/4", "128KiB", "0x10", "10s", "off", "www.example.com", "-203",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := Default()
		fs := pflag.NewFlagSet("epoxy", pflag.ContinueOnError)
		fs.SetOutput(io.Discard)
		Register(fs, s)
		fs.VisitAll(func(flag *pflag.Flag) {
			before := len(s.mistakes)
			if err := flag.Value.Set(text); err != nil {
				t.Fatalf("--%s: %v", flag.Name, err)
			}
			shown := flag.Value.String()
			if len(s.mistakes) > before || shown == "" || flag.Name == "listen" {
				return
			}
			if _ = flag.Value.Set(shown); len(s.mistakes) > before || flag.Value.String() != shown {
				t.Fatalf("--%s %q prints as %q, which comes back as %q, %v", flag.Name, text, shown, flag.Value, s.mistakes)
			}
		})
		_ = s.Validate()
	})
}
