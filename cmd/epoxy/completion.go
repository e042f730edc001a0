package main

import (
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"epoxy/engine/config"
)

// completion takes the place of cobra's command of that name, which has a page of text for each of four shells.
func (a *app) completion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Print a script that lets a shell complete commands, flags and words",
		Long:  `Completion prints a script for a shell, which then completes commands, flags, and the words and files that flags take.`,
		Example: `  epoxy completion bash > /etc/bash_completion.d/epoxy
  epoxy completion zsh > /usr/local/share/zsh/site-functions/_epoxy
  epoxy completion fish > ~/.config/fish/completions/epoxy.fish`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, shell := range []struct {
		name  string
		write func(root *cobra.Command, w io.Writer) error
	}{
		{"bash", func(root *cobra.Command, w io.Writer) error { return root.GenBashCompletionV2(w, true) }},
		{"zsh", func(root *cobra.Command, w io.Writer) error { return root.GenZshCompletion(w) }},
		{"fish", func(root *cobra.Command, w io.Writer) error { return root.GenFishCompletion(w, true) }},
	} {
		cmd.AddCommand(&cobra.Command{
			Use:   shell.name,
			Short: "Print the script for " + shell.name,
			Args:  noArgs,
			RunE:  func(cmd *cobra.Command, _ []string) error { return shell.write(cmd.Root(), a.out) },
		})
	}
	return cmd
}

// complete tells the completion of every command below cmd which words and files its flags take. Nothing else is
// completed by the names of files.
func complete(cmd *cobra.Command) {
	cmd.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		words, files, dirs := config.Choices(f)
		directive := cobra.ShellCompDirectiveNoFileComp
		switch {
		case files:
			directive = cobra.ShellCompDirectiveDefault
		case dirs:
			directive = cobra.ShellCompDirectiveFilterDirs
		}
		// It fails for a flag that has its words already.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, directive))
	})
	for _, below := range cmd.Commands() {
		complete(below)
	}
}
