package quota

import (
	"net/netip"
	"slices"

	"epoxy/codec"
	"epoxy/upstream"
)

// Rester is a client whose reading rests when its secret's rate is spent.
type Rester interface {
	WakeUp()   // reads from the client again
	WakeDown() // reads for the client again
}

// Till is one loop's side of a Ledger. The loop owns it and all of its Accounts.
type Till struct {
	ledger   *Ledger
	loop     upstream.Loop
	task     upstream.Socket
	sweep    func()
	accounts map[*entry]*Account
	busy     []*Account // bytes went, or clients rest, since the last settlement
	at       int64      // when the task's timer fires; 0 is not set
	ending   int64      // when the first clients have to be gone; 0 is never
}

// NewTill returns the Till of a loop. sweep is called by the loop when clients have to go: it asks the Account of every
// client whether it has Ended.
func NewTill(l *Ledger, loop upstream.Loop, sweep func()) *Till {
	t := &Till{ledger: l, loop: loop, sweep: sweep, accounts: map[*entry]*Account{}}
	t.task = loop.Task((*tick)(t))
	return t
}

// Account is one secret on one loop. The Meters are for its clients to write.
type Account struct {
	Up, Down Meter
	Common   any // of whoever lets clients in: what those with nothing of their own share

	till    *Till
	entry   *entry
	clients int
	busy    bool
	endAt   int64 // loop time when its clients must be gone; 0 is never
	why     codec.Reason
}

// Meter counts bytes of one direction. Whoever carries n adds them to Bytes; when that is more than Stop then, he asks Spent.
type Meter struct {
	Bytes uint64
	Stop  uint64

	told    uint64 // of Bytes, that the ledger knows
	lent    int64  // tokens of the rate taken for the bytes from told to Stop
	shown   int    // clients at rest that the ledger knows
	resting []Rester
}

// Admit lets a client in that showed the secret called name, or says why not. Leave of the Account gives back
// what it took, with the address returned here: it is invalid where addresses are not limited, and then nobody has to remember it.
func (t *Till) Admit(name string, addr netip.Addr) (*Account, netip.Addr, codec.Reason) {
	e := t.ledger.get(name)
	if e == nil {
		return nil, netip.Addr{}, codec.ReasonSecretRemoved
	}
	counted, why := e.admit(addr, t.loop.Now(), t.loop.Unix())
	if why != codec.ReasonNone {
		return nil, netip.Addr{}, why
	}
	a := t.accounts[e]
	if a == nil {
		a = &Account{till: t, entry: e}
		t.accounts[e] = a
	}
	a.clients++
	return a, counted, codec.ReasonNone
}

// Check says why a client with the secret called name would not be let in whatever else holds. It takes nothing.
func (t *Till) Check(name string) codec.Reason {
	e := t.ledger.get(name)
	if e == nil {
		return codec.ReasonSecretRemoved
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	why := e.judge(t.loop.Unix())
	if why != codec.ReasonNone {
		e.refused[why]++
	}
	return why
}

// Leave takes a client back; addr is what Admit returned. It no longer rests.
func (a *Account) Leave(addr netip.Addr, who Rester) {
	a.Up.forget(who)
	a.Down.forget(who)
	a.entry.leave(addr, a.till.loop.Now())
	if a.clients--; a.clients == 0 && !a.busy && a.Up.Bytes == a.Up.told && a.Down.Bytes == a.Down.told {
		delete(a.till.accounts, a.entry)
	}
}

func (m *Meter) forget(who Rester) {
	if i := slices.Index(m.resting, who); i >= 0 {
		m.resting = slices.Delete(m.resting, i, i+1)
	}
}

// Ended returns why the account's clients have to go now, ReasonNone when they need not.
func (a *Account) Ended() codec.Reason {
	if a.endAt != 0 && a.till.loop.Now() >= a.endAt {
		return a.why
	}
	return codec.ReasonNone
}

// SpentUp is asked when Up.Bytes is above Up.Stop. When it returns true, who reads no more from its client until
// WakeUp.
func (a *Account) SpentUp(who Rester) bool { return a.spent(up, who) }

// SpentDown is the same for Down and WakeDown.
func (a *Account) SpentDown(who Rester) bool { return a.spent(down, who) }

func (a *Account) meter(d direction) *Meter {
	if d == up {
		return &a.Up
	}
	return &a.Down
}

func (a *Account) spent(d direction, who Rester) bool {
	m, t := a.meter(d), a.till
	if !a.busy {
		a.busy = true
		t.busy = append(t.busy, a)
	}
	if len(m.resting) == 0 {
		a.settle(d)
		if m.Bytes <= m.Stop && m.Stop-m.Bytes > 0 {
			t.wake(t.loop.Now() + settleTime)
			return false
		}
	}
	m.resting = append(m.resting, who)
	t.wake(t.loop.Now() + rateTime)
	return true
}

// settle tells the ledger what a direction carried, and takes anew what it may carry.
func (a *Account) settle(d direction) {
	e, m, now, unix := a.entry, a.meter(d), a.till.loop.Now(), a.till.loop.Unix()
	e.mu.Lock()
	carried := m.Bytes - m.told
	e.carry(d, carried)
	e.buckets[d].back(m.lent - int64(carried))
	e.waiting[d] += len(m.resting) - m.shown
	m.told, m.shown, m.lent = m.Bytes, len(m.resting), 0
	a.why, a.endAt = e.end(now, unix)
	if a.why != codec.ReasonSecretQuota && (carried > 0 || len(m.resting) > 0) {
		m.lent = e.grant(d, len(m.resting), now)
	}
	e.mu.Unlock()
	m.Stop = m.Bytes + uint64(m.lent)
	a.expect()
}

// expect sees to it that the account's clients are gone in time.
func (a *Account) expect() {
	t := a.till
	if a.endAt != 0 && a.clients > 0 && (t.ending == 0 || a.endAt < t.ending) {
		t.ending = a.endAt
		t.wake(a.endAt)
	}
}

// Review looks at all secrets anew, after the ledger was configured, a Reset, or a Look that said so.
func (t *Till) Review() {
	for _, a := range t.accounts {
		a.entry.mu.Lock()
		a.why, a.endAt = a.entry.end(t.loop.Now(), t.loop.Unix())
		a.entry.mu.Unlock()
		a.expect()
		if !a.busy { // a rate or quota that is new now starts to count with the next byte
			continue
		}
		a.settle(up)
		a.settle(down)
	}
	t.task.Again()
}

// wake sets the timer to at, unless it fires before.
func (t *Till) wake(at int64) {
	if t.at == 0 || at < t.at {
		t.at = at
		t.task.SetTimer(at)
	}
}

// turn lets clients go on for whom there are tokens, and ends those that have to go. It is the loop's turn alone: no
// client is being called.
func (t *Till) turn() {
	for _, a := range t.busy {
		more := a.Up.rouse(Rester.WakeUp)
		if a.Down.rouse(Rester.WakeDown) || more {
			t.task.Again()
		}
	}
	now := t.loop.Now()
	if t.ending == 0 || now < t.ending {
		return
	}
	t.sweep()
	t.ending = 0
	for _, a := range t.accounts {
		a.expect()
	}
}

// rouse wakes as many as there may be tokens for, those first that have rested longest, and reports whether more may
// follow when these have spoken.
func (m *Meter) rouse(wake func(Rester)) bool {
	if len(m.resting) == 0 || m.Bytes >= m.Stop {
		return false
	}
	n := int(min(uint64(len(m.resting)), max((m.Stop-m.Bytes)/wakeShare, 1)))
	for _, r := range m.resting[:n] {
		wake(r)
	}
	m.resting = slices.Delete(m.resting, 0, n)
	return len(m.resting) > 0
}

// settleAll is the timer's work.
func (t *Till) settleAll() {
	now := t.loop.Now()
	next := int64(0)
	kept := t.busy[:0]
	for _, a := range t.busy {
		moved := a.Up.Bytes != a.Up.told || a.Down.Bytes != a.Down.told
		rests := len(a.Up.resting) > 0 || len(a.Down.resting) > 0
		a.settle(up)
		a.settle(down)
		switch {
		case rests:
			next = now + rateTime
		case moved && next == 0:
			next = now + settleTime
		case !moved: // nothing is lent any more: the next byte asks
			a.busy = false
			if a.clients == 0 {
				delete(t.accounts, a.entry)
			}
			continue
		}
		kept = append(kept, a)
	}
	clear(t.busy[len(kept):])
	t.busy = kept
	if next != 0 {
		t.wake(next)
	}
	if t.ending != 0 {
		t.wake(max(t.ending, now+1))
	}
}

// Close tells the ledger what was carried since the last settlement; the loop has ended.
func (t *Till) Close() {
	for _, a := range t.busy {
		a.settle(up)
		a.settle(down)
	}
}

// tick is the Till as the handler of its task.
type tick Till

// Opened is not called for a task.
func (k *tick) Opened(upstream.Socket) {}

// Data is not called for a task.
func (k *tick) Data(upstream.Socket, []byte) {}

// EOF is not called for a task.
func (k *tick) EOF(upstream.Socket) {}

// Drained is not called for a task.
func (k *tick) Drained(upstream.Socket) {}

// Timer settles, wakes and ends.
func (k *tick) Timer(upstream.Socket) {
	t := (*Till)(k)
	t.at = 0
	t.settleAll()
	t.turn()
}

// Again wakes more.
func (k *tick) Again(upstream.Socket) { (*Till)(k).turn() }

// Closed is the end of the loop.
func (k *tick) Closed(upstream.Socket, codec.Reason) { (*Till)(k).Close() }
