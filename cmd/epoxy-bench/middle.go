package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"epoxy/bench/load"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream/faketg"
)

const middleHelp = `Faults of the middle proxies, each as --fault WORD:
  at the socket     refuse, hang-up, deaf, trickle=20ms (between bytes), life=2s-10s (of a link)
  in the nonce      no-nonce, selector, skew=SECONDS, schema=N, nonce-seq, nonce-sum, mirror, early
  in the handshake  wrong-keys, no-handshake, refuse-handshake=CODE, flags=BITS, crc32c, pid, pipelined
  on an open link   then=WORD, once, after=N answers or at the end of its life:
                    sum, seq, odd, short, huge, torn, fin, reset, silence, stray-answer, stray-close,
                    stray-ack, unknown, empty, large, deaf, pings, ping, malformed, close-stream,
                    close-streams, close-conn, not-found
  no faults         pad-each, filler: how some middle proxies fill up their frames

While it runs, --config-listen takes orders too:
  curl URL/seen                                    what was seen so far
  curl -d 'skew=40 then=sum after=9' URL/faults    the faults of new links; nothing is none
  curl -d 'fin 1' URL/strike                       a fault on so many open links, or on all of them
  curl -d '2=127.0.0.1:8888' URL/publish           what the lists have
  curl -d new URL/secret                           another secret, for new links
  curl -d -40s URL/clock                           how far the Date header is off`

// middleOrders is what the command line says of middle proxies.
type middleOrders struct {
	addrs   []string
	config  string
	secret  string
	forward string
	proxyIP string
	faults  []string
	noCRC   bool
}

func (o *middleOrders) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.addrs, "middle", nil, "address of a middle proxy, as [DC=]ADDR; without DC it is one of 1 to 5 and their media; may be given several times")
	f.StringVar(&o.config, "config-listen", "", "address that serves getProxySecret, getProxyConfig and getProxyConfigV6 over HTTP")
	f.StringVar(&o.secret, "middle-secret", "", "file with the proxy secret; without it one is drawn")
	f.StringVar(&o.forward, "forward", "", "address of a datacenter to which the middle proxies hand all streams; without it they answer themselves")
	f.StringVar(&o.proxyIP, "proxy-ip", "", "address that links seem to come from, as behind NAT")
	f.BoolVar(&o.noCRC, "no-crc32c", false, "do not take up an offer of CRC-32C")
	f.StringArrayVar(&o.faults, "fault", nil, "a fault of the middle proxies, see above; may be given several times")
}

// given reports whether anything but an address is.
func (o *middleOrders) given() bool {
	return o.config != "" || o.secret != "" || o.forward != "" || o.proxyIP != "" || o.noCRC || len(o.faults) > 0
}

// options reads the orders.
func (o *middleOrders) options(loops int, log *slog.Logger) (all load.MiddleOptions, err error) {
	all = load.MiddleOptions{Loops: loops, Config: o.config, Log: log}
	all.Settings.NoCRC32C = o.noCRC
	all.Settings.ForwardDC = 2
	for _, text := range o.addrs {
		a, err := load.ParseMiddleAddr(text)
		if err != nil {
			return all, usageError{fmt.Errorf("--middle: %w", err)}
		}
		all.Listen = append(all.Listen, a)
	}
	for _, word := range o.faults {
		if err := all.Faults.Set(word); err != nil {
			return all, usageError{fmt.Errorf("--fault: %w", err)}
		}
	}
	if o.forward != "" {
		if all.Settings.Forward, err = netip.ParseAddrPort(o.forward); err != nil {
			return all, usageError{fmt.Errorf("--forward: %w", err)}
		}
	}
	if o.proxyIP != "" {
		if all.Settings.ProxyIP, err = netip.ParseAddr(o.proxyIP); err != nil {
			return all, usageError{fmt.Errorf("--proxy-ip: %w", err)}
		}
	}
	if o.secret != "" {
		secret, err := os.ReadFile(o.secret)
		if err != nil {
			return all, err
		}
		if len(secret) < full.MinSecret || len(secret) > full.MaxSecret || rpc.Selector(secret) == 0 {
			return all, usageError{fmt.Errorf("epoxy-bench: --middle-secret %s holds %d bytes, which is no proxy secret", o.secret, len(secret))}
		}
		all.Settings.Secret = secret
	}
	return all, nil
}

// start serves middle proxies and prints where.
func (o *middleOrders) start(out io.Writer, loops int, log *slog.Logger) (*load.Middle, error) {
	options, err := o.options(loops, log)
	if err != nil {
		return nil, err
	}
	m, err := load.NewMiddle(options)
	if err != nil {
		return nil, err
	}
	for _, a := range m.Listening {
		if a.DC == 0 {
			fmt.Fprintln(out, "middle", a.Addr)
		} else {
			fmt.Fprintf(out, "middle %d=%v\n", a.DC, a.Addr)
		}
	}
	if r := m.Resources; r != nil {
		control(m)
		for _, path := range []string{load.SecretPath, load.ConfigPath, load.ConfigV6Path} {
			fmt.Fprintln(out, "serving", r.URL+path)
		}
	}
	return m, nil
}

// control lets the resources' server take orders.
func control(m *load.Middle) {
	m.Resources.Handle("/seen", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { printMiddleSeen(w, m.Seen()) }))
	m.Resources.Handle("/faults", order(func(words []string) (string, error) {
		var f faketg.MiddleFaults
		for _, word := range words {
			if err := f.Set(word); err != nil {
				return "", err
			}
		}
		m.SetFaults(f)
		return "set", nil
	}))
	m.Resources.Handle("/strike", order(func(words []string) (string, error) {
		if len(words) == 0 || len(words) > 2 {
			return "", fmt.Errorf("epoxy-bench: a strike is a fault and a number of links, not %q", words)
		}
		fault, err := faketg.ParseFault(words[0])
		if err != nil {
			return "", err
		}
		links := 0
		if len(words) == 2 {
			if links, err = strconv.Atoi(words[1]); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("struck %d", m.Strike(fault, links)), nil
	}))
	m.Resources.Handle("/publish", order(func(words []string) (string, error) {
		var addrs []load.MiddleAddr
		for _, word := range words {
			a, err := load.ParseMiddleAddr(word)
			if err != nil {
				return "", err
			}
			addrs = append(addrs, a)
		}
		m.Publish(addrs...)
		return fmt.Sprintf("published %d", len(addrs)), nil
	}))
	m.Resources.Handle("/secret", order(func([]string) (string, error) {
		m.SetSecret(load.NewMiddleSecret())
		return "changed", nil
	}))
	m.Resources.Handle("/clock", order(func(words []string) (string, error) {
		skew, err := time.ParseDuration(strings.Join(words, ""))
		if err == nil {
			m.Resources.SetSkew(skew)
		}
		return "set", err
	}))
}

// order is a handler of POST, whose body is words.
func order(do func(words []string) (string, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Method != http.MethodPost {
			http.Error(w, "epoxy-bench: an order is a POST", http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxOrder))
		text := ""
		if err == nil {
			text, err = do(strings.Fields(string(body)))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, text)
	})
}

// maxOrder is the longest order in bytes, ours.
const maxOrder = 4096

func printMiddleSeen(w io.Writer, s faketg.MiddleSeen) {
	fmt.Fprintf(w, "accepted %d, open %d, refused %d, bad nonces %d, bad handshakes %d, bad frames %d, struck %d\n",
		s.Accepted, s.Open, s.Refused, s.BadNonces, s.BadHandshakes, s.BadFrames, s.Struck)
	fmt.Fprintf(w, "links %d, open %d, received %s, sent %s, pings %d, pongs %d\n",
		s.Handshakes, s.OpenLinks, bytesText(float64(s.Received)), bytesText(float64(s.Sent)), s.Pings, s.Pongs)
	fmt.Fprintf(w, "streams %d, open %d, closed by proxy %d, closed by us %d, cut %d\n",
		s.Streams, s.OpenStreams, s.ClosedByProxy, s.ClosedByUs, s.Cut)
	fmt.Fprintf(w, "requests %d, answers %d, acks %d, late requests %d, stray closes %d\n",
		s.Requests, s.Answers, s.Acks, s.Late, s.StrayCloses)
	fmt.Fprintf(w, "wrong: malformed %d, unknown %d, changed %d, flags %d, reused %d, answered closes %d\n",
		s.Malformed, s.Unknown, s.Changed, s.WrongFlags, s.Reused, s.AnsweredCloses)
	for _, dc := range slices.Sorted(maps.Keys(s.LinkDCs)) {
		fmt.Fprintf(w, "links of datacenter %d: %d\n", dc, s.LinkDCs[dc])
	}
	for _, t := range slices.Sorted(maps.Keys(s.Transports)) {
		fmt.Fprintf(w, "streams of transport %v: %d\n", t, s.Transports[t])
	}
	for tag, n := range s.Tags {
		fmt.Fprintf(w, "streams of tag %s: %d\n", hex.EncodeToString(tag[:]), n)
	}
	fmt.Fprintf(w, "streams without tag: %d\n", s.Untagged)
}
