package refresh

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"epoxy/upstream/dcmap"
)

// base is the address of a web without sockets.
const base = "https://telegram.test"

// at makes durations of seconds.
func at(seconds ...int) []time.Duration {
	var d []time.Duration
	for _, s := range seconds {
		d = append(d, time.Duration(s)*time.Second)
	}
	return d
}

// TestHourly fetches everything at once, then each hour, a tenth more or less.
func TestHourly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begin := newWeb(), time.Now()
		o, _ := options(t, base, w)
		draws := []float64{0.5, 0.5, 0.5, 0, 0, 0, 1, 1, 1}
		o.Jitter = func() float64 { d := draws[0]; draws = draws[1:]; return d }
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		var got []*dcmap.Snapshot
		r.Subscribe(func(s *dcmap.Snapshot) { got = append(got, s) })
		if r.Current() != nil {
			t.Error("a snapshot out of nothing")
		}
		run(t, r)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for _, path := range []string{"/secret", "/v4", "/v6"} {
			if hits := w.seen(path, begin); !slices.Equal(hits, at(0, 3600, 3600+3240)) {
				t.Errorf("%s was fetched at %v", path, hits)
			}
		}
		s, st := r.Current(), r.Status()
		if s == nil || !s.Secret.Equal(dcmap.Secret(secretA)) || s.Selector != s.Secret.Selector() || s.V4.Len() != 4 || s.V6.Len() != 1 {
			t.Fatalf("snapshot %v", s)
		}
		// The first three may come in any order; after that nothing new came.
		if s.Generation > 2 || st.Generation != s.Generation || len(got) != int(s.Generation) || got[len(got)-1] != s {
			t.Errorf("generation %d, status %d, %d published", s.Generation, st.Generation, len(got))
		}
		for k, res := range st.Resources {
			if wanted := Kind(k).cached(); res.Wanted != wanted || wanted && (res.Successes != 3 || res.Failures != 0 || res.Age(time.Now()) != 360*time.Second) {
				t.Errorf("%v: %+v", Kind(k), res)
			}
		}
	})
}

// TestUnreachable is fault 34: core.telegram.org is not there at the start. It is asked again after 5,
// 15, 60, 300 and 300 s, each resource by itself; a snapshot comes with the first secret and list.
func TestUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begin := newWeb(), time.Now()
		for _, path := range []string{"/secret", "/v6"} {
			w.set(path, page{status: http.StatusBadGateway, body: secretA})
		}
		o, j := options(t, base, w)
		r, _ := start(t, o)
		time.Sleep(1000 * time.Second)
		if hits := w.seen("/secret", begin); !slices.Equal(hits, at(0, 5, 20, 80, 380, 680, 980)) {
			t.Errorf("the secret was tried at %v", hits)
		}
		if hits := w.seen("/v4", begin); !slices.Equal(hits, at(0)) {
			t.Errorf("the good list was fetched at %v", hits)
		}
		if r.Current() != nil {
			t.Fatal("a snapshot without secret")
		}
		if st := r.Status().Resources[Secret]; st.Failures != 7 || st.InRow != 7 || !st.Good.IsZero() || st.Err != "refresh: status 502" || st.Age(time.Now()) != 0 {
			t.Errorf("status %+v", st)
		}
		w.set("/secret", page{body: secretA})
		time.Sleep(281 * time.Second)
		s := r.Current()
		if s == nil || s.V4 == nil || s.V6 != nil || s.Generation != 1 {
			t.Fatalf("snapshot %v", s)
		}
		if st := r.Status().Resources[Secret]; st.InRow != 0 || st.Err != "" || st.Successes != 1 {
			t.Errorf("status %+v", st)
		}
		// A new failure begins with 5 s again, and what is in use stays.
		w.set("/secret", page{status: http.StatusForbidden})
		time.Sleep(3600*time.Second + 6*time.Second)
		synctest.Wait()
		hits := w.seen("/secret", begin)
		if tail := hits[len(hits)-3:]; !slices.Equal(tail, at(1280, 1280+3600, 1280+3605)) {
			t.Errorf("the secret was tried at %v", tail)
		}
		if !r.Current().Secret.Equal(dcmap.Secret(secretA)) || j.count("not refreshed") < 8 {
			t.Error("the old secret is gone, or failures are not logged")
		}
	})
}

// TestHang has one source that never answers: the others are not held up, and Run ends at once.
func TestHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begin := newWeb(), time.Now()
		w.set("/v4", page{hang: true})
		o, _ := options(t, base, w)
		r, stop := start(t, o)
		time.Sleep(time.Second)
		synctest.Wait()
		if s := r.Current(); s == nil || s.V4 != nil || s.V6.Len() != 1 {
			t.Fatalf("snapshot %v", s)
		}
		time.Sleep(30 * time.Second)
		if hits := w.seen("/v4", begin); !slices.Equal(hits, at(0, 25)) {
			t.Errorf("the list was tried at %v", hits)
		}
		before := time.Now()
		stop()
		if d := time.Since(before); d != 0 {
			t.Errorf("Run took %v to end", d)
		}
	})
}

// TestForce fetches the secret at once, and once a minute at most; the replaced one can be tried for a
// day (spec upstream-protocols 1.4).
func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, begin := newWeb(), time.Now()
		o, _ := options(t, base, w)
		r, _ := start(t, o)
		time.Sleep(10 * time.Second)
		w.set("/secret", page{body: secretB})
		for range 100 { // until second 110
			r.Force()
			r.Force()
			time.Sleep(time.Second)
		}
		if hits := w.seen("/secret", begin); !slices.Equal(hits, at(0, 10, 70)) {
			t.Errorf("the secret was fetched at %v", hits)
		}
		if r.Status().Forced != 2 || len(w.seen("/v4", begin)) != 1 {
			t.Errorf("%d forced, list fetched at %v", r.Status().Forced, w.seen("/v4", begin))
		}
		s := r.Current()
		old, selector, ok := s.Alternate(time.Now().Unix())
		if !s.Secret.Equal(dcmap.Secret(secretB)) || !ok || !old.Equal(dcmap.Secret(secretA)) || selector != old.Selector() {
			t.Fatalf("%v, %v: %v", s, old, ok)
		}
		if s.OldUntil != begin.Add(10*time.Second+24*time.Hour).Unix() {
			t.Errorf("until %v", time.Unix(s.OldUntil, 0).Sub(begin))
		}
		time.Sleep(23 * time.Hour)
		if _, _, ok := r.Current().Alternate(time.Now().Unix()); !ok {
			t.Error("the old secret is gone before a day is over")
		}
		time.Sleep(2 * time.Hour)
		if s = r.Current(); s.Old != nil || s.OldSelector != 0 {
			t.Error("the old secret is still there after a day")
		}
	})
}

// B20: a wrong clock is a number, a hint above 5 s, an error above 30 s, and told once.
func TestSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		o, j := options(t, base, w)
		r, _ := start(t, o)
		date := func(d time.Duration) {
			for path, body := range map[string]string{"/secret": secretA, "/v4": listV4, "/v6": listV6} {
				w.set(path, page{body: body, date: d})
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if skew := r.Status().Skew; (skew+d).Abs() > time.Second || r.Status().SkewAt.IsZero() {
				t.Errorf("Date %v off: skew %v", d, skew)
			}
		}
		for _, c := range []struct {
			date                time.Duration
			warns, errors, fine int
		}{
			{3 * time.Second, 0, 0, 0}, {8 * time.Second, 1, 0, 0}, {9 * time.Second, 1, 0, 0}, {-32 * time.Second, 1, 1, 0},
			{-29 * time.Second, 2, 1, 0}, {0, 2, 1, 1}, {time.Hour, 2, 2, 1},
		} {
			date(c.date)
			if w, e, f := j.count("level=WARN msg=\"telegram: our clock"), j.count("level=ERROR msg=\"telegram: our clock"), j.count("right again"); w != c.warns || e != c.errors || f != c.fine {
				t.Errorf("Date %v off: %d warnings, %d errors, %d times right again\n%s", c.date, w, e, f, j)
			}
		}
	})
	// An answer from a cache says how old it is; a slow one says nothing.
	now := time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)
	h := http.Header{"Date": {now.Add(-time.Minute).Format(http.TimeFormat)}, "Age": {"60"}}
	if d, ok := skew(h, now.Add(-time.Second), now.Add(time.Second)); !ok || d != 0 {
		t.Errorf("skew %v, %v", d, ok)
	}
	if _, ok := skew(h, now.Add(-10*time.Second), now); ok {
		t.Error("a slow answer counts")
	}
	if _, ok := skew(http.Header{}, now, now); ok {
		t.Error("no Date counts")
	}
}

// TestOwn asks the services for our public address, in their order, until one says something right.
func TestOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		w.set("/ip/name", page{body: "host.example.org"})
		w.set("/ip/private", page{body: "10.0.0.1\n"})
		w.set("/ip/6", page{body: "2001:db8::7"})
		w.set("/ip/html", page{body: "<html>" + listV4})
		w.set("/ip/4", page{body: " 192.0.2.7\r\n", date: time.Hour})
		o, j := options(t, base, w)
		o.PublicV6 = netip.MustParseAddr("2001:db8::1")
		o.LookupV4 = []string{base + "/ip/none", base + "/ip/name", base + "/ip/private", base + "/ip/6", base + "/ip/html", base + "/ip/4", base + "/ip/last"}
		o.LookupV6 = []string{base + "/ip/6"}
		r, _ := start(t, o)
		time.Sleep(time.Second)
		synctest.Wait()
		s := r.Current()
		want := [2]dcmap.Own{dcmap.V4: {Found: netip.MustParseAddr("192.0.2.7")}, dcmap.V6: {Given: o.PublicV6}}
		if s.Own != want {
			t.Errorf("own addresses %v", s.Own)
		}
		if len(w.seen("/ip/last", time.Now()))+len(w.seen("/ip/6", time.Now())) != 1 {
			t.Error("asked more than needed")
		}
		if j.count("our clock") != 0 {
			t.Error("a lookup service's clock counts")
		}
		w.set("/ip/4", page{body: "not now"})
		time.Sleep(2 * time.Hour)
		if st := r.Status().Resources[OwnV4]; r.Current().Own != want || st.Failures == 0 {
			t.Errorf("after a failure: %v, %+v", r.Current().Own, st)
		}
	})
}
