package obfs2

import "testing"

func TestForeign(t *testing.T) {
	for text, want := range map[string]bool{
		"GET / HTTP/1.1\r\n": true, "POST /x": true, "HEAD / HTTP/1.0": true, "OPTIONS * HTTP/1.1": true, "SSH-2.0-x": true, "GET ": true,
		"GET": false, "": false, "get / HTTP/1.1": false, "\xef\xef\xef\xef": false, "\x16\x03\x01\x02": false, "\xdd\xdd\xdd\xdd": false,
	} {
		if got := Foreign([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
