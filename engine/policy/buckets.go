package policy

import (
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Rate is how often something may happen: a token bucket that holds Burst and refills at PerSecond. The zero
// Rate is no limit.
type Rate struct {
	PerSecond float64
	Burst     int // below 1 counts as 1
}

// gap and depth are a Rate in nanoseconds: between two events, and of a full bucket less one event.
func (r Rate) gap() int64 {
	if r.PerSecond <= 0 {
		return 0
	}
	return int64(min(max(1e9/r.PerSecond, 1), 1e15)) // not slower than one in 11 days
}

func (r Rate) depth() int64 {
	n := int64(max(r.Burst, 1) - 1)
	if g := r.gap(); g > 0 && n > math.MaxInt64/8/g {
		return math.MaxInt64 / 8
	}
	return n * r.gap()
}

// BucketOptions sizes the Buckets. What is zero is the default or no limit.
type BucketOptions struct {
	Process Rate
	Network Rate
	Bits4   int // prefix length of an IPv4 network, from 1 to 32
	Bits6   int // of an IPv6 network, from 1 to 128
	Places  int // networks remembered at once, rounded up to a power of two; 24 bytes each
}

// Pace is what Buckets say of a connection.
type Pace uint8

// What Buckets say.
const (
	PaceOK      Pace = iota
	PaceProcess      // too many connections in all
	PaceNetwork      // too many connections from this network
)

// String returns the word of p, for logs and metrics.
func (p Pace) String() string {
	switch p {
	case PaceOK:
		return "ok"
	case PaceProcess:
		return "process_rate"
	case PaceNetwork:
		return "network_rate"
	}
	return "pace"
}

// Buckets limit the rate of accepted connections, per process and per network, in fixed memory. They are
// shared by all loops and exact over them: SO_REUSEPORT spreads one network over the loops, and one short
// lock at accept costs less than being wrong by the number of loops.
//
// A bucket is kept as one time: when it will be full again. So a full bucket needs no place, and of a full
// row of eight places the bucket that is nearest to full is forgotten.
type Buckets struct {
	// fixed by NewBuckets
	seed         maphash.Seed
	bits4, bits6 uint8
	process, net pace
	mask         uint64 // of the rows of a shard

	full   atomic.Int64 // the process's bucket: when it is full again, ns
	shards [bucketShards]bucketShard
}

type pace struct{ gap, depth int64 }

type bucketShard struct {
	mu     sync.Mutex
	places []bucket // rows of ways
	_      [32]byte // a cache line of its own
}

type bucket struct {
	hi, lo uint64 // the network
	full   int64  // ns; what is past is an empty place
}

// NewBuckets takes all memory that the Buckets will ever have.
func NewBuckets(o BucketOptions) *Buckets {
	b := &Buckets{
		seed:    maphash.MakeSeed(),
		bits4:   96 + uint8(number(o.Bits4, DefaultBits4, 32)),
		bits6:   uint8(number(o.Bits6, DefaultBits6, 128)),
		process: pace{o.Process.gap(), o.Process.depth()},
		net:     pace{o.Network.gap(), o.Network.depth()},
	}
	if b.net.gap == 0 {
		return b
	}
	places := number(o.Places, DefaultBuckets, maxBuckets)
	places = 1 << bits.Len(uint(max(places, minBuckets)-1))
	rows := places / bucketShards / ways
	b.mask = uint64(rows - 1)
	for i := range b.shards {
		b.shards[i].places = make([]bucket, rows*ways)
	}
	return b
}

// number returns n, or without one the default, up to most.
func number(n, without, most int) int {
	if n <= 0 {
		n = without
	}
	return min(n, most)
}

// Take asks for one connection from addr at now, in ms of a clock that does not run backwards; if it does,
// a bucket is at most empty. Either both buckets give a token, or none does. An invalid addr, of a unix
// socket, is asked of the process's bucket only.
func (b *Buckets) Take(addr netip.Addr, now int64) Pace {
	ns := now * 1e6
	if b.net.gap == 0 || !addr.IsValid() {
		return b.takeProcess(ns)
	}
	n := b.bits6
	if addr.Is4() || addr.Is4In6() {
		n = b.bits4
	}
	hi, lo := halves(subnet(addr.As16(), n))
	h := maphash.Comparable(b.seed, [2]uint64{hi, lo})
	s := &b.shards[h%bucketShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	at := int(h/bucketShards&b.mask) * ways
	place := s.find(at, hi, lo)
	full := ns
	if place.hi == hi && place.lo == lo {
		full = place.full
	}
	full, ok := b.net.take(full, ns)
	if !ok {
		place.full = full // only a known network is refused; after a clock's step back it is less
		return PaceNetwork
	}
	if p := b.takeProcess(ns); p != PaceOK {
		return p
	}
	*place = bucket{hi: hi, lo: lo, full: full}
	return PaceOK
}

// find returns the network's place in a row, else the one nearest to full.
func (s *bucketShard) find(at int, hi, lo uint64) *bucket {
	row := s.places[at : at+ways]
	best := &row[0]
	for i := range row {
		p := &row[i]
		if p.hi == hi && p.lo == lo {
			return p
		}
		if p.full < best.full {
			best = p
		}
	}
	return best
}

// take returns when a bucket that was to be full at full is full again after one event more at now, and
// whether it had one.
func (p pace) take(full, now int64) (int64, bool) {
	full = min(max(full, now), now+p.depth+p.gap)
	if full-now > p.depth {
		return full, false
	}
	return full + p.gap, true
}

func (b *Buckets) takeProcess(now int64) Pace {
	if b.process.gap == 0 {
		return PaceOK
	}
	for {
		was := b.full.Load()
		full, ok := b.process.take(was, now)
		switch {
		case full != was && !b.full.CompareAndSwap(was, full):
		case ok:
			return PaceOK
		default:
			return PaceProcess
		}
	}
}

func halves(ip [16]byte) (hi, lo uint64) {
	for i := range 8 {
		hi = hi<<8 | uint64(ip[i])
		lo = lo<<8 | uint64(ip[8+i])
	}
	return hi, lo
}
