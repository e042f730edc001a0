package session

// The search for the secret behind an opening. An opening names no secret, so a proxy with many has to try
// them: about 1.5 us each for a hello, 0.2 us for a bare init. The order makes known clients cheap,
// and the budget keeps strangers from buying the loop's time:
//
//	hint of the address | recent secrets | those with the hello's domain | all
//
// A client is tried against scanFree secrets at once and against scanSlice per turn after that, as far as the
// loop's budget goes; then it waits for the next turn or the next refill.

// verdict says how a search stands.
type verdict uint8

const (
	found verdict = iota
	nobody
	again // to be continued on a later turn
)

// search goes on trying secrets from where s.cursor stands. try reports whether a secret fits; each costs weight of the
// budget.
func (s *Session) search(domain []uint32, weight int, try func(*Secret) bool) (*Secret, verdict) {
	p, env := s.port, s.port.env
	list := p.Secrets.list
	head := 0
	if p.hints != nil {
		head = 1 + recentSize
	}
	total := head + len(domain) + len(list)
	slice := scanFree
	if left := (total - int(s.cursor)) * weight; s.cursor > 0 || left > scanFree {
		want := min(left, scanSlice)
		slice = int(env.spend(int64(want)))
		if s.cursor == 0 {
			slice = max(slice, scanFree)
		}
		if slice < weight {
			return nil, again
		}
	}
	for ; int(s.cursor) < total; s.cursor++ {
		i := s.candidate(int(s.cursor), head, domain)
		if i < 0 || i >= len(list) {
			continue
		}
		if slice < weight {
			return nil, again
		}
		slice -= weight
		env.Count.Tried++
		if try(&list[i]) {
			p.remember(s.client, uint32(i))
			s.secret = &list[i]
			return &list[i], found
		}
	}
	return nil, nobody
}

// candidate returns the number of the secret at position at of the search order, -1 for an empty place.
func (s *Session) candidate(at, head int, domain []uint32) int {
	p := s.port
	switch {
	case at >= head+len(domain):
		return at - head - len(domain)
	case at >= head:
		return int(domain[at-head])
	case at > 0:
		return int(p.recent[at-1]) - 1
	}
	if h := p.hints[s.client%hintSlots]; h.client == s.client {
		return int(h.secret) - 1
	}
	return -1
}

// remember notes that client came in by secret.
func (p *Port) remember(client, secret uint32) {
	if p.hints == nil {
		return
	}
	p.hints[client%hintSlots] = hint{client, secret + 1}
	for _, r := range p.recent {
		if r == secret+1 {
			return
		}
	}
	p.recent[p.turn] = secret + 1
	p.turn = (p.turn + 1) % recentSize
}
