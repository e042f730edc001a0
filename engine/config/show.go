package config

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// hiddenText is what stands in place of a secret of which nothing may be shown.
const hiddenText = "***"

// Show returns the settings behind fs, which Register filled and Validate found right, as a file for FromFile: every
// key with its value and, in a comment, what set it; then ports and secrets with what each has of its own. Secrets,
// passwords and tokens are masked, so it has to be given those again.
func Show(fs *pflag.FlagSet, s *Settings) string {
	var b strings.Builder
	b.WriteString("# The settings in force")
	if s.File != "" {
		b.WriteString(", with those of " + s.File)
	}
	b.WriteString(". Secrets are masked.\n")
	sections := map[string][]string{}
	fs.VisitAll(func(f *pflag.Flag) {
		if v := ownValue(f); v != nil && !v.flagOnly && v.name != "listen" && v.name != "secret" {
			sections[v.section] = append(sections[v.section], line(v.name, v.literal())+"  # "+s.cause(f))
		}
	})
	for _, section := range sectionOrder(slices.Collect(maps.Keys(sections))) {
		b.WriteString("\n# " + section + "\n" + strings.Join(sections[section], "\n") + "\n")
	}
	for i := range s.Listen {
		l := &s.Listen[i]
		own := []string{line("name", literal(l.Name)), line("listen", literal(l.Endpoint.String()))}
		b.WriteString(table("port", s.causeOf(fs.Lookup("listen"), i), append(own, l.portWords(s).lines(l.own)...)))
	}
	for i := range s.Secrets {
		n := &s.Secrets[i]
		own := []string{line("name", literal(n.Name)), line("secret", literal(n.Secret.Masked()))}
		b.WriteString(table("secret", s.causeOf(fs.Lookup("secret"), i), append(own, n.secretWords(s).lines(n.own)...)))
	}
	if len(s.Secrets) == 0 {
		b.WriteString("\n# There is no secret: epoxy run makes one, and keeps it in state_dir.\n")
	}
	return b.String()
}

// sectionOrder sorts headings as docs/REFERENCE.md has them.
func sectionOrder(sections []string) []string {
	order := []string{partClients, partStrangers, partAdmission, partTelegram, partMiddle, partSplit, partSize, partTimes, partSockets, partOperating}
	slices.SortFunc(sections, func(a, b string) int {
		return cmp.Or(slices.Index(order, a)-slices.Index(order, b), strings.Compare(a, b))
	})
	return sections
}

// cause names what set a flag: the flag itself, a variable, a line of the file, or nothing.
func (s *Settings) cause(f *pflag.Flag) string {
	if f == nil || !f.Changed {
		return "default"
	}
	where := s.where(f.Name)
	if place, _, found := strings.Cut(where, ": "); found {
		return place // the line of a file, without the key
	}
	return where
}

// causeOf names what brought the ith of a flag's list, for what is a table in a file.
func (s *Settings) causeOf(f *pflag.Flag, i int) string {
	if place, ok := s.source[nth(f.Name, i)]; ok {
		return place
	}
	return s.cause(f)
}

// nth is the key of a table's place in Settings.source.
func nth(flag string, i int) string { return flag + " " + strconv.Itoa(i) }

// table returns a [[port]] or [[secret]].
func table(name, cause string, lines []string) string {
	return "\n[[" + name + "]]  # " + cause + "\n" + strings.Join(lines, "\n") + "\n"
}

// lines returns the words that own gives, each once.
func (w words) lines(own []setting) (lines []string) {
	for _, v := range w.inOrder() {
		if slices.ContainsFunc(own, func(o setting) bool { return o.name == v.name }) {
			lines = append(lines, line(v.name, v.literal()))
		}
	}
	return lines
}

func line(name, value string) string { return fileKey(name) + " = " + value }

// literal returns v's present value as a file has it.
func (v *value) literal() string {
	var text string
	switch {
	case !v.hidden:
		text = v.show()
	case v.masked != nil:
		text = v.masked()
	case v.touched:
		text = hiddenText
	}
	switch {
	case v.kind == kindBool:
		return text
	case !v.list:
		return literal(withoutPassword(text))
	}
	pieces := v.split(text)
	for i, p := range pieces {
		pieces[i] = quoted(withoutPassword(p))
	}
	return "[" + strings.Join(pieces, ", ") + "]"
}

// withoutPassword returns a text whose URL, if it has one, has lost its user and password.
func withoutPassword(text string) string {
	before, rest, ok := strings.Cut(text, "://")
	host := rest
	if i := strings.IndexAny(rest, "/?# "); i >= 0 {
		host = rest[:i]
	}
	at := strings.LastIndexByte(host, '@')
	if !ok || at < 0 {
		return text
	}
	return before + "://..." + rest[at:]
}

// literal returns a number bare and all else quoted.
func literal(text string) string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return text
	}
	return quoted(text)
}

// quoted returns text as a basic string of TOML, which knows fewer escapes than Go.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u00`)
			b.WriteByte("0123456789abcdef"[r>>4])
			b.WriteByte("0123456789abcdef"[r&15])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
