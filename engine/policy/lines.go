package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxMistakes is how many bad lines are told of.
const maxMistakes = 10

// ParseLines reads keys, one "KEY VALUE" a line. Empty lines and lines that start with # are skipped. Bad
// lines are named, the first ten of them, and then there are no keys.
func ParseLines(text string) ([]Key, error) {
	var keys []Key
	var errs []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, err := ParseLine(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			if len(errs) == maxMistakes {
				break
			}
			continue
		}
		keys = append(keys, k)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return keys, nil
}

// Import adds the keys of text, lines as ParseLines reads them, and returns how many were new. A bad line
// leaves the table as it is; so does text with more keys than there is room for, those in it already
// counted too.
func (t *Tables) Import(name, text string) (added int, err error) {
	keys, err := ParseLines(text)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(keys, compare)
	keys = slices.Compact(keys)
	if len(keys) > t.max-t.Len()+t.has(name, keys) {
		return 0, ErrFull
	}
	return t.Add(name, keys...)
}

// has returns how many of keys are in a table.
func (t *Tables) has(name string, keys []Key) int {
	n := 0
	for _, k := range keys {
		if t.Has(name, k) {
			n++
		}
	}
	return n
}

// Export returns a table as lines that Import reads.
func (t *Tables) Export(name string) []byte {
	var out []byte
	for _, k := range t.List(name) {
		out = append(out, k.String()...)
		out = append(out, '\n')
	}
	return out
}
