package config

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/pflag"
)

// FromFile fills the settings behind fs from text, the TOML file called name, for every flag that neither command line
// nor variable set; call it after FromEnv. A key is a flag's name with _ or - between its words; [[port]] and [[secret]] are tables
// for --listen and --secret with what each may have of its own. Mistakes are told by Validate, with file and line. It
// reports whether the file holds something secret.
func FromFile(fs *pflag.FlagSet, s *Settings, name string, text []byte) (secrets bool) {
	f := file{fs: fs, s: s, name: filepath.Base(name), text: text, seen: map[string]bool{}, taken: map[string]bool{}}
	f.parser.Reset(text)
	for f.parser.NextExpression() {
		f.expression(f.parser.Expression())
	}
	if err := f.parser.Error(); err != nil {
		f.broken(err)
	}
	f.flush()
	return f.secrets
}

// file is one reading of a settings file.
type file struct {
	fs      *pflag.FlagSet
	s       *Settings
	name    string
	text    []byte
	parser  unstable.Parser
	seen    map[string]bool // keys of the table that is being read
	taken   map[string]bool // lists that the file has begun
	table   string          // port, secret or none
	at      string          // where the table began
	own     []setting       // of it
	secrets bool            // some were seen
}

// place names a line.
func (f *file) place(n *unstable.Node) string {
	if n == nil || n.Raw.Length == 0 {
		return f.name
	}
	return f.name + ":" + strconv.Itoa(f.parser.Shape(n.Raw).Start.Line)
}

func (f *file) wrong(where, value, problem, cure string) {
	f.s.mistakes = append(f.s.mistakes, &Mistake{Where: where, Value: value, Problem: problem, Cure: cure})
}

// broken tells what is no TOML.
func (f *file) broken(err error) {
	where, what := f.name, err.Error()
	if p, ok := errors.AsType[*unstable.ParserError](err); ok {
		what = p.Message
		if len(p.Highlight) > 0 {
			where += ":" + strconv.Itoa(f.parser.Shape(f.parser.Range(p.Highlight)).Start.Line)
		}
	}
	f.wrong(where, "", "is not TOML: "+strings.TrimPrefix(what, "toml: "), "write KEY = \"VALUE\", [[port]] or [[secret]]")
}

// expression takes one line or table head.
func (f *file) expression(n *unstable.Node) {
	it := n.Key()
	var keys []*unstable.Node
	for it.Next() {
		keys = append(keys, it.Node())
	}
	var words []string
	for _, k := range keys {
		words = append(words, string(k.Data))
	}
	key, where := strings.Join(words, "."), f.place(keys[0])
	switch n.Kind {
	case unstable.ArrayTable:
		f.flush()
		clear(f.seen)
		if f.table, f.at = key, where; key != "port" && key != "secret" {
			f.wrong(where, "[["+harmlessWord(key)+"]]", "is not a table of ours", nearest(key, []string{"port", "secret"}))
			f.table = "unknown"
		}
	case unstable.Table:
		f.flush()
		f.table, f.at = "unknown", where
		f.wrong(where, "["+harmlessWord(key)+"]", "is not a table of ours", "write [["+harmlessWord(key)+"]] for a port or secret, and all else above the tables")
	case unstable.KeyValue:
		name := strings.ReplaceAll(key, "_", "-")
		if f.seen[name] {
			f.wrong(where, harmlessWord(key), "stands here twice", "leave one of them out")
		}
		f.seen[name] = true
		if v := ownValue(f.fs.Lookup(name)); v != nil && v.hidden {
			f.secrets = true
		}
		texts, ok := f.texts(n.Value())
		switch {
		case !ok:
			f.wrong(where, harmlessWord(key), "has a table or a nested list as its value", "write text, a number, true, false, or a list of these")
		case f.table == "":
			f.set(name, key, texts, where)
		default:
			f.own = append(f.own, setting{name: name, text: strings.Join(texts, ","), where: where + ": " + key})
		}
	default: //exhaustive:ignore comments
	}
}

// texts returns a value, or each of a list.
func (f *file) texts(n *unstable.Node) ([]string, bool) {
	switch n.Kind {
	case unstable.Array:
		var all []string
		for it := n.Children(); it.Next(); {
			one, ok := f.texts(it.Node())
			if !ok || it.Node().Kind == unstable.Array {
				return nil, false
			}
			all = append(all, one...)
		}
		return all, true
	case unstable.String, unstable.Bool, unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime, unstable.Float:
		return []string{string(n.Data)}, true
	case unstable.Integer:
		return []string{strings.ReplaceAll(string(n.Data), "_", "")}, true
	default: //exhaustive:ignore
		return nil, false
	}
}

// set gives a key above the tables to its flag.
func (f *file) set(name, key string, texts []string, where string) {
	flag := f.fs.Lookup(name)
	v := ownValue(flag)
	if v == nil || v.flagOnly {
		var known []string
		f.fs.VisitAll(func(o *pflag.Flag) {
			if k := ownValue(o); k != nil && !k.flagOnly {
				known = append(known, o.Name)
			}
		})
		f.wrong(where, harmlessWord(key), "is not a setting", nearest(name, known))
		return
	}
	if flag.Hidden || flag.Changed && !f.taken[name] {
		return // not for this command, or a flag or variable says otherwise
	}
	flag.Changed, f.taken[name] = true, true
	f.s.setSource(name, where+": "+key)
	if !v.list {
		texts = []string{strings.Join(texts, ",")}
	}
	for _, t := range texts {
		pieces := []string{t}
		if v.list {
			pieces = v.split(t)
		}
		for _, p := range pieces {
			_ = v.Set(p) // Set never fails
		}
	}
}

// flush ends the table that was read.
func (f *file) flush() {
	own := f.own
	f.own = nil
	switch f.table {
	case "port":
		f.endTable("listen", own, func(place string, rest []setting) {
			l, err := ParseListen(place)
			if err != nil {
				f.refuse(f.at+": listen", place, err)
				return
			}
			l.Name, rest = cutWord(rest, "name")
			if l.Name != "" {
				if err := checkName(l.Name); err != nil {
					f.refuse(f.at+": name", l.Name, err)
				}
			}
			l.own = append(l.own, rest...)
			if !f.taken["listen"] {
				f.s.Listen, f.s.listens = nil, true
			}
			f.taken["listen"] = true
			f.s.Listen = append(f.s.Listen, l)
			f.s.setSource("listen", f.at+": [[port]]")
			f.s.setSource(nth("listen", len(f.s.Listen)-1), f.at)
		})
	case "secret":
		f.endTable("secret", own, func(text string, rest []setting) {
			n, err := ParseSecret(text)
			if err != nil {
				f.refuse(f.at+": secret", "", err)
				return
			}
			n.Name, rest = cutWord(rest, "name")
			if n.Name != "" {
				if err := checkName(n.Name); err != nil {
					f.refuse(f.at+": name", n.Name, err)
				}
			}
			n.own = append(n.own, rest...)
			if !f.taken["secret"] {
				f.s.Secrets = nil
			}
			f.taken["secret"] = true
			f.s.Secrets = append(f.s.Secrets, n)
			f.s.setSource("secret", f.at+": [[secret]]")
			f.s.setSource(nth("secret", len(f.s.Secrets)-1), f.at)
		})
	}
}

// endTable hands the word that a table is about, and the others, to add, unless flag or variable say otherwise.
func (f *file) endTable(flag string, own []setting, add func(text string, rest []setting)) {
	if p := f.fs.Lookup(flag); p == nil || p.Changed && !f.taken[flag] {
		return
	}
	text, rest := cutWord(own, flag)
	if text == "" {
		f.wrong(f.at, "[["+f.table+"]]", "has no "+flag, "write "+flag+" = \"...\" below it")
		return
	}
	add(text, rest)
}

// cutWord takes the setting called name out of own.
func cutWord(own []setting, name string) (text string, rest []setting) {
	i := slices.IndexFunc(own, func(o setting) bool { return o.name == name })
	if i < 0 {
		return "", own
	}
	return own[i].text, slices.Delete(slices.Clone(own), i, i+1)
}

// refuse tells what a parser said.
func (f *file) refuse(where, value string, err error) {
	m := Mistake{Problem: err.Error()}
	if w, ok := errors.AsType[*Mistake](err); ok {
		m = *w
	}
	m.Where = where
	m.tell(value)
	f.s.mistakes = append(f.s.mistakes, &m)
}
