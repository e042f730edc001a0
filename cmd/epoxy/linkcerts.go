package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"epoxy/codec/secret"
	"epoxy/upstream/split"
)

// maxCertName is how long a name may be: it is a file's and a metric label, too.
const maxCertName = 64

func (a *app) linkCerts() *cobra.Command {
	var fronts, backs []string
	cmd := &cobra.Command{
		Use:   "link-certs DIR",
		Short: "Make the certificates of a front and a back server",
		Long: `Link-certs makes a private authority in DIR (ca.pem, ca.key) and for each server NAME.pem, which has its certificate, its
key and the authority's certificate: the one file that --back-cert or --serve-back-cert needs. Called again with other
names it adds theirs, and leaves alone what is there. Keep ca.key off the servers.

With names of your own write them on the other side, too: --back-name on fronts, --serve-back-allow on backs.`,
		Example: `  epoxy link-certs certs
  epoxy run --serve-back :8443 --serve-back-cert epoxy-back.pem                             on the back
  epoxy run --upstream back --back back.example.net:8443 --back-cert epoxy-front.pem        on the front
  epoxy link-certs certs --front paris --front rome --back berlin`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return usage(errors.New("write epoxy link-certs DIR, with the directory for the certificates"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("front") && !cmd.Flags().Changed("back") {
				fronts, backs = []string{split.FrontName}, []string{split.BackName}
			}
			for _, n := range append(append([]string(nil), fronts...), backs...) {
				if len(n) > maxCertName || n == "ca" || secret.CheckDomain(n) != nil {
					return usage(fmt.Errorf("%q: is no name for a certificate; write letters, digits, dots and dashes, such as paris", n))
				}
			}
			made, err := split.MakeCerts(args[0], fronts, backs, time.Now())
			for _, name := range made {
				fmt.Fprintln(a.out, filepath.Join(args[0], name))
			}
			if err == nil && len(made) == 0 {
				fmt.Fprintln(a.out, "Everything is there already.")
			}
			return err
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringArrayVar(&fronts, "front", nil, "name of a front server; repeatable; without --front and --back one each, "+split.FrontName+" and "+split.BackName)
	cmd.Flags().StringArrayVar(&backs, "back", nil, "name of a back server; repeatable")
	return cmd
}
