package doctor

import (
	"context"
	"fmt"
	"time"

	"epoxy/upstream/split"
)

// renewTime is how long before its end a certificate is better renewed.
const renewTime = 30 * 24 * time.Hour

// certificates looks at those of links between servers.
func (d *doctor) certificates(context.Context) (found []Finding) {
	for _, side := range []struct {
		flag  string
		files split.Files
	}{{"--back-cert", d.set.BackFiles}, {"--serve-back-cert", d.set.ServeBackFiles}} {
		if side.files.Cert == "" {
			continue
		}
		f := Finding{Check: "certificates"}
		creds, err := split.NewCreds(side.files, []string{d.set.BackName})
		if err != nil {
			f.Name, f.Level, f.Text = "certificate_unusable", Fault, side.flag+": "+err.Error()
			f.Cure = "make one with `epoxy link-certs DIR` and name its file"
			found = append(found, f)
			continue
		}
		end := creds.Expires()
		f.Text = fmt.Sprintf("%s is good until %s", side.flag, end.Format(time.DateOnly))
		switch left := end.Sub(d.Now()); {
		case left <= 0:
			f.Name, f.Level, f.Text = "certificate_expired", Fault, fmt.Sprintf("%s was good until %s", side.flag, end.Format(time.DateOnly))
		case left < renewTime:
			f.Name, f.Level = "certificate_expires", Warning
		}
		if f.Name != "" {
			f.Cure = "move the file away, make another with `epoxy link-certs DIR` in the directory of its authority, and epoxy reload"
		}
		found = append(found, f)
	}
	return found
}

// backs looks whether the backs let us in and have Telegram.
func (d *doctor) backs(ctx context.Context) []Finding {
	var creds *split.Creds
	if files := d.set.BackFiles; files.Cert != "" {
		var err error
		if creds, err = split.NewCreds(files, []string{d.set.BackName}); err != nil {
			return nil // certificates told
		}
	}
	return together(len(d.set.Backs), func(i int) []Finding {
		ctx, cancel := context.WithTimeout(ctx, d.Probe)
		defer cancel()
		at := d.set.Backs[i]
		f := Finding{Check: "telegram", Text: "--back " + at + " lets us in and has Telegram"}
		ready, err := split.Probe(ctx, at, creds)
		switch {
		case err != nil:
			f.Name, f.Level, f.Text = "back_unreachable", Fault, "--back "+at+": "+plain(err)
			f.Cure = "see whether it runs with --serve-back there, whether --back-name is a name in its certificate, and whether its --serve-back-allow has one in ours"
		case !ready:
			f.Name, f.Level, f.Text = "back_without_telegram", Fault, "--back "+at+" lets us in, but cannot reach Telegram"
			f.Cure = "run epoxy check on that server"
		}
		return one(f)
	})
}
