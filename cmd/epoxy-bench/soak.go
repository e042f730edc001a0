package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"epoxy/bench/rig"
	"epoxy/bench/soak"
)

const soakHelp = `soak does everything to Epoxy at once for --duration: clients who come and go, downloads and uploads,
small packets, readers who stop, reloads every few seconds with a settings file that changes. One proxy is in direct mode,
where no client may notice anything; two go over middle proxies whose links die after 2 to 10 s, one of them with clients who
change links. There clients may be closed, but nobody may see a wrong byte or wait for ever. It looks at the memory,
descriptors and goroutines of all the whole time and after the last client left.

  epoxy-bench soak                     half an hour
  epoxy-bench soak --duration 60s      does it work?

The exit code is 1 when something grew, was lost or hung.`

const densityHelp = `density holds --clients fake-TLS clients over middle proxies in one process, in --steps steps, each
followed by a silence in which Epoxy gives back what idle clients do not need. It prints resident memory, Go heap and kernel
memory for each number of clients; growth has to be linear. At the end every client has to answer, and one of a hundred goes
on speaking beside the others. Kernel memory is half of the machine's growth, because on loopback one end of two is the
proxy's.

  epoxy-bench density                       as many as descriptors allow, 100,000 at most
  epoxy-bench density --clients 15000 --json bin/density.json

More clients than descriptors: make density N=250000 runs it in a guest kernel, see bench/bigbox.
The exit code is 1 when a client failed or growth is not linear.`

// errVerdict is a run that found a fault.
var errVerdict = errors.New("epoxy-bench: the verdict is bad, see above")

func soakCommand() *cobra.Command {
	var o soak.Options
	var place benchPlace
	var file string
	c := &cobra.Command{
		Use:   "soak",
		Short: "Churn, bulk, small packets, stalls, dying links and reloads together, for long",
		Long:  soakHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Duration < minSoak {
				return usageError{fmt.Errorf("epoxy-bench: --duration %v is too short to judge, it takes %v", o.Duration, minSoak)}
			}
			r, done, err := place.rig()
			if err != nil {
				return err
			}
			defer done()
			o.Rig, o.Log = r, c.ErrOrStderr()
			report, err := soak.Run(c.Context(), o)
			if err != nil {
				return err
			}
			report.Print(c.OutOrStdout())
			return finish(file, report, report.Faults)
		},
	}
	c.SetFlagErrorFunc(usage)
	c.Flags().SortFlags = false
	c.Flags().DurationVar(&o.Duration, "duration", 30*time.Minute, "how long")
	c.Flags().StringVar(&file, "json", "", "file for the report with all samples")
	place.flags(c)
	return c
}

// minSoak is the shortest soak that gives samples enough for a verdict.
const minSoak = 10 * time.Second

// densitySpare is descriptors of the proxy and of the load beside those of clients.
const densitySpare = 2000

func densityCommand() *cobra.Command {
	limit := rig.FileLimit()
	o := soak.DensityOptions{}
	var place benchPlace
	var file string
	c := &cobra.Command{
		Use:   "density",
		Short: "Hold as many idle clients as there is room for",
		Long:  densityHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case o.Clients < 1 || o.Steps < 1 || o.Steps > o.Clients || o.Active <= 0 || o.Settle < 0:
				return usageError{errors.New("epoxy-bench: --clients, --steps and --active must be above 0, --settle not negative, and --steps not above --clients")}
			case o.Clients+densitySpare/10 > limit:
				return usageError{fmt.Errorf("epoxy-bench: --clients %d: a process may have %d descriptors here; make density N=%d uses a guest kernel", o.Clients, limit, o.Clients)}
			}
			r, done, err := place.rig()
			if err != nil {
				return err
			}
			defer done()
			o.Rig, o.Log = r, c.ErrOrStderr()
			report, err := soak.Density(c.Context(), o)
			if err != nil {
				return err
			}
			report.Print(c.OutOrStdout())
			return finish(file, report, report.Faults)
		},
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.Clients, "clients", min(100_000, max(100, limit-densitySpare)), "clients to hold; default: what descriptors allow")
	f.IntVar(&o.Steps, "steps", 5, "parts in which they come")
	f.DurationVar(&o.Settle, "settle", 45*time.Second, "silence after each part; Epoxy compacts after 30 s")
	f.DurationVar(&o.Active, "active", 10*time.Second, "how long one of a hundred speaks at the end")
	f.StringVar(&file, "json", "", "file for the report")
	place.flags(c)
	return c
}

// finish writes the report and says whether it is good.
func finish(file string, report any, faults []string) error {
	if file != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.MkdirAll(filepath.Dir(file), 0o755)
		}
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			return err
		}
	}
	if len(faults) > 0 {
		return errVerdict
	}
	return nil
}
