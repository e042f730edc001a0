package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"epoxy/engine/config"
	"epoxy/engine/doctor"
)

// The exit codes of check, when something was found.
const (
	exitWarnings = 1
	exitFaults   = 2
)

func (a *app) check() *cobra.Command {
	s := config.Default()
	var o doctor.Options
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for what keeps a set-up from working",
		Long: `Check looks at the settings that run would have, at this machine and at whoever the settings name, and tells what is
wrong, each finding with its cure: clock, limits, the kernel's settings, ports, secrets, public address, domain, fronts,
and each datacenter by each way. Nothing is changed. Give it the flags, variables or file that run has, as the user that
run has; root can also tell who has a port.

It exits with 0 when nothing is worse than a note, 1 for warnings, 2 for faults.`,
		Example: `  epoxy check --listen :443 --domain www.example.com --front 127.0.0.1:8443
  epoxy check --config /etc/epoxy/epoxy.toml
  epoxy check --offline                       this machine and the settings only
  epoxy check --time-from ntp://pool.ntp.org
  epoxy check --json | jq '.findings[] | select(.level == "fault")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := a.read(cmd.Flags(), s)
			if err != nil {
				return err
			}
			var found []doctor.Finding
			for _, w := range warnings {
				if w.key == "variable" {
					o.Unknown = append(o.Unknown, w.value)
					continue
				}
				text, cure, _ := strings.Cut(w.text, "; ")
				found = append(found, doctor.Finding{Check: "settings", Name: "settings_exposed", Level: doctor.Warning, Text: text + " (" + w.value + ")", Cure: cure})
			}
			o.Mistakes = s.Validate()
			return a.examine(cmd.Context(), s, o, asJSON, found)
		},
	}
	cmd.Flags().SortFlags = false
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object instead of lines")
	f.BoolVar(&o.Offline, "offline", false, "ask nobody but this machine")
	f.StringSliceVar(&o.TimeFrom, "time-from", nil, "servers to compare the clock with: https://HOST, http://HOST or ntp://HOST; repeatable. Without it, where --telegram-config comes from")
	f.DurationVar(&o.Timeout, "timeout", 15*time.Second, "for everything together")
	config.Register(f, s)
	return cmd
}

// examine runs the doctor on s and prints what it found, and what was found before.
func (a *app) examine(ctx context.Context, s *config.Settings, o doctor.Options, asJSON bool, found []doctor.Finding) error {
	if o.Timeout <= 0 {
		return usage(errors.New("--timeout must be more than nothing; write 15s"))
	}
	if ctx == nil {
		ctx = context.Background()
	}
	kept := a.keptSecret(s)
	found = slices.Concat(found, doctor.Run(ctx, s, o), kept)
	worst := doctor.Worst(found)
	if asJSON {
		if err := a.printJSON(found, worst); err != nil {
			return err
		}
	} else {
		a.printFindings(found)
	}
	code := map[doctor.Level]int{doctor.Warning: exitWarnings, doctor.Fault: exitFaults}[worst]
	if code == exitOK {
		return nil
	}
	counts := map[doctor.Level]int{}
	for _, f := range found {
		counts[f.Level]++
	}
	return &exitError{code, fmt.Errorf("check: faults: %d, warnings: %d", counts[doctor.Fault], counts[doctor.Warning])}
}

// keptSecret gives s the secret that run made and keeps, if there is one that can be read.
func (a *app) keptSecret(s *config.Settings) []doctor.Finding {
	if len(s.Secrets) > 0 || s.StateDir == "" {
		return nil
	}
	kept, err := readSecret(s.StateDir)
	switch {
	case err == nil:
		s.Secrets = []config.NamedSecret{{Name: "secret1", Secret: kept}}
	case !errors.Is(err, fs.ErrNotExist):
		level := doctor.Fault
		if errors.Is(err, os.ErrPermission) {
			level = doctor.Note // of another user, who can
		}
		what, cure, _ := strings.Cut(err.Error(), "; ")
		return []doctor.Finding{{Check: "secrets", Name: "secret_kept", Level: level, Text: what, Cure: cure}}
	}
	return nil
}

// printJSON prints the findings for programs.
func (a *app) printJSON(found []doctor.Finding, worst doctor.Level) error {
	type finding struct {
		Check string       `json:"check"`
		Name  string       `json:"name,omitempty"`
		Level doctor.Level `json:"level"`
		Text  string       `json:"text"`
		Cure  string       `json:"cure,omitempty"`
		Took  float64      `json:"took_ms"`
	}
	out := struct {
		Level    doctor.Level `json:"level"`
		Findings []finding    `json:"findings"`
	}{Level: worst}
	for _, f := range found {
		out.Findings = append(out.Findings, finding{f.Check, f.Name, f.Level, f.Text, f.Cure, float64(f.Took.Microseconds()) / 1000})
	}
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

// printFindings prints the findings for people, by check; a cure that several share in a row stands once.
func (a *app) printFindings(found []doctor.Finding) {
	marks := map[doctor.Level]string{doctor.OK: "ok  ", doctor.Note: "note", doctor.Warning: "WARN", doctor.Fault: "FAIL"}
	check := ""
	for i, f := range found {
		if f.Check != check {
			check = f.Check
			fmt.Fprintln(a.out, check)
		}
		fmt.Fprintf(a.out, "  %s  %s\n", marks[f.Level], f.Text)
		if last := i+1 == len(found) || found[i+1].Cure != f.Cure || found[i+1].Check != f.Check; f.Cure != "" && last {
			fmt.Fprintln(a.out, "        -> "+f.Cure)
		}
	}
}
