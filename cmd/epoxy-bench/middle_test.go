package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"epoxy/codec/full"
	"epoxy/codec/rpc"
)

// ask gets a URL, or posts an order to it.
func ask(t *testing.T, url, words string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	method := http.MethodGet
	if words != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(words))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTelegramServesMiddleProxies(t *testing.T) {
	secret := []byte(strings.Repeat("a secret of thirty-two bytes... ", 2))
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in, out := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{
			"telegram", "--middle", "127.0.0.1:0", "--middle", "-4=127.0.0.1:0", "--config-listen", "127.0.0.1:0",
			"--middle-secret", file, "--fault", "skew=3",
		}, out, io.Discard)
		_ = out.Close()
	}()
	lines := bufio.NewScanner(in)
	next := func(prefix string) string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("the end, where %q should be", prefix)
		}
		text, ok := strings.CutPrefix(lines.Text(), prefix)
		if !ok {
			t.Fatalf("%q, where %q should be", lines.Text(), prefix)
		}
		return text
	}
	all, media := next("middle "), next("middle -4=")
	url, _ := strings.CutSuffix(next("serving "), "/getProxySecret")
	if next("serving "+url+"/getProxyConfig") != "" || next("serving "+url+"/getProxyConfigV6") != "" {
		t.Error("other names of resources")
	}
	if code, body := ask(t, url+"/getProxySecret", ""); code != 200 || body != string(secret) {
		t.Errorf("%d, a secret of %d bytes", code, len(body))
	}
	if code, body := ask(t, url+"/getProxyConfig", ""); code != 200 || !strings.Contains(body, "proxy_for -4 "+all+";\nproxy_for -4 "+media+";\n") {
		t.Errorf("%d\n%s", code, body)
	}
	if skew := nonce(t, media, secret); skew < 2 || skew > 4 {
		t.Errorf("skew %d", skew)
	}
	for _, c := range []struct {
		path, words string
		code        int
		want        string
	}{
		{"/faults", "skew=-20 then=sum", 200, "set"},
		{"/faults", "storm", 400, "storm"},
		{"/strike", "fin 1", 200, "struck 0"},
		{"/strike", "fin one", 400, "one"},
		{"/strike", "storm", 400, "storm"},
		{"/strike", "fin 1 2", 400, "number of links"},
		{"/strike", "", 405, "POST"},
		{"/publish", "2=127.0.0.1:8888 4=[::1]:80", 200, "published 2"},
		{"/publish", "here", 400, "here"},
		{"/getProxyConfig", "", 200, "default 2;\nproxy_for 2 127.0.0.1:8888;\n"},
		{"/getProxyConfigV6", "", 200, "default 4;\nproxy_for 4 [::1]:80;\n"},
		{"/clock", "soon", 400, "soon"},
		{"/clock", "-40s", 200, "set"},
		{"/seen", "", 200, "streams without tag: 0"},
	} {
		if code, body := ask(t, url+c.path, c.words); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%s %q: %d, %s", c.path, c.words, code, body)
		}
	}
	if code, text := ask(t, url+"/secret", "new"); code != 200 {
		t.Errorf("%d, %s", code, text)
	}
	if code, body := ask(t, url+"/getProxySecret", ""); code != 200 || len(body) != 128 {
		t.Errorf("%d, a secret of %d bytes", code, len(body))
	} else {
		secret = []byte(body)
	}
	if skew := nonce(t, all, secret); skew < -21 || skew > -19 {
		t.Errorf("then skew %d", skew)
	}
	cancel()
	if got := next("accepted 2,"); !strings.Contains(got, "bad nonces 0") {
		t.Errorf("in the end %q", got)
	}
	for lines.Scan() { //nolint:revive // to the end
	}
	if code := <-done; code != 0 {
		t.Errorf("code %d", code)
	}
}

// nonce exchanges nonces with a middle proxy and returns the skew of its clock.
func nonce(t *testing.T, addr string, secret []byte) int32 {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	now := time.Now().Unix()
	ours := rpc.Nonce{Selector: rpc.Selector(secret), Schema: rpc.SchemaAES, Time: uint32(now)}
	if _, err := c.Write(new(full.Encoder).Append(nil, ours.Append(nil))); err != nil {
		t.Fatal(err)
	}
	wire := make([]byte, 44)
	if _, err := io.ReadFull(c, wire); err != nil {
		t.Fatal(err)
	}
	theirs, err := rpc.ParseNonce(wire[8:40])
	if err != nil {
		t.Fatal(err)
	}
	return theirs.Skew(now)
}

func TestMiddleMistakesAreNamed(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"telegram --fault skew=4", "need --middle"},
		{"telegram --middle here", "--middle"},
		{"telegram --middle 127.0.0.1:0 --fault storm", `--fault: faketg: fault "storm"`},
		{"telegram --middle 127.0.0.1:0 --forward there", "--forward"},
		{"telegram --middle 127.0.0.1:0 --proxy-ip there", "--proxy-ip"},
		{"telegram --middle 127.0.0.1:0 --middle-secret " + small, "5 bytes"},
	} {
		if code, _, errs := call(t, strings.Fields(c.args)...); code != 2 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, errs)
		}
	}
}
