package session

import (
	"epoxy/codec"
	"epoxy/codec/faketls"
	"epoxy/engine/replay"
	"epoxy/upstream"
)

// Env is what all sessions of one loop share.
type Env struct {
	// Fixed after start.
	Loop   upstream.Loop
	Router upstream.Router // towards Telegram
	Front  upstream.Router // towards the front; nil discards strangers instead
	Gone   func()          // called once for each session that ended; nil is nothing

	// Ended is called once for each session when its end begins, as long as its state, secret and address are known. nil
	// is nothing.
	Ended func(s *Session, why codec.Reason)

	// Remember reports whether Ended wants to know the client of a socket that was reset, which then takes 80 bytes a session;
	// nil is no.
	Remember func() bool

	// Admit is asked about every opening with a good secret; nil lets everybody in.
	Admit Admission

	// Strangers is told of each stranger, why it is one and what it sent; p lives until the call returns. nil is nothing.
	Strangers func(why codec.Reason, p []byte)

	// Shared by all loops; asked once per handshake.
	Replay *replay.Store

	// Owned by the loop.
	Count    Counters
	digester *faketls.Digester
	derived  faketls.Key // of the secret and SNI that were tried last
	name     [255]byte   // the SNI of the hello that is being checked, in lower case
	join     []byte      // where hellos of several records are put together
	budget   int64       // secrets that long scans may still try
	budgetAt int64       // loop time of the last refill
}

// NewEnv returns the environment of one loop.
func NewEnv(loop upstream.Loop, router upstream.Router, store *replay.Store) *Env {
	return &Env{
		Loop: loop, Router: router, Replay: store, digester: faketls.NewDigester(),
		budget: scanBurst, budgetAt: loop.Now(),
	}
}

// Counters are one loop's counts since its start. The loop alone touches them; others ask it for a copy.
type Counters struct {
	Open       int64                 // sessions alive
	Accepted   uint64                // sessions begun
	Handshakes [4]uint64             // opened, by codec.Protocol
	Strangers  [codec.Reasons]uint64 // failed handshakes, by reason
	Closed     [codec.Reasons]uint64 // sessions ended, by reason
	Discarding int64                 // strangers being read into silence now
	BytesUp    uint64                // clear bytes from clients
	BytesDown  uint64                // clear bytes to clients
	Tried      uint64                // secrets tried
	ScanWaits  uint64                // times that a long scan waited for its budget
	Compacted  uint64                // sessions whose ciphers were dropped
	Paused     uint64                // times that a stream was paused for its client
	HeldClient uint64                // times that a client was paused for its stream
}

// spend takes up to n tries from the budget of long scans and returns how many it got.
func (e *Env) spend(n int64) int64 {
	if now := e.Loop.Now(); now != e.budgetAt {
		e.budget = min(scanBurst, e.budget+(now-e.budgetAt)*scanRate)
		e.budgetAt = now
	}
	n = min(n, e.budget)
	e.budget -= n
	return n
}
