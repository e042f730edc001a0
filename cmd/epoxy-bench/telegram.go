package main

import (
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

const telegramHelp = `telegram serves a fake Telegram datacenter until it is interrupted.

It speaks what a datacenter speaks to a proxy in direct mode: obfuscated2 without a
secret, with abridged, intermediate or padded packets. It echoes every packet, answers
req_pq with resPQ, and does what the commands of "epoxy-bench load" ask for. It prints
each address it listens on, and at the end what it saw.

Faults, to see how a proxy behaves when Telegram does not:
  --refuse        reset every connection at once
  --deaf          accept, then read nothing
  --stall         read, and never answer
  --one-byte      write one byte at a time
  --reset-after   send so many bytes on a connection, then reset it
  --close-after   send so many bytes, then close it

  epoxy-bench telegram --listen 127.0.0.1:8443 --listen [::1]:8443`

func telegramCommand(log *slog.Logger) *cobra.Command {
	var (
		addrs  []string
		loops  int
		dc     int16
		faults faketg.Faults
	)
	c := &cobra.Command{
		Use:   "telegram",
		Short: "Serve a fake Telegram datacenter",
		Long:  telegramHelp,
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			faults.OnlyDC = codec.DC(dc)
			if loops < 1 {
				return usageError{fmt.Errorf("epoxy-bench: --loops %d must be above 0", loops)}
			}
			tg, err := load.NewTelegram(addrs, loops, faults, log)
			if err != nil {
				return err
			}
			for i, at := range tg.Addrs {
				where := at.String()
				if !at.IsValid() {
					where = addrs[i]
				}
				fmt.Fprintln(c.OutOrStdout(), "listening", where)
			}
			<-c.Context().Done()
			tg.Close()
			printSeen(c.OutOrStdout(), tg.Seen())
			return nil
		},
	}
	c.SetFlagErrorFunc(usage)
	f := c.Flags()
	f.SortFlags = false
	f.StringArrayVar(&addrs, "listen", []string{"127.0.0.1:8443"}, "address to listen on; may be given several times; port 0 takes a free one")
	f.IntVar(&loops, "loops", 1, "event loops, each on one core")
	f.Int16Var(&dc, "dc", 0, "answer only to this datacenter's number, -444 to others; 0 answers to all")
	f.BoolVar(&faults.Refuse, "refuse", false, "reset every connection at once")
	f.BoolVar(&faults.Deaf, "deaf", false, "accept, then read nothing")
	f.BoolVar(&faults.Stall, "stall", false, "read, and never answer")
	f.BoolVar(&faults.OneByte, "one-byte", false, "write one byte at a time")
	f.Int64Var(&faults.ResetAfter, "reset-after", 0, "bytes to send on a connection before it is reset; 0 is never")
	f.Int64Var(&faults.CloseAfter, "close-after", 0, "bytes to send on a connection before it is closed; 0 is never")
	return c
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
