package config

import (
	"slices"
	"strconv"
	"strings"

	"epoxy/engine/lists"
)

// lists adds block and allow lists, and the size of tables.
func (r registrar) lists() {
	s := r.s
	r.add(&value{
		name: "list", kind: "NAME MODE SOURCE", list: true,
		parse: func(text string, first bool) error {
			spec, err := lists.ParseSpec(text)
			if first {
				s.Lists = nil
			}
			switch {
			case err != nil:
				return wrong(strings.TrimPrefix(err.Error(), "lists: "), "write NAME MODE SOURCE with a file or an https URL, such as \"bad block-drop /etc/epoxy/bad.netset\"")
			case slices.Contains(s.Lists, spec):
			case slices.ContainsFunc(s.Lists, func(o lists.Spec) bool { return o.Name == spec.Name }):
				return wrong("another list has this name", "write names that differ")
			default:
				s.Lists = append(s.Lists, spec)
			}
			return nil
		},
		show: func() string {
			texts := make([]string, len(s.Lists))
			for i, l := range s.Lists {
				texts[i] = l.String()
			}
			return strings.Join(texts, ",")
		},
	}, "a list of networks, one a line, from a file or URL: block-drop closes who is on it, block-front sends them to the front, allow-drop and allow-front do so with who is on no allow list; repeatable. A file is watched")
	r.duration(&s.ListRefresh, "list-refresh", "how often lists are downloaded")
	scalar(r, &s.TableMax, "table-max", "N", parseInt(1, maxTable), strconv.Itoa, "keys that all tables of epoxy table may hold together")
}
