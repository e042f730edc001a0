package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"epoxy/engine/admin"
)

// talks returns the commands that speak to a running proxy.
func (a *app) talks() []*cobra.Command {
	return []*cobra.Command{a.status(), a.top(), a.reload(), a.drain(), a.logLevel(), a.secrets(), a.table()}
}

func (a *app) reload() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "reload",
		Short: "Let a running proxy read its settings again",
		Long: `Reload lets a running proxy read its settings again: what can change changes at once, no client notices, and what
needs a restart is named. With a mistake in the settings nothing changes.`,
		Example: `  epoxy reload
  epoxy reload --admin unix:/run/epoxy/admin.sock`,
	}, 0, 0, func(c *caller, _ []string) error {
		var r admin.Reload
		if err := c.exchange("POST", "/reload", nil, &r); err != nil || c.json {
			return err
		}
		if len(r.Applied)+len(r.Restart) == 0 {
			fmt.Fprintln(c.out, "nothing has changed")
			return nil
		}
		if len(r.Applied) > 0 {
			fmt.Fprintln(c.out, "in force now:", clean(strings.Join(r.Applied, ", "), ""))
		}
		if len(r.Restart) > 0 {
			fmt.Fprintln(c.out, "in force after a restart:", clean(strings.Join(r.Restart, ", "), ""))
		}
		fmt.Fprintf(c.out, "%s clients stay", count(uint64(r.Kept)))
		if r.Draining > 0 {
			fmt.Fprintf(c.out, ", %s whose port or secret is gone get --drain to finish", count(uint64(r.Draining)))
		}
		fmt.Fprintln(c.out)
		return nil
	})
}

func (a *app) drain() *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Let a running proxy take no new clients, and stop when the others left",
		Long: `Drain closes the listeners of a running proxy. It stops when its clients left, or after --time; without that, after
what its own --drain says. The command does not wait for it.`,
		Example: `  epoxy drain
  epoxy drain --time 10m`,
	}
	cmd.Flags().DurationVar(&limit, "time", 0, "what clients get to finish, such as 10m; default: what --drain of the proxy says")
	return a.asking(cmd, 0, 0, func(c *caller, _ []string) error {
		path := "/drain"
		if cmd.Flags().Changed("time") {
			if limit < 0 {
				return usage(fmt.Errorf("--time %s: is no time; write 0 or more", limit))
			}
			path += "?seconds=" + strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)
		}
		if err := c.exchange("POST", path, nil, nil); err != nil || c.json {
			return err
		}
		fmt.Fprintln(c.out, "draining; epoxy status shows who is left")
		return nil
	})
}

func (a *app) logLevel() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "log-level [[PART=]LEVEL]",
		Short: "Show or change what a running proxy logs",
		Long: `Log-level shows the least level that a running proxy logs, or changes it until its next start: debug, info, warn or
error, for all or for one part.`,
		Example: `  epoxy log-level
  epoxy log-level debug
  epoxy log-level front=debug`,
	}, 0, 1, func(c *caller, args []string) error {
		var l admin.Levels
		var err error
		if len(args) == 0 {
			err = c.get("/log-level", &l)
		} else {
			part, level, found := strings.Cut(args[0], "=")
			if !found {
				part, level = "", args[0]
			}
			if !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
				return usage(errors.New("there is no such level; write debug, info, warn or error"))
			}
			err = c.exchange("PUT", "/log-level", admin.SetLevel{Part: part, Level: level}, &l)
		}
		if err != nil || c.json {
			return err
		}
		t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		for _, part := range slices.Sorted(maps.Keys(l.Levels)) {
			name := part
			if part == "" {
				name = "all"
			}
			fmt.Fprintf(t, "%s\t%s\n", clean(name, ""), clean(l.Levels[part], ""))
		}
		return t.Flush()
	})
}

// group is a command that has others below it.
func (a *app) group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(below...)
	return cmd
}

func (a *app) secrets() *cobra.Command {
	list := a.asking(&cobra.Command{
		Use:   "list",
		Short: "Show the secrets of a running proxy by name, with what they used",
		Example: `  epoxy secrets list
  epoxy secrets list --json`,
	}, 0, 0, func(c *caller, _ []string) error {
		var all []admin.Secret
		if err := c.get("/secrets", &all); err != nil || c.json {
			return err
		}
		return secretSection(all, nil).write(c.out)
	})
	reset := a.asking(&cobra.Command{
		Use:     "reset NAME",
		Short:   "Let the quota of a secret begin anew",
		Example: `  epoxy secrets reset alice`,
	}, 1, 1, func(c *caller, args []string) error {
		if err := c.exchange("POST", "/secrets/"+url.PathEscape(args[0])+"/reset", nil, nil); err != nil || c.json {
			return err
		}
		fmt.Fprintln(c.out, "its quota begins anew")
		return nil
	})
	return a.group(&cobra.Command{
		Use:   "secrets",
		Short: "Show the secrets of a running proxy, or reset a quota",
		Long: `Secrets shows the secrets of a running proxy by name, with clients, traffic and quotas, or lets a quota begin anew. The
secrets themselves are not shown: epoxy link prints links.`,
	}, list, reset)
}
