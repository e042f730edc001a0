package refresh

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestOnce fetches and loads without keeping, and reads a clock.
func TestOnce(t *testing.T) {
	url := serve(t, newWeb())
	for k, path := range map[Kind]string{Secret: "/secret", ConfigV4: "/v4"} {
		body, err := Fetch(t.Context(), k, url+path, nil)
		if err != nil || len(body) == 0 {
			t.Errorf("%v: %d bytes, %v", k, len(body), err)
		}
	}
	if _, err := Fetch(t.Context(), Secret, "gopher://x", nil); !errors.Is(err, errScheme) {
		t.Errorf("another scheme: %v", err)
	}
	dir := filled(t, url)
	if body, saved, err := Load(dir, Secret, url+"/secret"); err != nil || string(body) != secretA || saved.IsZero() {
		t.Errorf("loaded %d bytes of %v, %v", len(body), saved, err)
	}
	if _, _, err := Load(dir, Secret, url+"/other"); !errors.Is(err, errForeign) {
		t.Errorf("of another source: %v", err)
	}
	if _, _, err := Load(t.TempDir(), Secret, url); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
}

// TestDate compares clocks.
func TestDate(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	date := now.Add(-time.Minute).Format(http.TimeFormat)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header()["Date"] = []string{date} }))
	t.Cleanup(s.Close)
	clock := func() time.Time { return now }
	if ahead, err := Date(t.Context(), s.URL, nil, clock); err != nil || ahead != time.Minute-time.Second/2 {
		t.Errorf("%v ahead, %v", ahead, err)
	}
	date = "yesterday"
	if _, err := Date(t.Context(), s.URL, nil, clock); !errors.Is(err, errNoDate) {
		t.Errorf("without a date: %v", err)
	}
}
