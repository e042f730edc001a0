package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/bench/ping"
	"epoxy/codec"
	"epoxy/codec/secret"
)

// asked is what a fake ping was asked; it answers with results.
type asked struct {
	target  ping.Target
	options ping.Options
	results []ping.Result
}

func (a *asked) run(_ context.Context, t ping.Target, o ping.Options) []ping.Result {
	a.target, a.options = t, o
	return a.results
}

// Links of every form, flags and standard input come to the same.
func TestPingTarget(t *testing.T) {
	key := codec.Key(unhex(t, testKey))
	domain := hex.EncodeToString([]byte("a.example"))
	plain := secret.Secret{Key: key}
	dd, ee := plain.As(secret.Padded, ""), plain.As(secret.FakeTLS, "a.example")
	classic, secure, tls := codec.Classic, codec.Secure, codec.TLS
	for _, c := range []struct {
		args, in  string
		want      secret.Secret
		protocols []codec.Protocol
	}{
		{"tg://proxy?server=p.example&port=443&secret=" + testKey, "", plain, []codec.Protocol{classic}},
		{"https://t.me/proxy?server=p.example&port=443&secret=dd" + testKey, "", dd, []codec.Protocol{secure}},
		{"https://telegram.me/proxy?server=p.example&port=443&secret=ee" + testKey + domain, "", ee, []codec.Protocol{tls}},
		{"-", "t.me/proxy?server=p.example&port=443&secret=dd" + testKey + "\nmore\n", dd, []codec.Protocol{secure}},
		{"- --server p.example", " ee" + testKey + domain + " ", ee, []codec.Protocol{tls}},
		{"--server p.example --secret " + testKey + " --domain A.example", "", ee, []codec.Protocol{tls}},
		{"--server [p.example] --port 443 --secret " + testKey + " --protocol all", "", plain, []codec.Protocol{classic, secure}},
		{"--server p.example --secret dd" + testKey + " --domain a.example --protocol all", "", ee, []codec.Protocol{classic, secure, tls}},
		{"--server p.example --secret " + testKey + " --protocol secure,classic", "", plain, []codec.Protocol{secure, classic}},
	} {
		w, a := newWorld(t), &asked{}
		w.in, w.pinger = strings.NewReader(c.in), a.run
		if code := w.do(append([]string{"ping"}, strings.Fields(c.args)...)...); code != exitOK {
			t.Errorf("%s: exit %d, %s", c.args, code, w.errs)
			continue
		}
		if a.target.Host != "p.example" || a.target.Port != 443 || !a.target.Secret.Equal(c.want) {
			t.Errorf("%s: %+v", c.args, a.target)
		}
		want := ping.Options{DCs: []codec.DC{1, 2, 3, 4, 5}, Protocols: c.protocols, Count: 1, Timeout: 10 * time.Second}
		if !reflect.DeepEqual(a.options, want) {
			t.Errorf("%s: %+v", c.args, a.options)
		}
	}
}

func TestPingOptions(t *testing.T) {
	w, a := newWorld(t), &asked{}
	w.pinger = a.run
	code := w.do("ping", "tg://proxy?server=a&port=1&secret="+testKey, "--dc=-2, 203,10001", "--count", "3", "--timeout", "2s")
	want := ping.Options{DCs: []codec.DC{-2, 203, 10001}, Protocols: []codec.Protocol{codec.Classic}, Count: 3, Timeout: 2 * time.Second}
	if code != exitOK || !reflect.DeepEqual(a.options, want) {
		t.Errorf("exit %d, %+v, %s", code, a.options, w.errs)
	}
}

// mixed are two datacenters that answer and three pings that do not, two of them alike.
func mixed() []ping.Result {
	ms := func(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }
	one := func(round int, dc codec.DC, err *ping.Error) ping.Result {
		r := ping.Result{Round: round, DC: dc, Protocol: codec.TLS, Transport: codec.Padded, Steps: []ping.Step{{Name: ping.StepDial, Took: ms(1.25)}}}
		if err != nil {
			r.Steps = append(r.Steps, ping.Step{Name: ping.StepTLS, Took: ms(30), Err: err})
			return r
		}
		r.Steps = append(r.Steps, ping.Step{Name: ping.StepTLS, Took: ms(30)}, ping.Step{Name: ping.StepOpening}, ping.Step{Name: ping.StepAnswer, Took: ms(44.5)})
		r.OK, r.Ahead = true, -time.Minute
		return r
	}
	closed := &ping.Error{Fault: ping.HelloClosed, Seen: "closed", Hint: "a hint"}
	all := []ping.Result{one(1, 2, nil), one(1, -4, closed), one(1, 5, closed), one(2, -4, closed), one(2, 2, nil)}
	all[4].Protocol, all[4].Transport = codec.Classic, codec.Abridged
	return all
}

func TestPingText(t *testing.T) {
	w, a := newWorld(t), &asked{results: mixed()}
	w.pinger = a.run
	if code := w.do("ping", "tg://proxy?server=2001:db8::1&port=443&secret=dd"+testKey); code != exitFault {
		t.Errorf("exit %d", code)
	}
	const want = `[2001:db8::1]:443, dd:3f2a...

DC     PROTOCOL                  DIAL       TLS   OPENING    ANSWER       ALL  RESULT
2      tls                     1.2 ms     30 ms    0.0 ms     44 ms     76 ms  ok
-4     tls                     1.2 ms     30 ms         -         -     31 ms  tls failed, hello closed
5      tls                     1.2 ms     30 ms         -         -     31 ms  tls failed, hello closed
-4     tls                     1.2 ms     30 ms         -         -     31 ms  tls failed, hello closed
2      classic, abridged       1.2 ms     30 ms    0.0 ms     44 ms     76 ms  ok

tls to DC -4, 5 failed at tls:
  closed: a hint

This machine's clock and Telegram's differ by 1m0s; fake-TLS and middle proxies need right clocks.
`
	if got := w.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := w.errs.String(); got != "epoxy: 3 of 5 pings failed\n" {
		t.Errorf("%q", got)
	}
}

func TestPingJSON(t *testing.T) {
	w, a := newWorld(t), &asked{results: mixed()}
	a.results[1].Steps[1].Err.(*ping.Error).Code = -404
	w.pinger = a.run
	if code := w.do("ping", "--json", "tg://proxy?server=p.example&port=443&secret=dd"+testKey); code != exitFault {
		t.Errorf("exit %d", code)
	}
	var got pingJSON
	if err := json.Unmarshal([]byte(w.out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Server != "p.example:443" || got.Secret != "dd:3f2a..." || got.OK || len(got.Results) != 5 {
		t.Errorf("%+v", got)
	}
	good, bad := got.Results[0], got.Results[1]
	if !good.OK || good.DC != 2 || good.Ms != 75.75 || *good.Ahead != -60 || len(good.Steps) != 4 || good.Steps[0] != (stepJSON{Step: "dial", Ms: 1.25}) {
		t.Errorf("%+v", good)
	}
	last := stepJSON{Step: "tls", Ms: 30, Fault: "hello_closed", Code: -404, Error: "closed: a hint"}
	if bad.OK || bad.Ahead != nil || bad.Protocol != "tls" || bad.Transport != "padded" || len(bad.Steps) != 2 || bad.Steps[1] != last {
		t.Errorf("%+v", bad)
	}
}

// The whole command, at a port where nobody listens: it says so, and shows no secret.
func TestPingNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	ln.Close()
	for _, form := range []string{"", "--json"} {
		w := newWorld(t)
		w.pinger = ping.Run
		args := fmt.Sprintf("ping --server 127.0.0.1 --port %d --secret %s --domain a.example --protocol all %s", port, testKey, form)
		if code := w.do(strings.Fields(args)...); code != exitFault {
			t.Errorf("exit %d", code)
		}
		if !strings.Contains(w.out.String(), "the host refused the connection: nothing listens at this port") {
			t.Errorf("%s", w.out)
		}
		if leaks(w.out.String()+w.errs.String(), unhex(t, testKey)) != "" {
			t.Errorf("the secret shows: %s", w.out)
		}
	}
}

// A signal ends the pings under way, and what is known is printed.
func TestPingSignal(t *testing.T) {
	w := newWorld(t)
	w.signal <- syscall.SIGINT
	w.pinger = func(ctx context.Context, _ ping.Target, _ ping.Options) []ping.Result {
		<-ctx.Done()
		return mixed()
	}
	if code := w.do("ping", "tg://proxy?server=a&port=1&secret="+testKey); code != exitFault || !strings.Contains(w.out.String(), "ok\n") {
		t.Errorf("exit %d, %s", code, w.out)
	}
}
