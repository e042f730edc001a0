package archtest

import (
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	faultRow = regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]*) \|$`)
	testName = regexp.MustCompile("^`([a-z][a-z/]*)\\.(Test\\w+)`$")
)

// faults is how many the table of docs/FAULTS.md has.
const faults = 42

// TestDocFaults checks that the table of faults is whole and that the tests which it names exist.
func TestDocFaults(t *testing.T) {
	have := map[string]bool{} // "upstream/middle.TestModel"
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	for _, file := range files(t) {
		if !strings.HasSuffix(file, "_test.go") || nested(file) {
			continue
		}
		for _, m := range declared.FindAllSubmatch(read(t, file), -1) {
			have[path.Dir(file)+"."+string(m[1])] = true
		}
	}
	rows := faultRow.FindAllStringSubmatch(string(read(t, "docs/FAULTS.md")), -1)
	if len(rows) != faults {
		t.Fatalf("%d faults, want %d", len(rows), faults)
	}
	for i, row := range rows {
		if row[1] != strconv.Itoa(i+1) {
			t.Errorf("fault %s is where %d should be", row[1], i+1)
		}
		for _, word := range strings.Fields(row[2]) {
			m := testName.FindStringSubmatch(word)
			if m == nil || !have[m[1]+"."+m[2]] {
				t.Errorf("fault %d: there is no test %s", i+1, word)
			}
		}
	}
}
