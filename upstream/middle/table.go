package middle

// table finds streams by the id that they have on their link:
//
//	loop 8 bits | slot 24 bits | generation 32 bits, from 1
//
// Each use of a slot, and each change of links, takes the next generation, so that a late answer meets nobody
// (spec upstream-protocols 3.2).
type table struct {
	base  uint64
	slots []entry
	free  []uint32
}

const (
	slotShift = 32
	slotMask  = 1<<24 - 1
)

type entry struct {
	stream *Stream
	gen    uint32
}

// add returns an id for a stream that has none.
func (t *table) add(s *Stream) uint64 {
	slot := uint64(len(t.slots))
	if n := len(t.free); n > 0 {
		slot = uint64(t.free[n-1])
		t.free = t.free[:n-1]
		t.slots[slot].stream = s
	} else {
		t.slots = append(t.slots, entry{stream: s})
	}
	return t.renew(slot << slotShift)
}

// renew returns the next id in the place of one.
func (t *table) renew(id uint64) uint64 {
	slot := id >> slotShift & slotMask
	e := &t.slots[slot]
	if e.gen++; e.gen == 0 {
		e.gen = 1
	}
	return t.base | slot<<slotShift | uint64(e.gen)
}

// find returns the stream with this id, nil when there is none.
func (t *table) find(id uint64) *Stream {
	slot := id >> slotShift & slotMask
	if slot >= uint64(len(t.slots)) {
		return nil
	}
	if s := t.slots[slot].stream; s != nil && s.id == id {
		return s
	}
	return nil
}

// remove frees the slot of an id.
func (t *table) remove(id uint64) {
	slot := id >> slotShift & slotMask
	t.slots[slot].stream = nil
	t.free = append(t.free, uint32(slot))
}

// list is a set of streams, each of which knows its place: a stream is in one list at a time.
type list []*Stream

func (l *list) add(s *Stream) {
	s.at = uint32(len(*l))
	*l = append(*l, s)
}

func (l *list) remove(s *Stream) {
	last := len(*l) - 1
	moved := (*l)[last]
	(*l)[s.at] = moved
	moved.at = s.at
	(*l)[last] = nil
	*l = (*l)[:last]
}
