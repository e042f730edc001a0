package archtest

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// place is where a package lives: its floor, and the packages of the same floor that it may import.
type place struct {
	floor int
	same  []string
}

// floors is the table of docs/ARCHITECTURE.md: a package imports packages of lower floors only. A new
// package takes its row here. A package that is in the table but not yet on disk is fine.
var floors = map[string]place{
	"codec":                 {floor: 0},
	"codec/buf":             {floor: 0},
	"engine/timer":          {floor: 0},
	"engine/replay":         {floor: 0},
	"engine/logs":           {floor: 0},
	"codec/aesni":           {floor: 0},
	"codec/cbc":             {floor: 0, same: []string{"codec/aesni"}},
	"codec/ctr":             {floor: 0, same: []string{"codec/aesni"}},
	"codec/crc":             {floor: 0, same: []string{"codec/aesni"}},
	"codec/keyshare":        {floor: 0},
	"codec/secret":          {floor: 1},
	"codec/proxyproto":      {floor: 1},
	"codec/socks":           {floor: 1},
	"codec/faketls":         {floor: 1},
	"codec/obfs2":           {floor: 1},
	"codec/frame":           {floor: 1},
	"codec/full":            {floor: 1},
	"codec/rpc":             {floor: 1},
	"codec/split":           {floor: 1},
	"upstream":              {floor: 2},
	"upstream/dcmap":        {floor: 2},
	"engine/policy":         {floor: 2},
	"engine/reactor":        {floor: 3},
	"upstream/direct":       {floor: 3},
	"upstream/middle":       {floor: 3},
	"upstream/front":        {floor: 3},
	"upstream/split":        {floor: 3},
	"upstream/refresh":      {floor: 3},
	"upstream/scout":        {floor: 3, same: []string{"upstream/front"}},
	"upstream/egress":       {floor: 3},
	"engine/lists":          {floor: 3},
	"engine/quota":          {floor: 3},
	"engine/tables":         {floor: 3},
	"engine/strangers":      {floor: 3},
	"upstream/faketg":       {floor: 3},
	"upstream/upstreamtest": {floor: 3},
	"engine/config":         {floor: 4},
	"engine/session":        {floor: 4},
	"engine/stats":          {floor: 5},
	"engine/admin":          {floor: 5},
	"engine":                {floor: 6},
	"engine/doctor":         {floor: 6},
	"bench/load":            {floor: 7},
	"bench/probe":           {floor: 7},
	"bench/ping":            {floor: 7},
	"bench/floor":           {floor: 7},
	"bench/rig":             {floor: 7, same: []string{"bench/load"}},
	"bench/compare":         {floor: 7, same: []string{"bench/load", "bench/rig"}},
	"bench/soak":            {floor: 7, same: []string{"bench/load", "bench/rig"}},
	"tools/allocs":          {floor: 8},
	"tools/figures":         {floor: 8},
	"bench":                 {floor: 7, same: []string{"bench/load"}},
	"cmd/epoxy":             {floor: 8},
	"cmd/epoxy-bench":       {floor: 8},
	"tools/archtest":        {floor: 8},
	"tools/acceptance":      {floor: 8},
	"tools/probedemo":       {floor: 8},
	"tools/browser":         {floor: 8},
	"tools/day":             {floor: 8},
}

// rawAllowed names the packages that may import what reaches the kernel directly.
var rawAllowed = map[string][]string{
	"engine/reactor":  {"github.com/panjf2000/gnet", "golang.org/x/sys", "syscall"},
	"cmd/epoxy":       {"syscall"}, // the numbers of signals
	"cmd/epoxy-bench": {"syscall"},
	"bench/floor":     {"golang.org/x/sys"}, // on purpose without the reactor that it is compared with
	"bench/rig":       {"syscall"},          // the numbers of signals
	"bench/soak":      {"syscall"},
	"tools/probedemo": {"syscall"},
	"tools/day":       {"syscall"},
}

var raw = []string{"github.com/panjf2000/gnet", "golang.org/x/sys", "syscall"}

// impure is what a codec may not import, nor anything below it; net/netip is the exception.
var impure = []string{
	"net", "os", "time", "io", "sync", "log", "crypto/rand", "math/rand", "context", "runtime",
}

// TestFloors checks that imports go down only.
func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		here, ok := floors[p.path]
		if !ok {
			t.Errorf("package %s has no floor: add it to the table in tools/archtest/floors_test.go", p.path)
			continue
		}
		for imp, file := range p.imports {
			below, ours := strings.CutPrefix(imp, module+"/")
			if !ours {
				continue
			}
			there, ok := floors[below]
			switch {
			case !ok:
				t.Errorf("%s imports %s, which has no floor in tools/archtest/floors_test.go", file, imp)
			case there.floor > here.floor, there.floor == here.floor && !slices.Contains(here.same, below):
				t.Errorf("%s: %s (floor %d) imports %s (floor %d): imports go down only",
					file, p.path, here.floor, below, there.floor)
			}
		}
	}
}

// TestRawSockets checks that one package knows gnet and the system calls.
func TestRawSockets(t *testing.T) {
	for _, p := range packages(t) {
		for imp, file := range p.imports {
			for _, r := range raw {
				if under(imp, r) && !slices.Contains(rawAllowed[p.path], r) {
					t.Errorf("%s imports %s: only engine/reactor does", file, imp)
				}
			}
		}
	}
}

// TestCodecsArePure checks that a codec has no clock, I/O, lock or randomness of its own.
func TestCodecsArePure(t *testing.T) {
	for _, p := range packages(t) {
		if !under(p.path, "codec") {
			continue
		}
		for imp, file := range p.imports {
			for _, bad := range impure {
				if under(imp, bad) && imp != "net/netip" {
					t.Errorf("%s imports %s: codecs are pure", file, imp)
				}
			}
		}
	}
}

// TestPackageSentence checks that each package says what it is for.
func TestPackageSentence(t *testing.T) {
	for _, p := range packages(t) {
		want := "Package " + p.name + " "
		switch {
		case path.Base(p.path) == "utils" || p.name == "utils":
			t.Errorf("%s: the code belongs to somebody; no package is called utils", p.path)
		case p.doc == "":
			t.Errorf("package %s has no package comment", p.path)
		case p.name != "main" && !strings.HasPrefix(p.doc, want):
			t.Errorf("package %s: its comment does not begin with %q", p.path, want)
		}
	}
}

// under says whether p is dir or below it.
func under(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
