package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"epoxy/bench/compare"
)

const gatherHelp = `gather reads reports of epoxy-bench load --json that a script left in DIRECTORY as CASE.PROXY.ROUND.json, and sums
them up as compare does: medians with the least and the greatest, each round's value, machine, Go release, commit, date.
bench/figures.sh and bench/strangers.sh end with it. CASE is one of compare's, or strangers, watched, probes.

  epoxy-bench gather bin/figures --order haproxy,direct,middle --json bin/figures/summary.json`

func gatherCommand() *cobra.Command {
	var file, title string
	var order []string
	c := &cobra.Command{
		Use:   "gather DIRECTORY",
		Short: "Sum up reports of epoxy-bench load",
		Long:  gatherHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := compare.Gather(args[0], title, order)
			if err != nil {
				return err
			}
			fmt.Fprint(c.OutOrStdout(), r.Markdown())
			if file == "" {
				return nil
			}
			return r.Save(file)
		},
	}
	c.SetFlagErrorFunc(usage)
	c.Flags().StringVar(&file, "json", "", "file for the sums")
	c.Flags().StringVar(&title, "title", "", "what was measured")
	c.Flags().StringSliceVar(&order, "order", nil, "the proxies, in the order of the table; others come behind them")
	return c
}
