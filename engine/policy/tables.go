package policy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrFull is why a key was not added.
var ErrFull = errors.New("policy: the tables are full; raise --table-max, or delete what is not needed")

// Change is one key that came into a table or left it.
type Change struct {
	Table string
	Key   Key
	Added bool
}

// A Store is told of every change, in order, under the tables' lock: it must be quick and may not call
// back. The slice is valid during the call.
type Store interface{ Changed([]Change) }

// Tables are named sets of keys that change while the proxy runs. All methods may be called by anybody.
// Has, which the loops call, waits for nobody but a writer that puts up to 1,024 keys into the same table.
type Tables struct {
	names atomic.Pointer[map[string]*table] // replaced when a table comes or goes

	mu    sync.Mutex // for writers, guards what follows
	max   int
	n     int
	store Store
	log   []Change // reused
}

type table struct {
	mu   sync.RWMutex
	keys map[Key]struct{}
}

// NewTables returns tables that hold up to most keys together; 0 is DefaultMax.
func NewTables(most int) *Tables {
	t := &Tables{max: cmp.Or(most, DefaultMax)}
	t.names.Store(&map[string]*table{})
	return t
}

// Keep has s told of all changes from now on.
func (t *Tables) Keep(s Store) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.store = s
}

// Has reports whether key is in the table. There are no keys in a table that is not there.
func (t *Tables) Has(name string, key Key) bool {
	tab := (*t.names.Load())[name]
	if tab == nil {
		return false
	}
	tab.mu.RLock()
	_, ok := tab.keys[key]
	tab.mu.RUnlock()
	return ok
}

// Add puts keys into a table, which is made when missing, and returns how many were new. The error is
// ErrFull, with the keys before the one that did not fit added, or about the name.
func (t *Tables) Add(name string, keys ...Key) (added int, err error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	tab := (*t.names.Load())[name]
	if tab == nil {
		if len(*t.names.Load()) >= maxTables {
			return 0, fmt.Errorf("policy: more than %d tables; delete some", maxTables)
		}
		tab = &table{keys: make(map[Key]struct{})}
		t.put(name, tab)
	}
	for some := range slices.Chunk(keys, batch) {
		n, err := t.add(name, tab, some)
		added += n
		if err != nil {
			t.forget(name, tab)
			return added, err
		}
	}
	t.forget(name, tab)
	return added, nil
}

// add puts a batch into tab.
func (t *Tables) add(name string, tab *table, keys []Key) (added int, err error) {
	tab.mu.Lock()
	for _, k := range keys {
		if _, ok := tab.keys[k]; ok || k == (Key{}) {
			continue
		}
		if t.n >= t.max {
			err = ErrFull
			break
		}
		tab.keys[k] = struct{}{}
		t.n++
		added++
		t.note(Change{Table: name, Key: k, Added: true})
	}
	tab.mu.Unlock()
	t.tell()
	return added, err
}

// Del takes keys out of a table and returns how many were there. An empty table is no more.
func (t *Tables) Del(name string, keys ...Key) (deleted int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tab := (*t.names.Load())[name]
	if tab == nil {
		return 0
	}
	for some := range slices.Chunk(keys, batch) {
		tab.mu.Lock()
		for _, k := range some {
			if _, ok := tab.keys[k]; ok {
				delete(tab.keys, k)
				t.n--
				deleted++
				t.note(Change{Table: name, Key: k})
			}
		}
		tab.mu.Unlock()
		t.tell()
	}
	t.forget(name, tab)
	return deleted
}

// Drop deletes a table and returns how many keys it had.
func (t *Tables) Drop(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	tab := (*t.names.Load())[name]
	if tab == nil {
		return 0
	}
	t.put(name, nil)
	for k := range tab.keys { // only readers that began before are left
		t.note(Change{Table: name, Key: k})
		if len(t.log) == batch {
			t.tell()
		}
	}
	t.tell()
	t.n -= len(tab.keys)
	return len(tab.keys)
}

// put sets or, with nil, removes a name.
func (t *Tables) put(name string, tab *table) {
	names := maps.Clone(*t.names.Load())
	if names[name] = tab; tab == nil {
		delete(names, name)
	}
	t.names.Store(&names)
}

// forget removes tab when it is empty.
func (t *Tables) forget(name string, tab *table) {
	if len(tab.keys) == 0 {
		t.put(name, nil)
	}
}

func (t *Tables) note(c Change) {
	if t.store != nil {
		t.log = append(t.log, c)
	}
}

func (t *Tables) tell() {
	if len(t.log) > 0 {
		t.store.Changed(t.log)
		t.log = t.log[:0]
	}
}

// Info is a table's name and size.
type Info struct {
	Name string
	Len  int
}

// Names returns all tables, by name.
func (t *Tables) Names() []Info {
	var all []Info
	for name, tab := range *t.names.Load() {
		tab.mu.RLock()
		all = append(all, Info{name, len(tab.keys)})
		tab.mu.RUnlock()
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Len returns how many keys all tables hold.
func (t *Tables) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// Max returns how many keys all tables may hold.
func (t *Tables) Max() int { return t.max }

// List returns a table's keys by kind and value, networks and addresses by number.
func (t *Tables) List(name string) []Key {
	tab := (*t.names.Load())[name]
	if tab == nil {
		return nil
	}
	tab.mu.RLock()
	keys := slices.AppendSeq(make([]Key, 0, len(tab.keys)), maps.Keys(tab.keys))
	tab.mu.RUnlock()
	slices.SortFunc(keys, compare)
	return keys
}

func compare(a, b Key) int {
	if c := cmp.Compare(a.kind, b.kind); c != 0 {
		return c
	}
	if a.text != b.text {
		return strings.Compare(a.text, b.text)
	}
	return cmp.Or(bytes.Compare(a.ip[:], b.ip[:]), cmp.Compare(a.bits, b.bits))
}
