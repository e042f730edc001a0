package admin

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"epoxy/engine/policy"
)

func (a *api) getTables(http.ResponseWriter, *http.Request) (any, error) {
	return append([]TableInfo{}, a.control.Tables()...), nil
}

// getTable writes a table as JSON, or as lines "KEY VALUE" where text/plain is asked for.
func (a *api) getTable(w http.ResponseWriter, r *http.Request) (any, error) {
	name, err := tableName(r)
	if err != nil {
		return nil, err
	}
	keys, err := a.control.Table(name)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.Header.Get("Accept"), "text/plain") {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		lines := bufio.NewWriter(w)
		for _, k := range keys {
			_, _ = lines.WriteString(k.String() + "\n")
		}
		_ = lines.Flush() // the asker went away
		return nil, nil
	}
	entries := make([]Entry, len(keys))
	for i, k := range keys {
		entries[i] = Entry{Key: k.Kind().String(), Value: k.Value()}
	}
	return entries, nil
}

func (a *api) postTable(_ http.ResponseWriter, r *http.Request) (any, error) {
	name, keys, err := takeKeys(r)
	if err != nil {
		return nil, err
	}
	n, err := a.control.AddKeys(name, keys)
	return Changed{Added: n}, err
}

func (a *api) deleteTable(_ http.ResponseWriter, r *http.Request) (any, error) {
	name, keys, err := takeKeys(r)
	if err != nil {
		return nil, err
	}
	n, err := a.control.DelKeys(name, keys)
	return Changed{Deleted: n}, err
}

func tableName(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if err := policy.CheckName(name); err != nil {
		return "", badRequest{err}
	}
	return name, nil
}

// takeKeys reads the keys that a request brings, a JSON list of Entry or lines "KEY VALUE". With a wrong one there are none.
func takeKeys(r *http.Request) (table string, keys []policy.Key, err error) {
	if table, err = tableName(r); err != nil {
		return "", nil, err
	}
	if mediaType(r) == "text/plain" {
		lines, err := io.ReadAll(r.Body)
		if err != nil {
			return "", nil, badRequest{fmt.Errorf("admin: the body did not come: %w", err)}
		}
		if keys, err = policy.ParseLines(string(lines)); err != nil {
			return "", nil, badRequest{err}
		}
		return table, keys, printable(keys)
	}
	var entries []Entry
	if err := take(r, &entries); err != nil {
		return "", nil, err
	}
	keys = make([]policy.Key, len(entries))
	for i, e := range entries {
		kind, err := policy.ParseKind(e.Key)
		if err != nil {
			return "", nil, badRequest{err}
		}
		if keys[i], err = policy.ParseKey(kind, e.Value); err != nil {
			return "", nil, badRequest{err}
		}
	}
	return table, keys, printable(keys)
}

// printable refuses keys that JSON cannot give back: they are no UTF-8.
func printable(keys []policy.Key) error {
	for _, k := range keys {
		if strings.ContainsRune(k.Value(), utf8.RuneError) {
			return badRequest{fmt.Errorf("admin: %q is no UTF-8; write a domain outside of ASCII in its xn-- form", k.Value())}
		}
	}
	return nil
}
