package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"epoxy/bench/compare"
)

// pages are the documents with measured sections, and the way from each to docs/figures.
var pages = map[string]string{"README.md": "docs/figures", "docs/PERFORMANCE.md": "figures"}

// section is what stands between <!-- figures: KIND WORD... --> and <!-- end -->.
var section = regexp.MustCompile(`(?s)(<!-- figures: ([^\n]*?) -->\n).*?(<!-- end -->)`)

// render returns the text that pages and charts should have, by path from the root.
func render(root string, b book) (map[string]string, error) {
	files := map[string]string{}
	for page, at := range pages {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			return nil, err
		}
		if files[page], err = rewrite(string(text), func(words []string) (string, error) { return b.section(words, at) }); err != nil {
			return nil, fmt.Errorf("%s: %w", page, err)
		}
	}
	var r compare.Result
	switch err := b.load(mainReport, &r); {
	case err == nil:
		var s source
		if err := b.load(mainReport, &s); err != nil {
			return nil, err
		}
		for _, o := range append(r.Cases, overview(&r)) {
			if s.trial() != "" {
				o.Title += " (a trial, no figures to quote)"
			}
			files[path.Join("docs/figures", o.Name+".svg")] = compare.Chart(o)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return files, nil
}

// mainReport is the comparison that targets and charts are of.
const mainReport = "compare.json"

// overview is the first figure of each case that says what a proxy costs.
func overview(r *compare.Result) compare.Outcome {
	o := compare.Outcome{Name: "overview", Title: "What a proxy costs"}
	for _, c := range r.Cases {
		if slices.Contains(costs, c.Name) {
			f := c.Figures[0]
			f.Title = c.Title + ": " + f.Title
			o.Figures = append(o.Figures, f)
		}
	}
	return o
}

// costs are these cases.
var costs = []string{"down", "up", "small", "handshake", "idle"}

// rewrite fills every section of a page.
func rewrite(text string, fill func(words []string) (string, error)) (string, error) {
	var failure error
	text = section.ReplaceAllStringFunc(text, func(old string) string {
		m := section.FindStringSubmatch(old)
		body, err := fill(strings.Fields(m[2]))
		if err != nil {
			failure = errors.Join(failure, fmt.Errorf("section %q: %w", m[2], err))
			return old
		}
		return m[1] + strings.TrimSpace(body) + "\n" + m[3]
	})
	return text, failure
}

// section writes one; a report that is not there yet is said, not invented.
func (b book) section(words []string, at string) (string, error) {
	if len(words) == 0 {
		return "", errKind
	}
	kind, ok := kinds[words[0]]
	if !ok {
		return "", fmt.Errorf("%w %q", errKind, words[0])
	}
	text, err := kind(b, words[1:], at)
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) && errors.Is(err, fs.ErrNotExist) {
		name, _ := filepath.Rel(b.dir, missing.Path)
		return fmt.Sprintf("Not measured yet: `%s` writes `%s`.", command(filepath.ToSlash(name)), filepath.ToSlash(name)), nil
	}
	return text, err
}
