package probe

import (
	"testing"
	"time"
)

// answered is a connection that got a flight and is open.
func answered() Sight {
	return Sight{
		Parts: []Part{{kindHandshake, 4, []byte("abcd")}, {kindCCS, 1, []byte{1}}, {kindData, 100, nil}},
		Facts: []Fact{{FactALPN, "h2"}, {FactStatus, "200 OK"}},
		Ended: 2 * time.Second,
		First: 4 * time.Millisecond,
	}
}

// ended is a connection that got nothing and ended.
func ended(how End, after time.Duration) Sight { return Sight{End: how, Ended: after} }

func TestCompareFinds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *Sight)
		want   string
	}{
		{"nothing", func(*Sight) {}, ""},
		{"a byte", func(s *Sight) { s.Parts[0].Bytes = []byte("abxd") }, DiffBytes},
		{"a record's size", func(s *Sight) { s.Parts[2].Size = 101 }, DiffSize},
		{"one record less", func(s *Sight) { s.Parts = s.Parts[:2] }, DiffRecord},
		{"one record more", func(s *Sight) { s.Parts = append(s.Parts, s.Parts[2]) }, DiffRecord},
		{"another kind", func(s *Sight) { s.Parts[2].Kind = kindHeartbeat }, DiffRecord},
		{"an alert for a record", func(s *Sight) { s.Parts[0] = Part{kindAlert, 2, []byte{2, 40}} }, DiffAlert},
		{"an alert more", func(s *Sight) { s.Parts = append(s.Parts, Part{kindAlert, 2, []byte{2, 40}}) }, DiffAlert},
		{"FIN for open", func(s *Sight) { s.End = FIN }, DiffEnd},
		{"another fact", func(s *Sight) { s.Facts[0].Value = "http/1.1" }, FactALPN},
		{"a fact less", func(s *Sight) { s.Facts = s.Facts[:1] }, FactStatus},
		{"no connection", func(s *Sight) { *s = unreachable(errNoFlight) }, FactConnect},
	} {
		a, b := answered(), answered()
		c.change(&b)
		for _, pair := range [][2]*Sight{{&a, &b}, {&b, &a}} {
			found := Compare(pair[0], pair[1], Slack)
			if c.want == "" && found != nil || c.want != "" && (len(found) == 0 || !has(found, c.want)) {
				t.Errorf("%s: %v", c.name, found)
			}
		}
	}
}

func has(found []Difference, what string) bool {
	for _, d := range found {
		if d.What == what {
			return true
		}
	}
	return false
}

func TestCompareEnds(t *testing.T) {
	const slack = 15 * time.Second
	for _, c := range []struct {
		name      string
		reference Sight
		target    Sight
		want      string
	}{
		{"both at once", ended(FIN, 10*time.Millisecond), ended(FIN, 900*time.Millisecond), ""},
		{"FIN and RST", ended(FIN, 0), ended(RST, 0), DiffEnd},
		{"at once and after 5 s", ended(FIN, 0), ended(FIN, 5*time.Second), DiffEndTime},
		{"after 5 s and at once", ended(FIN, 5*time.Second), ended(FIN, 0), DiffEndTime},
		{"at once and open", ended(FIN, 0), ended(Open, 2*time.Second), DiffEnd},
		{"open and at once", ended(Open, 2*time.Second), ended(FIN, 0), DiffEnd},
		{"open and open", ended(Open, 2*time.Second), ended(Open, 3*time.Second), ""},
		{"60 s and 65 s", ended(FIN, 60*time.Second), ended(FIN, 65*time.Second), ""},
		{"60 s and 75 s, the wait for a hello", ended(FIN, 60*time.Second), ended(FIN, 75*time.Second), ""},
		{"60 s and 90 s", ended(FIN, 60*time.Second), ended(FIN, 90*time.Second), DiffEndTime},
		{"60 s and 45 s", ended(FIN, 60*time.Second), ended(FIN, 45*time.Second), DiffEndTime},
		{"60 s and not yet overdue", ended(FIN, 60*time.Second), ended(Open, 70*time.Second), ""},
		{"60 s and overdue", ended(FIN, 60*time.Second), ended(Open, 90*time.Second), DiffEnd},
	} {
		found := Compare(&c.reference, &c.target, slack)
		if c.want == "" && found != nil || c.want != "" && (len(found) != 1 || found[0].What != c.want) {
			t.Errorf("%s: %v", c.name, found)
		}
	}
	a, b := answered(), answered()
	a.End, a.Ended, b.Ended = FIN, 60*time.Second, 70*time.Second
	if found := Compare(&a, &b, slack); !has(found, DiffEnd) {
		t.Error("who got an answer gets no slack")
	}
}

func TestJudgeTakesTheNearest(t *testing.T) {
	odd := answered()
	odd.Parts[2].Size = 116
	if d := Judge([]Sight{answered(), odd}, []Sight{odd, answered(), odd}, Slack); d != nil {
		t.Errorf("what the reference does too is a difference: %v", d)
	}
	if d := Judge([]Sight{answered(), answered()}, []Sight{answered(), odd}, Slack); len(d) != 1 || d[0].What != DiffSize {
		t.Errorf("what the reference never did: %v", d)
	}
}

func TestJudgeFirstByte(t *testing.T) {
	at := func(times ...time.Duration) (all []Sight) {
		for _, d := range times {
			s := answered()
			s.First = d * time.Millisecond
			all = append(all, s)
		}
		return all
	}
	for _, c := range []struct {
		name              string
		reference, target []Sight
		differ            bool
	}{
		{"near", at(2, 3, 4), at(20, 21, 22), false},
		{"one that is late", at(2, 3, 4), at(4, 5, 900), false},
		{"25 ms later and 3 times as late", at(2, 3, 4), at(30, 40, 50), true},
		{"25 ms earlier and 3 times as early", at(30, 40, 50), at(2, 3, 4), true},
		{"far, but not 3 times as far", at(100, 110, 120), at(200, 210, 220), false},
		{"after seconds, by the rule of ends", at(5000), at(5900), false},
		{"after seconds, much later", at(5000), at(25000), true},
	} {
		found := Judge(c.reference, c.target, Slack)
		if c.differ != has(found, DiffFirst) || !c.differ && found != nil {
			t.Errorf("%s: %v", c.name, found)
		}
	}
}

func TestSummaries(t *testing.T) {
	s := answered()
	s.Parts = append(s.Parts, Part{kindData, 7, nil})
	plain := Sight{Parts: []Part{{kindPlain, 26, []byte("HTTP/1.1 400 Bad Request\r\n")}}, End: FIN}
	for _, c := range []struct {
		sight Sight
		want  string
	}{
		{s, "200 OK, handshake 4, ccs 1, data 100+7; open"},
		{plain, `26 bytes "HTTP/1.1 400 Bad Request"; FIN at once`},
		{ended(RST, 5*time.Second), "nothing; RST after 5 s"},
		{Sight{Parts: []Part{{kindAlert, 2, []byte{2, 40}}}, End: FIN}, "alert 40; FIN at once"},
	} {
		if got := c.sight.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
