package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestLogLevels(t *testing.T) {
	for text, want := range map[string]string{
		"warn":                              "WARN map[] warn",
		"debug,middle=info":                 "DEBUG map[middle:INFO] debug,middle=info",
		"all=Error, scout=debug,admin=warn": "ERROR map[admin:WARN scout:DEBUG] error,admin=warn,scout=debug",
		"session=debug":                     "INFO map[session:DEBUG] info,session=debug",
	} {
		s, err := load(t, nil, []string{"EPOXY_LOG_LEVEL=" + text})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		shown := showLevels(s.LogLevel, s.LogParts)
		if got := fmt.Sprint(s.LogLevel, " ", s.LogParts, " ", shown); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if again, err := load(t, []string{"--log-level", shown}, nil); err != nil || showLevels(again.LogLevel, again.LogParts) != shown {
			t.Errorf("%s is not what the flag takes: %v", shown, err)
		}
	}
}

func TestWrongLogLevels(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "no log level",
		"loud":                     "no log level",
		"info,":                    "no log level",
		"info,middle=":             "no log level",
		"info,debug":               "two levels",
		"middle=info,debug":        "two levels",
		"middle=info,middle=debug": "two levels",
		"info,kitchen=debug":       "parts are engine, session, ",
		"info,all=debug":           "a part that there is not",
	} {
		_, err := load(t, []string{"--log-level", text}, nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--log-level") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestAccount(t *testing.T) {
	for text, want := range map[string]Account{
		"":              {},
		"nobody":        {User: "nobody"},
		"65534:nogroup": {User: "65534", Group: "nogroup"},
	} {
		s, err := load(t, []string{"--user", text}, nil)
		if err != nil || s.User != want || s.User.String() != text {
			t.Errorf("%q: %v %v", text, s.User, err)
		}
	}
	for _, text := range []string{":", "a:", ":b", "a b", "a/b", "a:b:c", "a,b"} {
		if _, err := load(t, []string{"--user", text}, nil); err == nil || !strings.Contains(err.Error(), "nobody, or NAME:GROUP") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
