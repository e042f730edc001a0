package load

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/codec/full"
	"epoxy/codec/rpc"
	"epoxy/upstream/faketg"
)

// get asks for a resource.
func get(t *testing.T, url string) (body string, resp *http.Response) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(p), resp
}

func serveMiddles(t *testing.T, o MiddleOptions) *Middle {
	t.Helper()
	o.Loops, o.Log, o.Config = 2, quiet, "127.0.0.1:0"
	m, err := NewMiddle(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// openLink dials a middle proxy as a proxy does and returns when its nonce is fine, and the keys.
func openLink(t *testing.T, addr netip.AddrPort, secret []byte) (up, down full.Keys) {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	ours := rpc.Nonce{Selector: rpc.Selector(secret), Schema: rpc.SchemaAES, Time: uint32(now)}
	random(ours.Random[:])
	if _, err := c.Write(new(full.Encoder).Append(nil, ours.Append(nil))); err != nil {
		t.Fatal(err)
	}
	wire := make([]byte, 44)
	if _, err := io.ReadFull(c, wire); err != nil {
		t.Fatal(err)
	}
	theirs, err := rpc.ParseNonce(wire[8:40])
	if err == nil {
		err = ours.Accept(&theirs, now)
	}
	if err != nil {
		t.Fatal(err)
	}
	n := full.Nonces{
		ProxyAddr: c.LocalAddr().(*net.TCPAddr).AddrPort(), MiddleAddr: addr,
		ProxyNonce: ours.Random, MiddleNonce: theirs.Random, Time: ours.Time,
	}
	up, down, err = n.Derive(secret)
	if err != nil {
		t.Fatal(err)
	}
	var dec full.Decoder
	var enc full.Encoder
	enc.Append(nil, ours.Append(nil))
	dec.Feed(wire)
	if _, err := dec.Next(); err != nil {
		t.Fatal(err)
	}
	dec.Start(&down)
	enc.Start(&up)
	hello := rpc.Handshake{Sender: rpc.ProcessID{PID: 1}}
	if _, err := c.Write(enc.Flush(enc.Append(nil, hello.Append(nil)), 0)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 48)
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	dec.Feed(answer)
	body, err := dec.Next()
	if err == nil {
		_, err = rpc.ParseHandshake(body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return up, down
}

func TestMiddleListensAndTells(t *testing.T) {
	m := serveMiddles(t, MiddleOptions{Listen: []MiddleAddr{
		{DC: 4, Addr: netip.MustParseAddrPort("127.0.0.1:0")}, {Addr: netip.MustParseAddrPort("127.0.0.2:0")}, {DC: -203, Addr: netip.MustParseAddrPort("[::1]:0")},
	}})
	list, resp := get(t, m.Resources.URL+ConfigPath)
	want := "# force_probability 10 10\ndefault 2;\n"
	for _, dc := range []string{"1", "-1", "2", "-2", "3", "-3", "4", "-4", "5", "-5"} {
		if dc == "4" {
			want += "proxy_for 4 " + m.Listening[0].Addr.String() + ";\n"
		}
		want += "proxy_for " + dc + " " + m.Listening[1].Addr.String() + ";\n"
	}
	if list != want || resp.StatusCode != http.StatusOK {
		t.Errorf("%d\n%s\nwant\n%s", resp.StatusCode, list, want)
	}
	if list, _ := get(t, m.Resources.URL+ConfigV6Path); list != "# force_probability 10 10\ndefault -203;\nproxy_for -203 "+m.Listening[2].Addr.String()+";\n" {
		t.Errorf("IPv6: %s", list)
	}
	secret, _ := get(t, m.Resources.URL+SecretPath)
	if len(secret) != 128 || secret != string(m.Settings().Secret) {
		t.Errorf("a secret of %d bytes", len(secret))
	}
	for _, a := range m.Listening {
		openLink(t, a.Addr, []byte(secret))
	}
	if seen := m.Seen(); seen.Handshakes != 3 || seen.LinkDCs[4] != 1 || seen.LinkDCs[0] != 1 || seen.LinkDCs[-203] != 1 {
		t.Errorf("seen %+v", seen)
	}
	other := NewMiddleSecret()
	m.SetSecret(other)
	if got, _ := get(t, m.Resources.URL+SecretPath); got != string(other) || got == secret {
		t.Error("the secret did not change")
	}
	openLink(t, m.Listening[0].Addr, other)
}

func TestResourcesMisbehave(t *testing.T) {
	m := serveMiddles(t, MiddleOptions{})
	r := m.Resources
	r.SetSkew(-time.Hour)
	_, resp := get(t, r.URL+SecretPath)
	if at, err := http.ParseTime(resp.Header.Get("Date")); err != nil || time.Since(at) < 59*time.Minute || time.Since(at) > 61*time.Minute {
		t.Errorf("date %v, %v", at, err)
	}
	r.Handle(ConfigPath, http.NotFoundHandler())
	if _, resp := get(t, r.URL+ConfigPath); resp.StatusCode != http.StatusNotFound || r.Asked(ConfigPath) != 1 || r.Asked(SecretPath) != 1 {
		t.Errorf("%s, asked %d", resp.Status, r.Asked(ConfigPath))
	}
	r.Handle(ConfigPath, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 50 * time.Millisecond}
	if _, err := client.Get(r.URL + ConfigPath); !os.IsTimeout(err) {
		t.Errorf("a resource that never answers: %v", err)
	}
	r.Set(ConfigPath, []byte("proxy_for"))
	if text, _ := get(t, r.URL+ConfigPath); text != "proxy_for" {
		t.Errorf("answer %q", text)
	}
}

func TestParseMiddleAddr(t *testing.T) {
	for text, want := range map[string]MiddleAddr{
		"127.0.0.1:8888": {0, netip.MustParseAddrPort("127.0.0.1:8888")},
		"-2=[::1]:0":     {-2, netip.MustParseAddrPort("[::1]:0")},
	} {
		if a, err := ParseMiddleAddr(text); a != want || err != nil {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "0=127.0.0.1:1", "x=127.0.0.1:1", "2=localhost:1", "40000=127.0.0.1:1", "2"} {
		if _, err := ParseMiddleAddr(text); err == nil || !strings.HasPrefix(err.Error(), "load: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := NewMiddle(MiddleOptions{Listen: []MiddleAddr{{DC: codec.DC(2)}}, Loops: 1, Log: quiet}); !errors.Is(err, errNoMiddle) {
		t.Errorf("nowhere: %v", err)
	}
}

// TestMiddleBeforeTelegram checks the whole fake: middle proxies in front of a fake datacenter.
func TestMiddleBeforeTelegram(t *testing.T) {
	tg := serve(t, 1, faketg.Faults{})
	m := serveMiddles(t, MiddleOptions{
		Listen:   []MiddleAddr{{DC: 2, Addr: netip.MustParseAddrPort("127.0.0.1:0")}},
		Settings: faketg.MiddleSettings{Forward: tg.Addrs[0]},
	})
	openLink(t, m.Listening[0].Addr, m.Settings().Secret)
	if seen := m.Seen(); seen.OpenLinks != 1 || seen.LinkList[0].DC != 2 {
		t.Errorf("seen %+v", seen)
	}
}

func TestHoleSwallowsConnects(t *testing.T) {
	h, err := NewHole("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	c, err := net.DialTimeout("tcp", h.Addr.String(), 50*time.Millisecond)
	if err == nil {
		_ = c.Close()
	}
	if !os.IsTimeout(err) {
		t.Errorf("connect: %v", err)
	}
}
