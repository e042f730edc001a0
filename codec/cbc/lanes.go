package cbc

// Lane is what EncryptAll encrypts of one stream, in place.
type Lane struct {
	E *Encrypter
	P []byte // whole blocks
}

// width is how many lanes go side by side.
const width = 4

// lane is a Lane as the assembly reads it.
type lane struct {
	keys *schedule
	iv   *[BlockSize]byte
	p    *byte
}

// EncryptAll encrypts several streams at once, each with its own Encrypter. Within a stream a block waits for the one
// before, but four streams together take hardly longer than one: what a loop sends on its links in one turn belongs in
// one call. The Encrypters advance as with CryptBlocks, whose panics hold too; lanes is used up.
func EncryptAll(lanes []Lane) {
	for i := range lanes {
		check(lanes[i].P, lanes[i].P)
	}
	for {
		lanes = live(lanes)
		if len(lanes) < 2 || !together(lanes) {
			break
		}
		step(lanes[:min(width, len(lanes))])
	}
	for _, l := range lanes {
		l.E.CryptBlocks(l.P, l.P)
	}
}

// live moves the last of lanes to where nothing is left to do, and returns the rest.
func live(lanes []Lane) []Lane {
	for i := 0; i < len(lanes); {
		if len(lanes[i].P) > 0 {
			i++
			continue
		}
		last := len(lanes) - 1
		lanes[i] = lanes[last]
		lanes = lanes[:last]
	}
	return lanes
}

// together reports whether the assembly can take all of lanes.
func together(lanes []Lane) bool {
	for i := range lanes {
		if lanes[i].E.path == ordinary {
			return false
		}
	}
	return true
}

// step takes up to width lanes as far as the shortest goes. Where lanes are missing, the last stands in once more: it
// computes and writes the same.
//
//go:noinline
func step(lanes []Lane) {
	n := stride
	for i := range lanes {
		n = min(n, len(lanes[i].P))
	}
	var side [width]lane
	for i := range side {
		l := &lanes[min(i, len(lanes)-1)]
		side[i] = lane{keys: &l.E.keys, iv: &l.E.iv, p: &l.P[0]}
	}
	encryptLanes(&side, n/BlockSize)
	for i := range lanes {
		lanes[i].P = lanes[i].P[n:]
	}
}
