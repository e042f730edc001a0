package main

import (
	"io"

	"github.com/spf13/cobra"

	"epoxy/engine/config"
)

// config makes the command for settings without serving.
func (a *app) config() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check settings, show those in force, or print the reference",
		Long: `Config is about the settings that run would have. Give check and show the flags, variables and file that run has:
a flag wins over its variable, the variable over the file, the file over the default.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.configCheck(), a.configShow(), a.configReference())
	return cmd
}

func (a *app) configCheck() *cobra.Command {
	s := config.Default()
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Say ok, or every mistake of the settings",
		Long: `Check reads flags, variables and file as run would, without doing anything. It prints ok, or every mistake with its
place and cure, and then exits with 2. What the machine has to say, such as a port in use, is not looked at.`,
		Example: `  epoxy config check --config /etc/epoxy/epoxy.toml
  EPOXY_CONFIG=/etc/epoxy/epoxy.toml epoxy config check && systemctl restart epoxy`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := a.settings(cmd, s)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				warn(a.errs, w.String())
			}
			_, err = io.WriteString(a.out, "ok\n")
			return err
		},
	}
	cmd.Flags().SortFlags = false
	config.Register(cmd.Flags(), s)
	return cmd
}

func (a *app) configShow() *cobra.Command {
	s := config.Default()
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print the settings in force and where each comes from",
		Long: `Show prints every setting as a TOML file, with its value and what set it: the default, a flag, a variable, or a line
of the file. Secrets, passwords and tokens are masked; all else can be given to --config again.`,
		Example: `  epoxy config show --config /etc/epoxy/epoxy.toml
  epoxy config show --listen :443 --domain www.example.com`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.settings(cmd, s); err != nil {
				return err
			}
			_, err := io.WriteString(a.out, config.Show(cmd.Flags(), s))
			return err
		},
	}
	cmd.Flags().SortFlags = false
	config.Register(cmd.Flags(), s)
	return cmd
}

func (a *app) configReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print every setting: flag, key, variable, type, default, meaning",
		Long:  `Reference prints every setting with its flag, key in the file, variable, type, default and meaning, as Markdown.`,
		Example: `  epoxy config reference
  epoxy config reference > docs/REFERENCE.md`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(a.out, config.Reference())
			return err
		},
	}
}
