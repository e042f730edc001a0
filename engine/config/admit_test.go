package config

import (
	"fmt"
	"strings"
	"testing"
)

// Rules have commas of their own, in flags, variables, ports and files.
func TestRules(t *testing.T) {
	const two = "max_connections port,client_ip 2,not_in_table client_ip bad"
	const want = "[max_connections client_ip,port 2 not_in_table client_ip bad]"
	s, err := load(t, nil, []string{"EPOXY_POLICY=" + two})
	if err != nil || fmt.Sprint(s.Listen[0].Policy) != want {
		t.Errorf("by a variable: %v, %v", s.Listen[0].Policy, err)
	}
	s, err = load(t, []string{"--policy", "max_connections secret 1", "--listen", "a=:1?policy=" + two, "--listen", "b=:2"}, nil)
	if err != nil || fmt.Sprint(s.Listen[0].Policy) != want || fmt.Sprint(s.Listen[1].Policy) != "[max_connections secret 1]" {
		t.Errorf("by ports: %v and %v, %v", s.Listen[0].Policy, s.Listen[1].Policy, err)
	}
	s, err = fromFile(`
policy = ["max_connections client_subnet/24/48,port 5"]
[[port]]
listen = ":1"
policy = ["max_connections port,client_ip 2", "not_in_table client_ip bad"]
[[port]]
listen = ":2"
`, nil)
	if err != nil || fmt.Sprint(s.Listen[0].Policy) != want || fmt.Sprint(s.Listen[1].Policy) != "[max_connections client_subnet/24/48,port 5]" {
		t.Errorf("by a file: %v and %v, %v", s.Listen[0].Policy, s.Listen[1].Policy, err)
	}
	for text, want := range map[string]string{
		"max_connections port 1,max_connections port 2": "same keys",
		"max_connections port":                          "needs two words",
		"deny port 2":                                   "no rule",
	} {
		if _, err := load(t, nil, []string{"EPOXY_POLICY=" + text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"-1", "x/s", "10/m", "99999999999"} {
		if _, err := load(t, []string{"--accept-rate=" + text}, nil); err == nil {
			t.Errorf("--accept-rate %s passes", text)
		}
	}
}
