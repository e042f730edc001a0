package ping

import (
	"encoding/hex"
	"testing"
	"time"

	"epoxy/codec"
	"epoxy/upstream/faketg"
)

// A question of an app, byte by byte.
func TestRequest(t *testing.T) {
	n := nonce{1, 2, 3, 15: 16}
	got := appendRequest([]byte("x"), time.Unix(0x65000000, 500_000_000), n)
	want := "78" + "0000000000000000" + "0000008000000065" + "14000000" + "f18e7ebe" + hex.EncodeToString(n[:])
	if hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
}

// answerTo is what the fake Telegram says to n at second 0x65000000.
func answerTo(n nonce) []byte {
	var mind faketg.Mind
	q := appendRequest(nil, time.Unix(0x65000000, 0), n)
	return mind.Answer(q).Append(nil, random)
}

func TestParseAnswer(t *testing.T) {
	n := nonce{7, 8, 9}
	good := answerTo(n)
	if unix, err := parseAnswer(good, n); err != nil || unix != 0x65000000 {
		t.Fatalf("%x, %v", unix, err)
	}
	for i := range good {
		if _, err := parseAnswer(good[:i], n); err == nil {
			t.Errorf("%d bytes are taken", i)
		}
	}
	for at, want := range map[int]error{0: errPlain, 7: errPlain, 19: errPlain, 20: errOther, 23: errOther, 24: errNonce, 39: errNonce} {
		bad := append([]byte(nil), good...)
		bad[at] ^= 1
		if _, err := parseAnswer(bad, n); err != want {
			t.Errorf("byte %d: %v, want %v", at, err, want)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	n := nonce{7, 8, 9}
	f.Add(answerTo(n))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := parseAnswer(p, n); err == nil && string(p[24:40]) != string(n[:]) {
			t.Error("another nonce is taken")
		}
	})
}

// result is a made one, with what stands in it.
func result(dc codec.DC, p codec.Protocol, ahead time.Duration, step string, f Fault) Result {
	r := Result{DC: dc, Protocol: p, OK: f == None, Ahead: ahead}
	if p == codec.TLS && (f == None || step == StepAnswer) {
		r.Steps = append(r.Steps, Step{Name: StepTLS})
	}
	s := Step{Name: step}
	if f != None {
		e := &Error{Fault: f}
		e.word(&r)
		s.Err = e
	}
	r.Steps = append(r.Steps, s)
	return r
}

// What several pings say together.
func TestConclude(t *testing.T) {
	for name, c := range map[string]struct {
		all  []Result
		want []string
	}{
		"clock ahead": {
			[]Result{result(2, codec.Secure, time.Hour, StepAnswer, None), result(2, codec.TLS, 0, StepTLS, HelloForeign)},
			[]string{"ok", "tls wrong_clock"},
		},
		"clock behind": {
			[]Result{result(2, codec.TLS, 0, StepTLS, HelloClosed), result(2, codec.Secure, -time.Hour, StepAnswer, None)},
			[]string{"tls wrong_clock", "ok"},
		},
		"a hello lost among good ones": {
			[]Result{result(1, codec.TLS, 0, StepTLS, HelloSilent), result(2, codec.TLS, 0, StepAnswer, None)},
			[]string{"tls hello_silent", "ok"},
		},
		"nothing works": {
			[]Result{result(2, codec.Secure, 0, StepAnswer, AnswerClosed), result(2, codec.TLS, 0, StepTLS, HelloClosed)},
			[]string{"answer answer_closed", "tls hello_closed"},
		},
		"only another datacenter works, by another protocol": {
			[]Result{result(2, codec.Secure, 0, StepAnswer, AnswerClosed), result(4, codec.TLS, 0, StepAnswer, None)},
			[]string{"answer answer_closed", "ok"},
		},
		"not allowed, and a datacenter is down": {
			[]Result{
				result(2, codec.Secure, 0, StepAnswer, AnswerSilent), result(2, codec.TLS, 0, StepAnswer, None),
				result(4, codec.Secure, 0, StepAnswer, AnswerForeign), result(4, codec.TLS, 0, StepAnswer, AnswerClosed),
			},
			[]string{"answer not_allowed", "ok", "answer not_allowed", "answer dc_down"},
		},
		"answers to all but fake-TLS": {
			[]Result{result(2, codec.Secure, 0, StepAnswer, None), result(2, codec.TLS, 0, StepAnswer, AnswerClosed)},
			[]string{"ok", "answer answer_closed"},
		},
		"refused at times": {
			[]Result{result(2, codec.Secure, 0, StepDial, Refused), result(2, codec.Secure, 0, StepAnswer, None)},
			[]string{"dial refused", "ok"},
		},
	} {
		conclude(c.all)
		for i := range c.all {
			if got := faulty(&c.all[i]); got != c.want[i] {
				t.Errorf("%s, %d: %s, want %s", name, i, got, c.want[i])
			}
		}
	}
	all := []Result{result(2, codec.Secure, -time.Hour, StepAnswer, None), result(2, codec.TLS, 0, StepTLS, HelloClosed)}
	conclude(all)
	hints(t, all[1:], "this machine's clock is 1h0m0s behind Telegram's; set it")
}

// Every fault has a word and a sentence of its own.
func TestFaultsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for f := range faults {
		if f.String() == "" || f.String() == "unknown" || seen[f.String()] {
			t.Errorf("fault %d is called %q", f, f)
		}
		seen[f.String()] = true
		e := &Error{Fault: f, cause: errPlain}
		e.word(&Result{Protocol: codec.Secure})
		if f != None && e.Hint == "" {
			t.Errorf("%s has no hint", f)
		}
	}
	if faults.String() != "unknown" {
		t.Error(faults.String())
	}
}
