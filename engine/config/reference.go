package config

import (
	_ "embed"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// referencePage is docs/REFERENCE.md without its tables.
//
//go:embed reference.md
var referencePage string

// Reference returns docs/REFERENCE.md: every setting with flag, key, variable, type, default and meaning.
func Reference() string {
	s := Default()
	var l Listen
	l.PortSettings = s.clone()
	return strings.NewReplacer(
		"{settings}\n", settingTables(s),
		"{port}\n", ownTable(l.portWords(s)),
		"{secret}\n", ownTable((&NamedSecret{}).secretWords(s)),
	).Replace(referencePage)
}

// settingTables returns a table for each heading.
func settingTables(s *Settings) string {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	fs.SortFlags = false
	Register(fs, s)
	tables := map[string]*strings.Builder{}
	fs.VisitAll(func(f *pflag.Flag) {
		v := ownValue(f)
		t := tables[v.section]
		if t == nil {
			t = &strings.Builder{}
			tables[v.section] = t
			t.WriteString("## " + v.section + "\n\n| flag | key in the file | variable | type | default | meaning |\n|---|---|---|---|---|---|\n")
		}
		row(t, "`--"+v.name+"`", v.key(), "`"+Variable(v.name)+"`", v.typeText(), code(f.DefValue), v.usage)
	})
	parts := make([]string, 0, len(tables))
	for _, section := range sectionOrder(slices.Collect(maps.Keys(tables))) {
		parts = append(parts, tables[section].String())
	}
	return strings.Join(parts, "\n")
}

// ownTable returns the settings that a port or a secret may have.
func ownTable(w words) string {
	var t strings.Builder
	t.WriteString("| setting | key in the file | type | meaning |\n|---|---|---|---|\n")
	for _, v := range w.inOrder() {
		row(&t, "`"+v.name+"`", v.key(), v.typeText(), v.usage)
	}
	return t.String()
}

// row writes a line of a table.
func row(t *strings.Builder, cells ...string) {
	for i, cell := range cells {
		if cells[i] = strings.ReplaceAll(cell, "|", `\|`); cell == "" {
			cells[i] = "-"
		}
	}
	t.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

// key returns what v is called in a file.
func (v *value) key() string {
	switch {
	case v.flagOnly:
		return ""
	case v.name == "listen":
		return "`[[port]]`"
	case v.name == "secret":
		return "`[[secret]]`"
	}
	return "`" + fileKey(v.name) + "`"
}

// fileKey returns a setting's name as files spell it.
func fileKey(name string) string { return strings.ReplaceAll(name, "-", "_") }

// typeText returns the words that v takes, or what they are called.
func (v *value) typeText() string {
	text := v.kind
	if v.choices != nil && !v.open {
		text = "`" + strings.Join(v.choices, "|") + "`"
	}
	if v.list && !slices.Contains([]string{"CIDR,...", "NAME,..."}, v.kind) {
		text += ", ..."
	}
	return text
}

// code returns a text as it is typed, nothing for none.
func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}
