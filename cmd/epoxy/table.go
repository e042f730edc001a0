package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"epoxy/engine/admin"
	"epoxy/engine/policy"
)

const (
	maxImport = 256 << 20 // bytes of a file of keys
	piece     = 4 << 20   // bytes of a file that are sent at once
)

func (a *app) table() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "table",
		Short: "Show and change the tables of a running proxy",
		Long: `Table shows and changes the tables that rules look keys up in. A key is client_ip 192.0.2.1, client_subnet 192.0.2.0/24,
tls_domain example.org, port NAME or secret NAME. Changes are in force at once and survive a restart. A table may be filled
before a rule names it.`,
	}, a.tableAdd(), a.tableDel(), a.tableList(), a.tableImport(), a.tableExport())
}

func (a *app) tableAdd() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "add NAME KEY VALUE",
		Short: "Put a key into a table, which is made when missing",
		Example: `  epoxy table add blocked client_ip 192.0.2.1
  epoxy table add blocked client_subnet 2001:db8::/48
  epoxy table add partners tls_domain www.example.com`,
	}, 3, 3, func(c *caller, args []string) error {
		changed, err := c.change("POST", args)
		if err != nil || c.json {
			return err
		}
		if changed.Added == 0 {
			fmt.Fprintln(c.out, "it was there already")
			return nil
		}
		fmt.Fprintln(c.out, "added")
		return nil
	})
}

func (a *app) tableDel() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:     "del NAME KEY VALUE",
		Short:   "Take a key out of a table",
		Example: `  epoxy table del blocked client_ip 192.0.2.1`,
	}, 3, 3, func(c *caller, args []string) error {
		changed, err := c.change("DELETE", args)
		if err != nil || c.json {
			return err
		}
		if changed.Deleted == 0 {
			fmt.Fprintln(c.out, "it was not there")
			return nil
		}
		fmt.Fprintln(c.out, "deleted")
		return nil
	})
}

// change sends the one key of NAME KEY VALUE.
func (c *caller) change(method string, args []string) (changed admin.Changed, err error) {
	if err := policy.CheckName(args[0]); err != nil {
		return changed, wrongKey(err)
	}
	kind, err := policy.ParseKind(args[1])
	if err != nil {
		return changed, wrongKey(err)
	}
	key, err := policy.ParseKey(kind, args[2])
	if err != nil {
		return changed, wrongKey(err)
	}
	err = c.exchange(method, "/tables/"+args[0], []admin.Entry{{Key: kind.String(), Value: key.Value()}}, &changed)
	return changed, err
}

func wrongKey(err error) error { return usage(errors.New(strings.TrimPrefix(err.Error(), "policy: "))) }

func (a *app) tableList() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "list [NAME]",
		Short: "Show all tables, or the keys of one",
		Example: `  epoxy table list
  epoxy table list blocked`,
	}, 0, 1, func(c *caller, args []string) error {
		t := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
		if len(args) == 0 {
			var all []admin.TableInfo
			if err := c.get("/tables", &all); err != nil || c.json {
				return err
			}
			fmt.Fprintln(t, "TABLE\tKEYS")
			for _, one := range all {
				fmt.Fprintf(t, "%s\t%s\n", clean(one.Name, ""), count(uint64(one.Keys)))
			}
			return t.Flush()
		}
		if err := policy.CheckName(args[0]); err != nil {
			return wrongKey(err)
		}
		var keys []admin.Entry
		if err := c.get("/tables/"+args[0], &keys); err != nil || c.json {
			return err
		}
		for _, k := range keys {
			fmt.Fprintf(t, "%s\t%s\n", clean(k.Key, ""), clean(k.Value, ""))
		}
		return t.Flush()
	})
}

func (a *app) tableImport() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "import NAME FILE",
		Short: "Put the keys of a file into a table: lines KEY VALUE; - is standard input",
		Long: `Import puts the keys of a file into a table, lines KEY VALUE as export writes them; what is there already stays. Empty lines
and lines that begin with # do not count. With a wrong line nothing is added.`,
		Example: `  epoxy table import blocked blocked.txt
  epoxy table import blocked -`,
	}, 2, 2, func(c *caller, args []string) error {
		if err := policy.CheckName(args[0]); err != nil {
			return wrongKey(err)
		}
		text, err := c.readAll(args[1])
		if err != nil {
			return err
		}
		keys, err := policy.ParseLines(string(text))
		if err != nil {
			return fmt.Errorf("%s has wrong lines, nothing was added:\n%w", args[1], err)
		}
		var sum admin.Changed
		var lines bytes.Buffer
		for i, k := range keys {
			lines.WriteString(k.String() + "\n")
			if lines.Len() < piece && i < len(keys)-1 {
				continue
			}
			var one admin.Changed
			answer, err := c.do("POST", "/tables/"+args[0], "text/plain", lines.Bytes())
			if err == nil {
				err = c.read(answer, &one)
			}
			if err != nil {
				return fmt.Errorf("%w (%s keys were added before)", err, count(uint64(sum.Added)))
			}
			sum.Added += one.Added
			lines.Reset()
		}
		if c.json {
			fmt.Fprintf(c.out, "{\"added\": %d, \"deleted\": 0}\n", sum.Added)
			return nil
		}
		fmt.Fprintf(c.out, "%s keys added, %s were there already or stood twice\n", count(uint64(sum.Added)), count(uint64(len(keys)-sum.Added)))
		return nil
	})
}

func (a *app) tableExport() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "export NAME FILE",
		Short: "Write a table to a file: lines KEY VALUE; - is standard output",
		Example: `  epoxy table export blocked blocked.txt
  epoxy table export blocked -`,
	}, 2, 2, func(c *caller, args []string) error {
		if err := policy.CheckName(args[0]); err != nil {
			return wrongKey(err)
		}
		kind := "text/plain"
		if c.json {
			kind = "application/json"
		}
		text, err := c.do("GET", "/tables/"+args[0], kind, nil)
		if err != nil {
			return err
		}
		if args[1] == "-" {
			_, err = c.out.Write(text)
			return err
		}
		if err := os.WriteFile(args[1], text, 0o644); err != nil {
			return fmt.Errorf("the table cannot be written: %w", err)
		}
		return nil
	})
}

// readAll returns a file, - is standard input.
func (c *caller) readAll(path string) ([]byte, error) {
	from := c.in
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("the keys cannot be read: %w", err)
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxImport+1))
	if err != nil {
		return nil, fmt.Errorf("the keys cannot be read: %w", err)
	}
	if len(text) > maxImport {
		return nil, fmt.Errorf("%s is larger than %d MiB; cut it in pieces", path, maxImport>>20)
	}
	return text, nil
}
