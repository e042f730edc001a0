package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"epoxy/bench/load"
	"epoxy/codec"
	"epoxy/upstream/faketg"
)

const telegramHelp = `telegram serves a fake Telegram until it is interrupted.

With --listen it is a datacenter, as a proxy in direct mode needs it: obfuscated2 without a
secret, with abridged, intermediate or padded packets. With --middle it is Telegram's middle
proxies, and with --config-listen what core.telegram.org tells proxies of them: the secret and
the two lists, under the names they have there. Both echo every packet, answer req_pq with
resPQ, and do what the commands of "epoxy-bench load" ask for. It prints each address it
listens on, and at the end what it saw.

Faults of the datacenter, to see how a proxy behaves when Telegram does not:
  --refuse        reset every connection at once
  --deaf          accept, then read nothing
  --stall         read, and never answer
  --one-byte      write one byte at a time
  --reset-after   send so many bytes on a connection, then reset it
  --close-after   send so many bytes, then close it

` + middleHelp + `

  epoxy-bench telegram --listen 127.0.0.1:8443 --listen [::1]:8443
  epoxy-bench telegram --middle 127.0.0.1:8888 --config-listen 127.0.0.1:8080
  epoxy-bench telegram --middle 2=127.0.0.1:8888 --fault life=2s-10s --fault then=reset`

// fakes is the orders of the telegram command.
type fakes struct {
	addrs  []string
	loops  int
	dc     int16
	faults faketg.Faults
	middle middleOrders
}

func telegramCommand(log *slog.Logger) *cobra.Command {
	var o fakes
	c := &cobra.Command{
		Use:   "telegram",
		Short: "Serve a fake Telegram: a datacenter, middle proxies, or both",
		Long:  telegramHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.faults.OnlyDC = codec.DC(o.dc)
			if o.loops < 1 {
				return usageError{fmt.Errorf("epoxy-bench: --loops %d must be above 0", o.loops)}
			}
			if len(o.middle.addrs) > 0 && !c.Flags().Changed("listen") {
				o.addrs = nil
			}
			return o.serve(c, log)
		},
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&o.loops, "loops", 1, "event loops, each on one core")
	f.StringArrayVar(&o.addrs, "listen", []string{"127.0.0.1:8443"}, "address of the datacenter; may be given several times; port 0 takes a free one; none when only --middle is given")
	f.Int16Var(&o.dc, "dc", 0, "answer only to this datacenter's number, -444 to others; 0 answers to all")
	f.BoolVar(&o.faults.Refuse, "refuse", false, "reset every connection at once")
	f.BoolVar(&o.faults.Deaf, "deaf", false, "accept, then read nothing")
	f.BoolVar(&o.faults.Stall, "stall", false, "read, and never answer")
	f.BoolVar(&o.faults.OneByte, "one-byte", false, "write one byte at a time")
	f.Int64Var(&o.faults.ResetAfter, "reset-after", 0, "bytes to send on a connection before it is reset; 0 is never")
	f.Int64Var(&o.faults.CloseAfter, "close-after", 0, "bytes to send on a connection before it is closed; 0 is never")
	o.middle.flags(f)
	return c
}

var errNothing = errors.New("epoxy-bench: nothing to serve: --config-listen, --forward and --fault need --middle")

// serve is the command, until it is interrupted.
func (o *fakes) serve(c *cobra.Command, log *slog.Logger) error {
	out := c.OutOrStdout()
	if len(o.middle.addrs) == 0 && o.middle.given() {
		return usageError{errNothing}
	}
	if len(o.addrs) > 0 {
		tg, err := load.NewTelegram(o.addrs, o.loops, o.faults, log)
		if err != nil {
			return err
		}
		defer func() {
			tg.Close()
			printSeen(out, tg.Seen())
		}()
		for i, at := range tg.Addrs {
			where := at.String()
			if !at.IsValid() {
				where = o.addrs[i]
			}
			fmt.Fprintln(out, "listening", where)
		}
	}
	if len(o.middle.addrs) > 0 {
		m, err := o.middle.start(out, o.loops, log)
		if err != nil {
			return err
		}
		defer func() {
			m.Close()
			printMiddleSeen(out, m.Seen())
		}()
	}
	<-c.Context().Done()
	return nil
}

func printSeen(w io.Writer, s faketg.Seen) {
	fmt.Fprintf(w, "accepted %d, open %d, refused %d, bad openings %d, bad frames %d\n",
		s.Accepted, s.Open, s.Refused, s.BadOpenings, s.BadFrames)
	fmt.Fprintf(w, "packets %d, received %s, sent %s\n", s.Packets, bytesText(float64(s.Received)), bytesText(float64(s.Sent)))
	for _, dc := range slices.Sorted(maps.Keys(s.DCs)) {
		fmt.Fprintf(w, "datacenter %d: %d\n", dc, s.DCs[dc])
	}
	for _, t := range slices.Sorted(maps.Keys(s.Transports)) {
		fmt.Fprintf(w, "transport %v: %d\n", t, s.Transports[t])
	}
}
