package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
)

const testTag = "0123456789abcdef0123456789abcdef"

func TestParseTag(t *testing.T) {
	for _, text := range []string{testTag, strings.ToUpper(testTag)} {
		if tag, err := parseTag(text); err != nil || showTag(tag) != testTag || tag[0] != 1 || tag[15] != 0xef {
			t.Errorf("%s is %v, %v", text, tag, err)
		}
	}
	if tag, err := parseTag(""); tag != nil || err != nil || showTag(nil) != "" {
		t.Errorf("no tag is %v, %v", tag, err)
	}
	for _, text := range []string{testTag[1:], testTag[2:], testTag + "00", testTag[:31] + "g", " " + testTag, "0x" + testTag[2:]} {
		if tag, err := parseTag(text); tag != nil || err == nil || !strings.Contains(err.Error(), "@MTProxybot") {
			t.Errorf("%q is %v, %v", text, tag, err)
		}
	}
}

func TestParseSource(t *testing.T) {
	good := map[string]string{}
	for _, text := range []string{
		DefaultTelegramSecret, DefaultTelegramConfig, DefaultTelegramConfigV6, "http://127.0.0.1:80/x?y=z", "HTTPS://u:p@mirror.example/a",
		"file:///etc/epoxy/secret", "/etc/epoxy/secret", "secret", "./a b", "@x",
	} {
		good[text] = text
	}
	check(t, parseSource, good, map[string]string{
		"": "neither a URL nor a file", "a\x00b": "neither a URL nor a file", "file://etc/x": "nor a file", "ftp://a/b": "nor a file",
		"https://": "is not an http or https URL", "http:///x": "is not an http or https URL", "http://a b/": "is not an http or https URL",
	})
	check(t, parseURL, map[string]string{"http://v4.example/": "http://v4.example/"},
		map[string]string{"": "write https", "/etc/x": "write https", "file:///x": "write https", "v4.example": "write https"})
}

// A name and password before a host are not told.
func TestSourceKeepsPasswords(t *testing.T) {
	for _, text := range []string{"ftp://bob:hunter2@a.example/", "https://bob:hunter2@ /", "http://bob:hunter2@"} {
		for _, flag := range []string{"--telegram-secret", "--public-ip-lookup"} {
			_, err := load(t, []string{flag, text}, nil)
			if err == nil || strings.Contains(err.Error(), "bob") || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), `"...@`) {
				t.Errorf("%s %s: %v", flag, text, err)
			}
		}
	}
}

func TestPublicIP(t *testing.T) {
	check(t, parsePublic, map[string]netip.Addr{
		"203.0.113.7": netip.MustParseAddr("203.0.113.7"), "::ffff:203.0.113.7": netip.MustParseAddr("203.0.113.7"), "2001:db8::7": netip.MustParseAddr("2001:db8::7"),
		"10.0.0.1": netip.MustParseAddr("10.0.0.1"), // middle proxies of a test may be next door
	}, map[string]string{"": "others can see", "0.0.0.0": "others can see", "::": "others can see", "ff02::1": "others can see", "fe80::1%eth0": "others can see", "203.0.113.7:443": "others can see", "a.example": "others can see"})

	s, err := load(t, []string{"--public-ip", "2001:db8::7", "--public-ip", "203.0.113.7", "--public-ip", "203.0.113.7"}, nil)
	if err != nil || s.PublicV4.String() != "203.0.113.7" || s.PublicV6.String() != "2001:db8::7" {
		t.Errorf("%v and %v, %v", s.PublicV4, s.PublicV6, err)
	}
	if _, err = load(t, nil, []string{"EPOXY_PUBLIC_IP=203.0.113.7,203.0.113.8"}); err == nil || !strings.Contains(err.Error(), `EPOXY_PUBLIC_IP "203.0.113.8": is the second address of its family`) {
		t.Errorf("two of a family: %v", err)
	}
	s, err = load(t, []string{"--public-ip-lookup", "http://a/", "--public-ip-lookup", "http://b/", "--public-ip-lookup", "http://a/"}, nil)
	if err != nil || strings.Join(s.PublicLookup, " ") != "http://a/ http://b/" {
		t.Errorf("%v, %v", s.PublicLookup, err)
	}
}

// Which way clients go, and whether they may go another.
func TestMiddle(t *testing.T) {
	for args, want := range map[string][2]bool{
		"":                                   {false, false},
		"--upstream direct":                  {false, false},
		"--upstream middle":                  {true, true},
		"--tag " + testTag:                   {true, false},
		"--upstream middle --tag " + testTag: {true, false},
		"--tag-optional --tag " + testTag:    {true, true},
		"--middle-v6 --prefer only-v6 --tag " + testTag: {true, false},
	} {
		s, err := load(t, strings.Fields(args), nil)
		if err != nil || s.Middle() != want[0] || s.Fallback() != want[1] {
			t.Errorf("%q: middle %v, fallback %v, %v", args, s.Middle(), s.Fallback(), err)
		}
	}
}

func TestMiddleFamilies(t *testing.T) {
	for args, want := range map[string]string{
		"": "[v4]", "--prefer prefer-v6": "[v4]", "--middle-v6": "[v4 v6]", "--middle-v6 --prefer prefer-v6": "[v6 v4]", "--middle-v6 --prefer only-v6": "[v6]",
	} {
		if s, err := load(t, strings.Fields(args), nil); err != nil || fmt.Sprintf("%v", s.MiddleFamilies()) != want {
			t.Errorf("%q: %v, %v; want %s", args, s.MiddleFamilies(), err, want)
		}
	}
}

func TestMiddleWords(t *testing.T) {
	for i, w := range migrateWords {
		if got, err := parseWord[Migrate](migrateWords, w); err != nil || int(got) != i || got.String() != w {
			t.Errorf("%s is %v, %v", w, got, err)
		}
	}
	for i, w := range filterWords {
		if got, err := parseWord[Filter](filterWords, w); err != nil || int(got) != i || got.String() != w {
			t.Errorf("%s is %v, %v", w, got, err)
		}
	}
	if s := Default(); s.Migrate != MigrateIdle || s.FilterErrors != FilterFirst || s.MiddleV6 || s.Tag != nil || len(s.PublicLookup) > 0 {
		t.Errorf("defaults: %v %v %v %v %v", s.Migrate, s.FilterErrors, s.MiddleV6, s.Tag, s.PublicLookup)
	}
}

func TestParseMemory(t *testing.T) {
	check(t, parseMemory, map[string]int64{
		"0": 0, "67108864": 64 << 20, "64M": 64 << 20, "512m": 512 << 20, "4G": 4 << 30, "4GiB": 4 << 30, "65536kb": 64 << 20, "64T": 64 << 40, "99999999B": 99999999,
	}, map[string]string{"": "64 TiB", "G": "64 TiB", "-1": "64 TiB", "1.5G": "64 TiB", "65T": "64 TiB", "4Q": "64 TiB", "4GG": "64 TiB", "70368744177665": "64 TiB",
		"18446744073709551616": "64 TiB", "63M": "64 MiB", "1": "64 MiB", "512": "64 MiB"})
	for n, want := range map[int64]string{0: "0", 64 << 20: "64M", 1<<30 + 1: "1073741825", 1536 << 20: "1536M", 4 << 30: "4G", 64 << 40: "64T"} {
		if got := showMemory(n); got != want {
			t.Errorf("%d prints as %s, want %s", n, got, want)
		}
	}
}

func TestDefaultMemory(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		files map[string]string
		want  int64 // before the share
	}{
		"nothing is told": {nil, 0},
		"machine":         {map[string]string{"proc/meminfo": "MemFree: 5 kB\nMemTotal:       16777216 kB\nSwapTotal: 1 kB\n"}, 16 * gib},
		"no limit": {map[string]string{"proc/meminfo": "MemTotal: 16777216 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "max\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 16 * gib},
		"limit of a parent": {map[string]string{"proc/meminfo": "MemTotal: 16777216 kB\n", "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "8589934592\n", "sys/fs/cgroup/a/memory.max": "4294967296\n"}, 4 * gib},
		"high below max":       {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "4294967296\n", "sys/fs/cgroup/a/memory.high": "2147483648\n"}, 2 * gib},
		"limit above RAM":      {map[string]string{"proc/meminfo": "MemTotal: 1048576 kB\n", "proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "4294967296\n"}, gib},
		"container":            {map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, gib},
		"path of another root": {map[string]string{"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "1073741824\n"}, gib},
		"first version": {map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/c\n4:memory:/docker/x\n0::/init\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "3221225472\n"}, 3 * gib},
		"damaged": {map[string]string{"proc/meminfo": "MemTotal: many kB\n", "proc/self/cgroup": "\n:\n0:\nx", "sys/fs/cgroup/memory.max": "-5"}, 0},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := DefaultMemory(root); got != c.want/100*80 {
			t.Errorf("%s: %d, want 80 %% of %d", name, got, c.want)
		}
	}
}
