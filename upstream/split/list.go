package split

// paceStep is the time in ms between two steps of paced ends.
const paceStep = 16

// paceOf returns how many of n that are to end until end have to go now.
func paceOf(n int, now, end int64) int {
	if n == 0 {
		return 0
	}
	steps := max((end-now)/paceStep, 1)
	return min(n, max(n/int(steps), paceLeast))
}

// list is a set of streams, each of which knows its place: a stream is in one list at a time.
type list []*Stream

func (l *list) add(s *Stream) {
	s.place = uint32(len(*l))
	*l = append(*l, s)
}

func (l *list) remove(s *Stream) {
	last := len(*l) - 1
	moved := (*l)[last]
	(*l)[s.place] = moved
	moved.place = s.place
	(*l)[last] = nil
	*l = (*l)[:last]
}
