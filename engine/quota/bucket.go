package quota

// bucket holds the tokens of a rate, for all loops. What loops carried beyond their tokens is a debt. The zero
// bucket is no limit.
type bucket struct {
	rate   int64 // bytes a second; 0 is no limit
	tokens int64 // thousandths of a byte, below zero after a read larger than the tokens
	at     int64 // loop time of the last refill
}

func (b *bucket) setRate(rate int64) {
	if rate > maxRate {
		rate = 0
	}
	if rate != b.rate {
		*b = bucket{rate: rate}
	}
}

// refill adds what the time since the last refill is worth.
func (b *bucket) refill(now int64) {
	most := max(b.rate*burstTime, leastBurst*1000)
	if b.at == 0 {
		b.tokens, b.at = most, now
		return
	}
	for now > b.at && b.tokens < most { // in steps that fit 64 bits, after a long silence
		step := min(now-b.at, 1000)
		b.tokens += b.rate * step
		b.at += step
	}
	b.tokens, b.at = min(b.tokens, most), max(b.at, now)
}

// back returns tokens that were not used, or takes more for what was carried without.
func (b *bucket) back(n int64) {
	if b.rate > 0 {
		b.tokens += n * 1000
	}
}

// take gives up to want bytes. While clients rest, each loop gets its share of the tokens: mine of waiting.
func (b *bucket) take(want int64, mine, waiting int, now int64) int64 {
	if b.rate == 0 {
		return want
	}
	b.refill(now)
	have := max(b.tokens/1000, 0)
	if waiting > 0 {
		have = have * int64(mine) / int64(waiting)
	} else {
		have = min(have, max(b.rate*rateTime/1000, leastBurst))
	}
	n := min(want, have)
	b.tokens -= n * 1000
	return n
}
