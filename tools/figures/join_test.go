package main

import (
	"errors"
	"path/filepath"
	"testing"

	"epoxy/bench/compare"
)

// A comparison whose cases were played in two runs is one report; parts that do not fit are refused.
func TestJoin(t *testing.T) {
	var whole compare.Result
	if err := reports().load(mainReport, &whole); err != nil || len(whole.Cases) < 3 {
		t.Fatalf("%d cases, %v", len(whole.Cases), err)
	}
	part := func(change func(*compare.Result)) string {
		r := whole
		change(&r)
		b := book{dir: t.TempDir()}
		put(t, b, mainReport, &r)
		return filepath.Join(b.dir, mainReport)
	}
	first := part(func(r *compare.Result) { r.Cases = whole.Cases[:2] })
	rest := part(func(r *compare.Result) { r.Cases = whole.Cases[2:] })
	b := book{dir: t.TempDir()}
	if err := b.keep([]string{first, rest}, ""); err != nil {
		t.Fatal(err)
	}
	var got compare.Result
	if err := b.load(mainReport, &got); err != nil || len(got.Cases) != len(whole.Cases) || got.Cases[2].Name != whole.Cases[2].Name {
		t.Errorf("%d of %d cases, %v", len(got.Cases), len(whole.Cases), err)
	}
	for what, change := range map[string]func(*compare.Result){
		"a case again":   func(*compare.Result) {},
		"another commit": func(r *compare.Result) { r.Cases, r.Machine.Commit = whole.Cases[2:], "other" },
		"other rounds":   func(r *compare.Result) { r.Cases, r.Runs = whole.Cases[2:], r.Runs+1 },
		"other sizes":    func(r *compare.Result) { r.Cases, r.Sizes.Idle = whole.Cases[2:], r.Sizes.Idle+1 },
	} {
		b := book{dir: t.TempDir()}
		if err := b.keep([]string{first, part(change)}, ""); !errors.Is(err, errJoin) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
