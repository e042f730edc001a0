package archtest

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"epoxy/engine/config"
)

// page is one document: README.md or a page of docs/.
type page struct {
	name   string   // from the root
	text   string   // without code blocks
	inline []string // `code` of a line
	shell  []string // lines of sh blocks, continued ones joined
}

var (
	fence   = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")
	inline  = regexp.MustCompile("`([^`\n]+)`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	floor   = regexp.MustCompile("(?m)^\\| (\\d) \\| `([\\w/-]+)` \\|")
	target  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):[^=].*?(## .*)?$`)
	flag    = regexp.MustCompile(`(?:^|\s)--([a-z][a-z0-9-]*)`)
	goFile  = regexp.MustCompile(`^[a-z][\w/-]*/[\w-]+\.(?:go|sh)$`)
	metric  = regexp.MustCompile(`\bepoxy_[a-z_]+\b`)
	before  = regexp.MustCompile(`^([A-Z_]+=.*|sudo|time|taskset|-c|\d+)$`) // what may stand in front of a command
	varName = regexp.MustCompile(`\bEPOXY_[A-Z0-9_]+\b`)
)

// pages reads the documents of the root and of docs/.
func pages(t *testing.T) []page {
	t.Helper()
	var list []page
	for _, file := range files(t) {
		if dir := path.Dir(file); path.Ext(file) != ".md" || dir != "." && !under(dir, "docs") {
			continue
		}
		all := string(read(t, file))
		p := page{name: file, text: fence.ReplaceAllString(all, "")}
		for _, block := range fence.FindAllStringSubmatch(all, -1) {
			if block[1] == "sh" || block[1] == "bash" {
				p.shell = append(p.shell, strings.Split(strings.ReplaceAll(block[2], "\\\n", " "), "\n")...)
			}
		}
		for _, code := range inline.FindAllStringSubmatch(p.text, -1) {
			p.inline = append(p.inline, code[1])
		}
		list = append(list, p)
	}
	for _, must := range []string{"README.md", "docs/ARCHITECTURE.md"} {
		if !slices.ContainsFunc(list, func(p page) bool { return p.name == must }) {
			t.Fatalf("%s is missing", must)
		}
	}
	return list
}

// TestDocLinks checks that every relative link, picture and named source file exists.
func TestDocLinks(t *testing.T) {
	for _, p := range pages(t) {
		dir := path.Dir(p.name)
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			to, _, _ := strings.Cut(m[1], "#")
			if to == "" || strings.Contains(to, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, dir, to)); err != nil {
				t.Errorf("%s links to %s, which is not there", p.name, to)
			}
		}
		for _, code := range p.inline {
			if !goFile.MatchString(code) {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, code)); err != nil {
				t.Errorf("%s names %s, which is not there", p.name, code)
			}
		}
	}
}

// TestDocPictures checks that pictures are well-formed, load nothing and have colours for dark pages too.
func TestDocPictures(t *testing.T) {
	for _, file := range files(t) {
		if path.Ext(file) != ".svg" {
			continue
		}
		src := read(t, file)
		d := xml.NewDecoder(bytes.NewReader(src))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Errorf("%s: %v", file, err)
				break
			}
		}
		for _, bad := range []string{"href", "@import", "<script", "<image"} {
			if bytes.Contains(src, []byte(bad)) {
				t.Errorf("%s contains %s: a picture stands for itself", file, bad)
			}
		}
		if !bytes.Contains(src, []byte("prefers-color-scheme: dark")) {
			t.Errorf("%s has no colours for dark pages", file)
		}
	}
}

// TestDocFloors checks that the table in docs/ARCHITECTURE.md is the one that TestFloors enforces.
func TestDocFloors(t *testing.T) {
	written := map[string]int{}
	for _, m := range floor.FindAllStringSubmatch(string(read(t, "docs/ARCHITECTURE.md")), -1) {
		n, _ := strconv.Atoi(m[1])
		written[m[2]] = n
	}
	for name, n := range written {
		if p, ok := floors[name]; !ok || p.floor != n {
			t.Errorf("docs/ARCHITECTURE.md puts %s on floor %d, floors_test.go does not", name, n)
		}
	}
	for _, p := range packages(t) {
		if _, ok := written[p.path]; !ok {
			t.Errorf("the table of floors in docs/ARCHITECTURE.md lacks %s", p.path)
		}
	}
}

// TestDocSettings checks that docs/REFERENCE.md is what the settings make of it, that its tables hold every flag of
// `epoxy run` with its variable, default and meaning, that the README sends its readers there, and that no page names a
// variable that does not exist.
func TestDocSettings(t *testing.T) {
	reference := string(read(t, "docs/REFERENCE.md"))
	if reference != config.Reference() {
		t.Error("docs/REFERENCE.md is not what the settings say: run `make docs`, that is go run ./cmd/epoxy config reference > docs/REFERENCE.md")
	}
	if !strings.Contains(string(read(t, "README.md")), "](docs/REFERENCE.md)") {
		t.Error("README.md has no link to docs/REFERENCE.md")
	}
	variables := map[string]bool{}
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	config.Register(fs, config.Default())
	fs.VisitAll(func(f *pflag.Flag) {
		name := config.Variable(f.Name)
		variables[name] = true
		end := " | " + strings.ReplaceAll(f.Usage, "|", `\|`) + " |"
		if f.DefValue != "" {
			end = " | `" + f.DefValue + "`" + end
		}
		if !slices.ContainsFunc(strings.Split(reference, "\n"), func(row string) bool {
			return strings.HasPrefix(row, "| `--"+f.Name+"` | ") && strings.Contains(row, " | `"+name+"` | ") && strings.HasSuffix(row, end)
		}) {
			t.Errorf("docs/REFERENCE.md has no row for --%s with %s, its default and its meaning", f.Name, name)
		}
	})
	for _, p := range pages(t) {
		for _, name := range varName.FindAllString(string(read(t, p.name)), -1) {
			if !variables[name] {
				t.Errorf("%s names the variable %s, which no flag has", p.name, name)
			}
		}
	}
}

// TestDocMetrics checks that every metric named in a page is exported.
func TestDocMetrics(t *testing.T) {
	names := metric.FindAllString(string(read(t, "engine/stats/names.go")), -1)
	for _, p := range pages(t) {
		for _, name := range metric.FindAllString(string(read(t, p.name)), -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s names the metric %s, which is not exported", p.name, name)
			}
		}
	}
}

// TestDocTargets checks that the README's table holds every make target that `make` lists, and that no
// page asks for another.
func TestDocTargets(t *testing.T) {
	readme := string(read(t, "README.md"))
	var targets []string
	for _, m := range target.FindAllStringSubmatch(string(read(t, "Makefile")), -1) {
		targets = append(targets, m[1])
		if m[2] != "" && m[1] != "help" && !strings.Contains(readme, "\n| `make "+m[1]+"` |") {
			t.Errorf("README.md has no row for make %s", m[1])
		}
	}
	for _, p := range pages(t) {
		for _, line := range append(p.inline, p.shell...) {
			words := words(line)
			if len(words) == 0 || words[0] != "make" {
				continue
			}
			for _, w := range words[1:] {
				if !strings.Contains(w, "=") && !slices.Contains(targets, w) {
					t.Errorf("%s: there is no target %q in %q", p.name, w, line)
				}
			}
		}
	}
}

// TestDocCommands asks the built programs for the help of every command that a page shows, and checks
// its flags, and that a flag named alone belongs to some command.
func TestDocCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("builds both programs")
	}
	h := newHelp(t)
	for _, p := range pages(t) {
		for _, line := range append(p.inline, p.shell...) {
			if strings.HasPrefix(line, "--") {
				name, _, _ := strings.Cut(line[2:], " ")
				if name, _, _ = strings.Cut(name, "="); !h.anyHas(name) {
					t.Errorf("%s: no command has the flag --%s", p.name, name)
				}
			}
			for _, words := range commands(line) {
				flags, ok := h.of(words)
				if !ok {
					t.Errorf("%s: there is no such command in %q", p.name, line)
					continue
				}
				for _, m := range flag.FindAllStringSubmatch(strings.Join(words, " "), -1) {
					if !slices.Contains(flags, m[1]) {
						t.Errorf("%s: no flag --%s in %q", p.name, m[1], line)
					}
				}
			}
		}
	}
}

// words splits a line of shell without its comment.
func words(line string) []string {
	line, _, _ = strings.Cut(line, " #")
	return strings.Fields(line)
}

// commands finds the calls of our programs in a line, one inside another's $(...) too.
func commands(line string) [][]string {
	line = strings.NewReplacer("$(", " ; ", ")", " ; ", "|", " ; ", "&", " ; ").Replace(line)
	var found [][]string
	for part := range strings.SplitSeq(line, ";") {
		w := words(part)
		for len(w) > 0 && before.MatchString(w[0]) {
			w = w[1:]
		}
		if len(w) < 2 {
			continue
		}
		if name := path.Base(w[0]); name == "epoxy" || name == "epoxy-bench" {
			found = append(found, append([]string{name}, w[1:]...))
		}
	}
	return found
}

// help is what the built programs say of themselves.
type help struct {
	t     *testing.T
	dir   string
	flags map[string][]string // by command, nil when there is no such one
	args  map[string]bool     // commands that take words behind them
}

func newHelp(t *testing.T) *help {
	h := &help{t: t, dir: t.TempDir(), flags: map[string][]string{}, args: map[string]bool{}}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", h.dir, "./cmd/...")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, head(string(out), 20))
	}
	for _, name := range []string{"epoxy", "epoxy-bench"} {
		h.walk(name)
	}
	return h
}

// walk asks for the help of a command and of those below it.
func (h *help) walk(command string) {
	w := append(strings.Fields(command), "--help")
	out, err := exec.CommandContext(h.t.Context(), filepath.Join(h.dir, w[0]), w[1:]...).Output()
	if err != nil {
		h.t.Fatalf("%s: %v", strings.Join(w, " "), err)
	}
	h.flags[command] = []string{}
	for _, m := range regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z][a-z0-9-]*)`).FindAllStringSubmatch(string(out), -1) {
		h.flags[command] = append(h.flags[command], m[1])
	}
	_, use, _ := strings.Cut(string(out), "Usage:\n")
	use, _, _ = strings.Cut(use, "\n")
	h.args[command] = strings.TrimSpace(strings.TrimSuffix(use, "[flags]")) != command
	_, below, _ := strings.Cut(string(out), "Available Commands:\n")
	below, _, _ = strings.Cut(below, "\n\n")
	for line := range strings.Lines(below) {
		if name := strings.Fields(line)[0]; name != "help" {
			h.walk(command + " " + name)
		}
	}
}

// of returns the flags of the command that words call.
func (h *help) of(words []string) ([]string, bool) {
	command := words[0]
	for _, w := range words[1:] {
		_, below := h.flags[command+" "+w]
		if strings.HasPrefix(w, "-") || w == "..." || h.args[command] && !below {
			break
		}
		command += " " + w
	}
	flags, ok := h.flags[command]
	return flags, ok
}

func (h *help) anyHas(name string) bool {
	for _, flags := range h.flags {
		if slices.Contains(flags, name) {
			return true
		}
	}
	return false
}
