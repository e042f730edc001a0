package logs

// Sampler lets through so many lines a second, and bursts of as many. It belongs to one loop; the zero Sampler is full.
type Sampler struct {
	at      int64 // loop time in ms for which spent counts
	spent   int64 // thousandths of lines
	dropped uint64
}

// Take reports whether a line may be written at loop time now, in ms, when rate lines a second may; 0 is all. dropped is how
// many were refused since the last one that was written.
func (s *Sampler) Take(now int64, rate int) (dropped uint64, ok bool) {
	if rate > 0 {
		s.spent = max(0, s.spent-(now-s.at)*int64(rate))
		s.at = now
		if s.spent > int64(rate-1)*second {
			s.dropped++
			return 0, false
		}
		s.spent += second
	}
	dropped, s.dropped = s.dropped, 0
	return dropped, true
}

// second is ms in one, and so thousandths of a line that a rate of one gives in one.
const second = 1000
