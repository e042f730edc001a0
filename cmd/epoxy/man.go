package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// manCommand writes the manual; make docs calls it.
func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write manual pages into a directory, in place of those that are there",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(errors.New("epoxy man takes one directory"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := filepath.Glob(filepath.Join(args[0], "epoxy*.1"))
			if err != nil {
				return err
			}
			for _, page := range old {
				if err := os.Remove(page); err != nil {
					return err
				}
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for name, page := range manual(cmd.Root()) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(page), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manual returns the pages of cmd and the commands below it, by the names of their files.
func manual(cmd *cobra.Command) map[string]string {
	pages := map[string]string{manName(cmd) + ".1": manPage(cmd)}
	for _, below := range documented(cmd) {
		for name, page := range manual(below) {
			pages[name] = page
		}
	}
	return pages
}

// documented returns the commands below cmd that have a page: those with something to say.
func documented(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(c *cobra.Command) bool { return c.Hidden || c.Long == "" || c.Name() == "help" })
}

// manName returns "epoxy-config-show".
func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage returns the page of one command in the man macros of roff.
func manPage(cmd *cobra.Command) string {
	var b strings.Builder
	section := func(title string) { b.WriteString(".SH " + title + "\n") }
	short := strings.ToLower(cmd.Short[:1]) + cmd.Short[1:]
	fmt.Fprintf(&b, ".\\\" Made by make docs.\n.TH %s 1 \"\" \"Epoxy\" \"Epoxy\"\n", strings.ToUpper(roff(manName(cmd))))
	section("NAME")
	b.WriteString(roff(manName(cmd)) + " \\- " + roff(short) + "\n")
	section("SYNOPSIS")
	line := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		line = cmd.CommandPath() + " COMMAND [flags]"
	}
	b.WriteString(".B " + roff(line) + "\n")
	section("DESCRIPTION")
	manText(&b, cmd.Long)
	if cmd.HasAvailableSubCommands() {
		section("COMMANDS")
		for _, c := range cmd.Commands() {
			if !c.Hidden && c.Name() != "help" {
				b.WriteString(".TP\n.B " + roff(c.CommandPath()) + "\n" + roff(c.Short) + ".\n")
			}
		}
	}
	manFlags(&b, cmd)
	if cmd.Example != "" {
		section("EXAMPLES")
		manText(&b, cmd.Example)
	}
	others := documented(cmd)
	if cmd.HasParent() {
		others = append(others, cmd.Parent())
		others = append(others, documented(cmd.Parent())...)
	}
	var lines []string
	for _, c := range others {
		if c != cmd {
			lines = append(lines, ".BR "+roff(manName(c))+" (1)")
		}
	}
	slices.Sort(lines)
	section("SEE ALSO")
	b.WriteString(strings.Join(lines, ",\n") + "\n")
	return b.String()
}

// manFlags writes the flags of cmd. Those that are settings have their text in the page of run alone.
func manFlags(b *strings.Builder, cmd *cobra.Command) {
	run, _, err := cmd.Root().Find([]string{"run"})
	if err != nil {
		run = cmd
	}
	var shared []string
	title := ".SH OPTIONS\n"
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}
		if same := run.Flags().Lookup(f.Name); cmd != run && same != nil && same.Usage == f.Usage {
			shared = append(shared, f.Name)
			return
		}
		kind, text := pflag.UnquoteUsage(f)
		b.WriteString(title + ".TP\n\\fB" + roff("--"+f.Name) + "\\fR")
		title = ""
		if kind != "" {
			b.WriteString(" \\fI" + roff(kind) + "\\fR")
		}
		b.WriteString("\n" + roff(text))
		if d := f.DefValue; d != "" && d != "false" && d != "[]" {
			b.WriteString(". Default: " + roff(d))
		}
		b.WriteString(".\n")
	})
	const few = 16
	switch {
	case len(shared) > few:
		b.WriteString(title + ".PP\nAll flags of\n.BR epoxy\\-run (1).\n")
	case len(shared) > 0:
		b.WriteString(title + ".PP\n" + roff("As in epoxy-run(1): --"+strings.Join(shared, ", --")+".") + "\n")
	}
}

// manText writes paragraphs; indented lines stay as they are.
func manText(b *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(strings.Trim(text, "\n"), "\n\n") {
		b.WriteString(".PP\n")
		literal := false
		for line := range strings.Lines(paragraph) {
			if indented := strings.HasPrefix(line, "  "); indented != literal {
				b.WriteString(map[bool]string{true: ".PP\n.nf\n.RS 2\n", false: ".RE\n.fi\n"}[indented])
				literal = indented
			}
			b.WriteString(roff(strings.TrimPrefix(strings.TrimRight(line, "\n"), "  ")) + "\n")
		}
		if literal {
			b.WriteString(".RE\n.fi\n")
		}
	}
}

// roff returns text so that it is printed as it stands.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`).Replace(text)
	var b strings.Builder
	for _, r := range text {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	if strings.HasPrefix(text, ".") {
		return `\&` + b.String()
	}
	return b.String()
}
