package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// follower keeps what a Store is told of.
type follower map[string]map[Key]bool

func (f follower) Changed(changes []Change) {
	for _, c := range changes {
		if f[c.Table] == nil {
			f[c.Table] = map[Key]bool{}
		}
		if f[c.Table][c.Key] == c.Added {
			panic(fmt.Sprintf("%v: told twice", c))
		}
		if f[c.Table][c.Key] = true; !c.Added {
			delete(f[c.Table], c.Key)
		}
	}
}

// TestTablesModel compares tables, and what a Store is told, with a map.
func TestTablesModel(t *testing.T) {
	const most = 12
	rapid.Check(t, func(t *rapid.T) {
		tables, store, model := NewTables(most), follower{}, map[string]map[Key]bool{}
		tables.Keep(store)
		name := rapid.SampledFrom([]string{"a", "b", "c"})
		keys := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 9), func(i int) Key { return Key{kind: Port, text: fmt.Sprint(i)} }), 0, 6)
		total := func() (n int) {
			for _, m := range model {
				n += len(m)
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				name, keys := name.Draw(t, "name"), keys.Draw(t, "keys")
				want, full := 0, false
				for _, k := range keys {
					if model[name][k] {
						continue
					}
					if full = total() == most; full {
						break
					}
					if model[name] == nil {
						model[name] = map[Key]bool{}
					}
					model[name][k] = true
					want++
				}
				if n, err := tables.Add(name, keys...); n != want || errors.Is(err, ErrFull) != full {
					t.Fatalf("added %d, %v; want %d, full %v", n, err, want, full)
				}
			},
			"del": func(t *rapid.T) {
				name, keys := name.Draw(t, "name"), keys.Draw(t, "keys")
				want := 0
				for _, k := range keys {
					if model[name][k] {
						want++
						delete(model[name], k)
					}
				}
				if n := tables.Del(name, keys...); n != want {
					t.Fatalf("deleted %d, want %d", n, want)
				}
			},
			"drop": func(t *rapid.T) {
				name := name.Draw(t, "name")
				if n := tables.Drop(name); n != len(model[name]) {
					t.Fatalf("dropped %d, want %d", n, len(model[name]))
				}
				delete(model, name)
			},
			"": func(t *rapid.T) {
				var names []Info
				for _, name := range []string{"a", "b", "c"} {
					list := tables.List(name)
					if len(list) != len(model[name]) || len(list) != len(store[name]) || !slices.IsSortedFunc(list, compare) {
						t.Fatalf("%s: %v, %v, %v", name, list, model[name], store[name])
					}
					for _, k := range list {
						if !model[name][k] || !store[name][k] || !tables.Has(name, k) {
							t.Fatalf("%s: %v", name, k)
						}
					}
					if len(list) > 0 {
						names = append(names, Info{name, len(list)})
					}
				}
				if !slices.Equal(names, tables.Names()) || tables.Len() != total() {
					t.Fatalf("%v, %d", tables.Names(), tables.Len())
				}
			},
		})
	})
}

func TestImport(t *testing.T) {
	tables := NewTables(3)
	if n, err := tables.Import("x", "port a\nport b\nport a\n"); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := tables.Import("x", "port a\nport b\nport c"); n != 1 || err != nil {
		t.Errorf("as much as fits: %d, %v", n, err)
	}
	if n, err := tables.Import("x", "port d\nport a"); n != 0 || !errors.Is(err, ErrFull) || tables.Len() != 3 {
		t.Errorf("more than fits: %d, %v", n, err)
	}
	if got := string(tables.Export("x")); got != "port a\nport b\nport c\n" {
		t.Errorf("exported %q", got)
	}
	_, err := tables.Import("y", "port a\n\n# comment\nport\nip 1\n")
	if err == nil || !strings.Contains(err.Error(), "line 4: ") || !strings.Contains(err.Error(), "line 5: ") || len(tables.List("y")) != 0 {
		t.Errorf("bad lines: %v", err)
	}
	if _, err = ParseLines(strings.Repeat("x\n", 1000)); strings.Count(err.Error(), "\n") != maxMistakes-1 {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"", "a b", "a/b", "ä", strings.Repeat("a", maxName+1)} {
		if _, err := tables.Add(name, Key{kind: Port, text: "x"}); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
}

func TestTooManyTables(t *testing.T) {
	tables := NewTables(0)
	k := Key{kind: Port, text: "x"}
	for i := range maxTables {
		if _, err := tables.Add(fmt.Sprint(i), k); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tables.Add("more", k); err == nil {
		t.Error("one table more is taken")
	}
}

// TestReadersAndWriters asks while tables come and go; -race watches.
func TestReadersAndWriters(t *testing.T) {
	tables := NewTables(0)
	var keys []Key
	for i := range 3 * batch {
		keys = append(keys, Key{kind: Port, text: fmt.Sprint(i)})
	}
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					tables.Has("a", keys[7])
					tables.Names()
					tables.List("b")
				}
			}
		})
		writers.Go(func() {
			for i := range 20 {
				tables.Add("a", keys...)
				tables.Add("b", keys[i])
				tables.Del("a", keys[:2*batch]...)
				tables.Drop("b")
				tables.Drop("a")
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if tables.Len() != 0 || len(tables.Names()) != 0 {
		t.Errorf("%d keys, %v", tables.Len(), tables.Names())
	}
}
