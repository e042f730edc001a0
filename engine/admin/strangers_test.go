package admin

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStrangers(t *testing.T) {
	ask := func(f func() any, path string) (int, string, string) {
		w := httptest.NewRecorder()
		pages(Options{Strangers: f}).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Code, w.Header().Get("Content-Type"), w.Body.String()
	}
	code, kind, body := ask(func() any { return map[string]int{"total": 7} }, "/strangers")
	var got map[string]int
	if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || kind != "application/json" || got["total"] != 7 {
		t.Errorf("%d %s %q: %v", code, kind, body, err)
	}
	if code, kind, body := ask(nil, "/strangers"); code != 404 || !strings.HasPrefix(kind, "text/plain") || !strings.HasPrefix(body, "admin: ") {
		t.Errorf("nobody remembers: %d %s %q", code, kind, body)
	}
	if code, _, body := ask(func() any { return func() {} }, "/strangers"); code != 500 || !strings.HasPrefix(body, "admin: ") {
		t.Errorf("no JSON: %d %q", code, body)
	}
	if _, _, body := ask(nil, "/"); !strings.Contains(body, "/strangers ") {
		t.Errorf("not in the index: %q", body)
	}
}
