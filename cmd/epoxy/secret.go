package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"epoxy/codec"
	"epoxy/codec/secret"
)

func (a *app) secret() *cobra.Command {
	var domain, kind string
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Make a secret",
		Long: `Secret makes a random secret and prints it in hex, for --secret or EPOXY_SECRET. A plain one suits most: run makes
the dd and ee links of it. With --domain it is an ee secret, which carries the site that it looks like.`,
		Example: `  epoxy secret
  epoxy secret --domain www.example.com
  epoxy run --secret alice=$(epoxy secret) --domain www.example.com`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			k, err := kindOf(kind, domain)
			if err != nil {
				return usage(err)
			}
			var key codec.Key
			if _, err := io.ReadFull(a.random, key[:]); err != nil {
				return fmt.Errorf("no randomness for a secret: %w", err)
			}
			made, err := secret.Generate(key, k, domain)
			if err != nil {
				return usage(fmt.Errorf("--domain %q: %s; write the name of a web site, such as www.example.com", domain, strings.TrimPrefix(err.Error(), "secret: ")))
			}
			fmt.Fprintln(a.out, made.Hex())
			return nil
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "", "the web site that an ee secret looks like")
	cmd.Flags().StringVar(&kind, "kind", "", "plain, dd or ee; default: ee with --domain, else plain")
	return cmd
}

// kindOf returns the kind that the two flags ask for.
func kindOf(kind, domain string) (secret.Kind, error) {
	switch {
	case kind == "" && domain == "", kind == "plain" && domain == "":
		return secret.Plain, nil
	case kind == "dd" && domain == "":
		return secret.Padded, nil
	case kind == "plain", kind == "dd":
		return 0, fmt.Errorf("--kind %q: carries no domain; leave --domain out, or write --kind ee", kind)
	case kind == "ee" && domain == "":
		return 0, errors.New(`--kind "ee": carries a domain; add --domain www.example.com`)
	case kind == "ee", kind == "":
		return secret.FakeTLS, nil
	}
	return 0, fmt.Errorf("--kind %q: is not a kind; write one of plain, dd, ee", kind)
}
