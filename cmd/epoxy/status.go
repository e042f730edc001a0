package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"epoxy/engine/admin"
)

func (a *app) status() *cobra.Command {
	var interval time.Duration
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running proxy does",
		Long: `Status shows how a running proxy does: clients, handshakes and what became of those that failed, traffic, the ways to each
datacenter, its loops, its busiest secrets and its fronts. It looks twice, --interval apart, for what moves in a second.`,
		Example: `  epoxy status
  epoxy status --interval 10s
  epoxy status --json`,
	}
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "between the two looks; 0 is one look, without rates")
	return a.asking(cmd, 0, 0, func(c *caller, _ []string) error {
		var first, second admin.Status
		if err := c.get("/status", &first); err != nil || c.json {
			return err
		}
		if interval <= 0 {
			return printReport(c.out, newLook(&first, nil))
		}
		if !c.rest(interval) {
			return &exitError{exitInterrupted, errors.New("interrupted")}
		}
		if err := c.get("/status", &second); err != nil {
			return err
		}
		return printReport(c.out, newLook(&second, &first))
	})
}

// rest waits, and returns false when a signal ended it.
func (c *caller) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// printReport prints all that a look saw.
func printReport(w io.Writer, l look) error {
	head, tables := l.report()
	var page bytes.Buffer
	for _, line := range aligned(head) {
		fmt.Fprintln(&page, line)
	}
	for _, t := range tables {
		if len(t.rows) > 0 {
			fmt.Fprintln(&page)
			_ = t.write(&page) // a buffer takes everything
		}
	}
	_, err := page.WriteTo(w)
	return err
}

// frame returns a look in at most rows lines of at most columns characters; tables share what the head leaves.
func frame(l look, columns, rows int) []string {
	head, tables := l.report()
	lines := aligned(head)
	var some []section
	for _, t := range tables {
		if len(t.rows) > 0 {
			some = append(some, t)
		}
	}
	for i, t := range some {
		left := rows - len(lines)
		share := left/(len(some)-i) - 1 // an empty line before each
		if wanted := 0; i < len(some)-1 {
			for _, o := range some[i+1:] {
				wanted += len(o.rows) + 2
			}
			share = max(share, left-wanted-1) // what the others do not need
		}
		if share < 2 {
			continue
		}
		lines = append(append(lines, ""), t.lines(share)...)
	}
	lines = lines[:min(len(lines), rows)]
	for i, line := range lines {
		lines[i] = cut(line, columns)
	}
	return lines
}

// aligned returns lines with their tabs made columns.
func aligned(lines []string) []string {
	var b bytes.Buffer
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintln(t, clean(line, "\t"))
	}
	_ = t.Flush() // a buffer takes everything
	return strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
}

// cut shortens a line to so many characters.
func cut(line string, most int) string {
	if utf8.RuneCountInString(line) <= most {
		return line
	}
	return string([]rune(line)[:max(most-3, 0)]) + "..."[:min(most, 3)]
}
