package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// module is the root module's path.
const module = "epoxy"

// root is the repository, seen from this package.
const root = "../.."

// pkg is one package of the root module, as its files say.
type pkg struct {
	path    string            // below the module: "codec/frame"
	name    string            // of the package clause, "main" for programs
	doc     string            // its package comment, from any file
	imports map[string]string // import path of a file that is no test, to that file
}

// packages parses the root module. Build constraints are ignored, so every variant is checked.
func packages(t *testing.T) []*pkg {
	t.Helper()
	byDir := map[string]*pkg{}
	var order []*pkg
	for _, file := range files(t) {
		if path.Ext(file) != ".go" || nested(file) {
			continue
		}
		dir := path.Dir(file)
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil,
			parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		p := byDir[dir]
		if p == nil {
			p = &pkg{path: dir, name: strings.TrimSuffix(f.Name.Name, "_test"), imports: map[string]string{}}
			byDir[dir] = p
			order = append(order, p)
		}
		p.add(f, file)
	}
	if len(order) < 3 {
		t.Fatalf("found only %d packages below %s: is this the repository?", len(order), root)
	}
	return order
}

func (p *pkg) add(f *ast.File, file string) {
	if f.Doc != nil && p.doc == "" {
		p.doc = f.Doc.Text()
	}
	if strings.HasSuffix(file, "_test.go") {
		return
	}
	for _, spec := range f.Imports {
		if imp, err := strconv.Unquote(spec.Path.Value); err == nil {
			p.imports[imp] = file
		}
	}
}

// files lists the repository's files by slash path, without what git and builds leave behind.
func files(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case rel != "." && leftover(rel):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular():
			list = append(list, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// leftover says whether rel is something that .gitignore names, or git itself.
func leftover(rel string) bool {
	ext := path.Ext(rel)
	return rel == ".git" || rel == "bin" || ext == ".prof" || ext == ".test"
}

// nested says whether file belongs to a module of its own, like tools/demo.
func nested(file string) bool {
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(root, dir, "go.mod")); err == nil {
			return true
		}
	}
	return false
}
