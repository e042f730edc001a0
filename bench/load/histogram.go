package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations in buckets that are 1/64 wide of their value, so a quantile is right within 1.6 %.
// The zero value is ready. It allocates nothing.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	most   time.Duration
}

const (
	subBits = 6
	buckets = (40 - subBits) << subBits // up to 2^39 ns, 9 minutes
)

func bucket(ns uint64) int {
	if ns < 1<<subBits {
		return int(ns)
	}
	shift := bits.Len64(ns) - subBits - 1
	return min((shift<<subBits)+int(ns>>shift), buckets-1)
}

// floor is the least value of a bucket.
func floor(i int) uint64 {
	if i < 1<<subBits {
		return uint64(i)
	}
	shift := i>>subBits - 1
	return uint64(i-shift<<subBits) << shift
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(uint64(max(d, 0)))]++
	h.total++
	h.most = max(h.most, d)
}

// Merge adds all that other counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.most = max(h.most, other.most)
}

// Count returns how many durations there are.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the longest one.
func (h *Histogram) Max() time.Duration { return h.most }

// Quantile returns the duration that a share q of all, 0..1, does not pass; 0 when there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.total))
	var seen uint64
	for i, n := range h.counts {
		if seen += n; n > 0 && seen > rank {
			return time.Duration(floor(i))
		}
	}
	return h.most
}
