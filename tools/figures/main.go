// Package main writes the measured parts of README.md and docs/PERFORMANCE.md, and the charts, from the files in docs/figures, which
// epoxy-bench and this program wrote: no figure is written by hand. A test says when a page and the files differ.
//
//	go run ./tools/figures                              renders pages and charts anew: `make figures`
//	go run ./tools/figures keep bin/compare/compare.json [bin/soak.json ...]     takes reports into docs/figures, and renders
//	go run ./tools/figures keep a/compare.json b/compare.json     one comparison whose cases were played in two runs
//	go run ./tools/figures -as strangers/front.json keep bin/figures/summary.json     under another name
//	go run ./tools/figures bench                        runs micro-benchmarks into docs/figures/benchmarks.json, and renders
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

var errUsage = errors.New("figures: nothing, keep FILE..., or bench")

func run(ctx context.Context, args []string, log io.Writer) error {
	fs := flag.NewFlagSet("figures", flag.ContinueOnError)
	root := fs.String("root", ".", "the repository")
	as := fs.String("as", "", "the name below docs/figures that keep gives its file")
	count := fs.Int("count", 5, "how often bench runs each benchmark")
	if err := fs.Parse(args); err != nil {
		return err
	}
	b := book{dir: filepath.Join(*root, "docs", "figures")}
	var err error
	switch words := fs.Args(); {
	case len(words) == 0:
	case words[0] == "keep" && (len(words) == 2 || len(words) > 2 && *as == ""):
		err = b.keep(words[1:], *as)
	case words[0] == "bench" && len(words) == 1:
		err = measure(ctx, *root, filepath.Join(b.dir, "benchmarks.json"), *count, log)
	default:
		err = errUsage
	}
	if err != nil {
		return err
	}
	return write(*root, b, log)
}

// write renders everything; it says which files it changed.
func write(root string, b book, log io.Writer) error {
	files, err := render(root, b)
	if err != nil {
		return err
	}
	for name, text := range files {
		file := filepath.Join(root, name)
		if old, err := os.ReadFile(file); err == nil && string(old) == text {
			continue
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Fprintln(log, "written:", name)
	}
	return nil
}
