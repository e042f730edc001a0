package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"epoxy/engine/stats"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go release",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, a.versionText())
			return err
		},
	}
}

func (a *app) versionText() string {
	return fmt.Sprintf("epoxy %s, commit %s, %s %s/%s\n", a.build.Version, a.build.Commit, a.build.Go, runtime.GOOS, runtime.GOARCH)
}

// buildOf returns what is known of this binary; linked is the version that the linker was given, if any.
func buildOf(linked string) stats.Build {
	b := stats.Build{Version: linked, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.Version = cmp.Or(b.Version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	b.Version, b.Commit = cmp.Or(b.Version, "unknown"), cmp.Or(b.Commit, "unknown")
	return b
}

// warn prints a line that is not an error.
func warn(w io.Writer, text string) { fmt.Fprintln(w, "epoxy: "+text) }
