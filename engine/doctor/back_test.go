package doctor

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"log/slog"

	"epoxy/engine/config"
	"epoxy/upstream/split"
)

// A back is asked as a front would ask it; what keeps the two apart, and a certificate's end, is told.
func TestBacks(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	if _, err := split.MakeCerts(dir, []string{split.FrontName}, []string{split.BackName}, now); err != nil {
		t.Fatal(err)
	}
	file := func(name string) split.Files { return split.Files{Cert: filepath.Join(dir, name+".pem")} }
	creds, err := split.NewCreds(file(split.BackName), []string{split.FrontName})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		ready      bool
		change     func(*config.Settings)
		later      time.Duration
	}{
		{name: "fine", ready: true},
		{name: "no Telegram", want: "back_without_telegram"},
		{name: "another name", ready: true, want: "back_unreachable", change: func(s *config.Settings) { s.BackName = "berlin" }},
		{name: "not a front", ready: true, want: "back_unreachable", change: func(s *config.Settings) { s.BackFiles = file(split.BackName) }},
		{name: "no file", ready: true, want: "certificate_unusable", change: func(s *config.Settings) { s.BackFiles = file("nobody") }},
		{name: "soon over", ready: true, want: "certificate_expires", later: 10*365*24*time.Hour - 24*time.Hour},
		{name: "over", ready: true, want: "certificate_expired", later: 11 * 365 * 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv, err := split.NewServer(split.ServerOptions{
				Addr: "127.0.0.1:0", Creds: creds, Ready: func() bool { return c.ready }, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			srv.Start()
			defer srv.Stop()
			set := config.Default()
			set.Upstream, set.Backs, set.BackFiles = config.UpstreamBack, []string{srv.Addr()}, file(split.FrontName)
			if c.change != nil {
				c.change(set)
			}
			o := Options{Now: func() time.Time { return now.Add(c.later) }}
			o.fill()
			d := &doctor{Options: o, set: set}
			found := append(d.certificates(t.Context()), d.telegram(t.Context())...)
			bad := slices.DeleteFunc(slices.Clone(found), func(f Finding) bool { return f.Name == "" })
			switch {
			case c.want == "" && (len(bad) > 0 || len(found) != 2):
				t.Errorf("%+v", found)
			case c.want != "" && (len(bad) != 1 || bad[0].Name != c.want || bad[0].Cure == ""):
				t.Errorf("%+v, want %s", found, c.want)
			}
		})
	}
}
