package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"epoxy/engine/admin"
)

// screen is a terminal that somebody watches.
type screen struct {
	keys    <-chan byte                // as they are pressed; nil when they cannot be read
	size    func() (columns, rows int) // now
	restore func()
}

// What a terminal is told (ECMA-48, and xterm's alternate screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toCorner    = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

func (a *app) top() *cobra.Command {
	var interval time.Duration
	var times int
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch a running proxy",
		Long: `Top shows what status shows, again and again, until q or Ctrl-C. Where standard output is no terminal it prints a report
for every --interval.`,
		Example: `  epoxy top
  epoxy top --interval 10s --count 6 >> report.txt`,
	}
	cmd.Flags().DurationVar(&interval, "interval", time.Second, "between two looks")
	cmd.Flags().IntVar(&times, "count", 0, "looks, then it ends; 0 is no end")
	return a.asking(cmd, 0, 0, func(c *caller, _ []string) error {
		if interval <= 0 {
			return usage(errors.New("--interval: is no time; write 1s or more"))
		}
		if times < 0 {
			return usage(errors.New("--count: is below 0; write how many looks, or 0 for no end"))
		}
		var first admin.Status
		if err := c.get("/status", &first); err != nil {
			return err // before the screen is taken
		}
		if c.json {
			return c.repeat(interval, times, nil, func() error { return c.get("/status", nil) })
		}
		if !a.terminal || a.screen == nil {
			return c.watch(interval, times, nil, &first, func(l look, err error) error {
				if err != nil {
					return err
				}
				if err := printReport(c.out, l); err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.out)
				return err
			})
		}
		return c.onScreen(interval, times, &first)
	})
}

// onScreen watches in a terminal's alternate screen.
func (c *caller) onScreen(interval time.Duration, times int, first *admin.Status) (err error) {
	s, err := c.screen()
	if err != nil {
		return err
	}
	defer s.restore()
	if _, err := io.WriteString(c.out, enterScreen); err != nil {
		return err
	}
	defer func() {
		if _, werr := io.WriteString(c.out, leaveScreen); err == nil {
			err = werr
		}
	}()
	draw := func(l look, fault error) error {
		columns, rows := s.size()
		lines := frame(l, columns, rows-1)
		if fault != nil {
			lines[0] = cut(clean(fault.Error(), ""), columns)
		}
		var page strings.Builder
		page.WriteString(toCorner)
		for _, line := range lines {
			page.WriteString(line + clearLine + "\n")
		}
		page.WriteString(clearRest + cut("q quits", columns))
		_, err := io.WriteString(c.out, page.String())
		return err
	}
	if err := draw(newLook(first, nil), nil); err != nil {
		return err
	}
	return c.watch(interval, times, s.keys, first, draw)
}

// watch looks every interval and shows it, with rates since the look before. What did not answer is shown with the last look.
func (c *caller) watch(interval time.Duration, times int, keys <-chan byte, before *admin.Status, show func(look, error) error) error {
	last := newLook(before, nil)
	return c.repeat(interval, times, keys, func() error {
		var now admin.Status
		err := c.get("/status", &now)
		if c.ended() {
			return nil
		}
		if err != nil {
			return show(last, err)
		}
		last = newLook(&now, last.now)
		return show(last, nil)
	})
}

// repeat does something every interval, so many times or for ever, until a signal, q or an error.
func (c *caller) repeat(interval time.Duration, times int, keys <-chan byte, do func() error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; times == 0 || n < times; {
		select {
		case <-c.ctx.Done():
			return nil
		case k, ok := <-keys:
			if !ok {
				keys = nil // nobody types any more
			}
			if k == 'q' || k == 'Q' {
				return nil
			}
		case <-tick.C:
			n++
			if err := do(); err != nil {
				return err
			}
		}
	}
	return nil
}
