package main

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"epoxy/engine/config"
)

func (a *app) link() *cobra.Command {
	s := config.Default()
	var qr bool
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print the links that clients open, with their secrets",
		Long: `Link prints the links that Telegram apps open, for t.me and tg://, with their secrets. Give it the flags,
variables or file that run has: a plain secret gets a link for each protocol of --allow, fake-TLS only with --domain; a dd or
ee secret gets the one it is made for. Without --secret it takes the one that run made and keeps in --state-dir.`,
		Example: `  epoxy link --listen :443 --domain www.example.com --public-host proxy.example.net
  epoxy link --secret ee3f2a... --public-host 203.0.113.7 --public-port 443 --qr
  docker exec epoxy epoxy link`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.settings(cmd, s); err != nil {
				return err
			}
			return a.printAll(s, qr)
		},
	}
	cmd.Flags().SortFlags = false
	config.RegisterLinks(cmd.Flags(), s)
	cmd.Flags().BoolVar(&qr, "qr", false, "print each link as a QR code too")
	return cmd
}

// printAll prints the links of s whole, with the kept secret when it has none.
func (a *app) printAll(s *config.Settings, qr bool) error {
	if len(s.Secrets) == 0 {
		kept, err := readSecret(s.StateDir)
		if errors.Is(err, fs.ErrNotExist) {
			return usage(errors.New("there is no secret; give --secret, or let epoxy run make one in --state-dir " + s.StateDir))
		}
		if err != nil {
			return err
		}
		s.Secrets = []config.NamedSecret{{Name: "secret1", Secret: kept}}
	}
	p := a.place(s, nil)
	a.printLinks(s, p, nil, shown{whole: true, qr: qr})
	if p.guess != "" {
		warn(a.errs, p.guess)
	}
	return nil
}
