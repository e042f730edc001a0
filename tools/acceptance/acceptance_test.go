package acceptance

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// claimed lists the acceptance cases that have a test. A case is added here with its test.
const claimed = `
	A01-A41, A43-A75,
	B01-B29`

// number finds one case or a range of them: A36, A27-A32, A27-32, A27..A32.
var number = regexp.MustCompile(`\b([AB])(\d\d)(?:(?:-|–|\.\.)[AB]?(\d\d))?\b`)

// TestClaimed fails for each claimed case that no comment directly above or inside a Test or Fuzz
// function names.
func TestClaimed(t *testing.T) {
	named := map[string][]string{}
	err := filepath.WalkDir("../..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "acceptance" || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		return collect(named, name, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range expand(claimed) {
		if len(named[id]) == 0 {
			t.Errorf("%s is claimed, but no test names it", id)
		}
	}
}

// TestCollect checks what counts as naming a case: comments of tests do, other comments do not.
func TestCollect(t *testing.T) {
	const src = `package p

// A01: a comment of the file.

// A02, A04-A06: above a test.
func TestX(t *testing.T) {
	f := func() {
		// B07: inside it.
	}
	_ = "A08: a string"
}

// A09: above a fuzz target, 0xA10, A112, BA13.
func FuzzY(f *testing.F) {}

// A14: above a helper.
func helper() {}

// A15: a method is no test.
func (r r) TestZ() {}
`
	named := map[string][]string{}
	if err := collect(named, "p_test.go", []byte(src)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for id := range named {
		got = append(got, id)
	}
	slices.Sort(got)
	if want := expand("A02 A04 A05 A06 A09 B07"); !slices.Equal(got, want) {
		t.Errorf("collected %v, want %v", got, want)
	}
}

// collect adds to named the cases that the tests of one file name. src is the content, nil for the
// file on disk.
func collect(named map[string][]string, name string, src []byte) error {
	var content any
	if src != nil {
		content = src
	}
	f, err := parser.ParseFile(token.NewFileSet(), name, content, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Recv != nil || !isTest(fn.Name.Name) {
			continue
		}
		for _, group := range f.Comments {
			if group != fn.Doc && (group.Pos() < fn.Pos() || group.End() > fn.End()) {
				continue
			}
			for _, id := range expand(group.Text()) {
				if !slices.Contains(named[id], fn.Name.Name) {
					named[id] = append(named[id], fn.Name.Name)
				}
			}
		}
	}
	return nil
}

func isTest(name string) bool {
	return strings.HasPrefix(name, "Test") || strings.HasPrefix(name, "Fuzz")
}

// expand returns all cases that text names, ranges written out.
func expand(text string) []string {
	var ids []string
	for _, m := range number.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(m[2])
		last := first
		if m[3] != "" {
			last, _ = strconv.Atoi(m[3])
		}
		for n := first; n <= last; n++ {
			ids = append(ids, fmt.Sprintf("%s%02d", m[1], n))
		}
	}
	return ids
}
