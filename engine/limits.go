package engine

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"time"

	"epoxy/engine/config"
	"epoxy/engine/lists"
	"epoxy/engine/logs"
	"epoxy/engine/policy"
	"epoxy/engine/quota"
	"epoxy/engine/tables"
)

const limitsTime = 500 * time.Millisecond // between two writes of what secrets used; with the loops' 250 ms, kill -9 loses less than 1 s

const retryTicks = 10 // limitsTimes between two tries to get a file that another process had

// limits is what decides who may come in, shared by all loops.
type limits struct {
	// Fixed after New.
	ledger  *quota.Ledger
	limiter *policy.Limiter
	tables  *policy.Tables
	kept    *tables.Store // of the tables; nil keeps nothing

	// Changed by Apply alone, read by anybody.
	buckets atomic.Pointer[policy.Buckets] // nil without accept rates
	lists   atomic.Pointer[lists.Set]      // nil lets everybody pass
	rates   [2]int                         // of the buckets; owned by Apply
	watched *watched                       // keeps lists; owned by Apply and Stop
}

// openLimits prepares them, with what the state directory remembers.
func (e *Engine) openLimits() {
	set := e.set()
	e.tables = policy.NewTables(set.TableMax)
	e.limiter = policy.NewLimiter(e.tables)
	if set.StateDir == "" {
		e.ledger = quota.New()
	} else {
		var err error
		if e.ledger, err = quota.Open(filepath.Join(set.StateDir, "quota.db")); err != nil {
			e.part(logs.Policy).Warn("what secrets used before the start is not known, or not kept", slog.Any("error", err))
		}
		if e.kept, err = tables.Open(filepath.Join(set.StateDir, "tables.db"), e.tables); err != nil {
			e.part(logs.Policy).Warn("the tables of policies are empty and are not kept", slog.Any("error", err))
		} else if bad := e.kept.Damaged(); bad != nil {
			e.part(logs.Policy).Warn("the tables of policies are empty", slog.Any("error", bad))
		}
	}
	e.useLimits(set)
}

// useLimits makes the limits of set hold. Clients whose secret may not be used any more are drained.
func (e *Engine) useLimits(set *config.Settings) {
	list := make([]quota.Limits, len(set.Secrets))
	for i, n := range set.Secrets {
		list[i] = quota.Limits{
			Name: n.Name, Key: n.Secret.Key, Disabled: n.Disabled, MaxClients: n.MaxClients, MaxAddresses: n.MaxAddresses,
			Quota: n.Quota, Monthly: n.QuotaReset == config.ResetMonthly, RateUp: n.RateUp, RateDown: n.RateDown,
		}
		if !n.Expires.IsZero() {
			list[i].Expires = n.Expires.Unix()
		}
	}
	e.ledger.Configure(quota.Options{AddressWindow: set.AddressWindow, Drain: set.SecretDrain}, list)
	if rates := [2]int{set.AcceptRate, set.AcceptRateNetwork}; rates != e.rates {
		e.rates = rates
		e.buckets.Store(newBuckets(rates))
	}
	e.review()
}

// newBuckets returns what keeps the accept rates, nil for none. A silence saves up one second's worth.
func newBuckets(rates [2]int) *policy.Buckets {
	if rates == [2]int{} {
		return nil
	}
	rate := func(n int) policy.Rate { return policy.Rate{PerSecond: float64(n), Burst: n} }
	return policy.NewBuckets(policy.BucketOptions{Process: rate(rates[0]), Network: rate(rates[1])})
}

// pace asks the accept rates for one connection.
func (e *Engine) pace(addr netip.Addr, now int64) policy.Pace {
	if b := e.buckets.Load(); b != nil {
		return b.Take(addr, now)
	}
	return policy.PaceOK
}

// rules compiles what Validate accepted.
func rules(list []policy.Rule) *policy.Rules {
	if len(list) == 0 {
		return nil
	}
	r, _ := policy.Compile(list...)
	return r
}

// review has all loops look at their secrets anew.
func (e *Engine) review() {
	for _, l := range e.loops {
		_ = l.reactor.Post(l.till.Review)
	}
}

// keepLimits watches the clock and writes what secrets used, while the engine runs.
func (e *Engine) keepLimits() {
	tick := time.NewTicker(limitsTime)
	defer tick.Stop()
	failed := false
	for n := 1; ; n++ {
		select {
		case <-e.quit:
			return
		case <-tick.C:
		}
		if n%retryTicks == 0 && e.ledger.Retry() {
			e.log.Info("what secrets use is kept on disk from now on: the process that had the file is gone")
			e.review()
		}
		if e.ledger.Look(unixNow()) {
			e.review()
		}
		err := e.ledger.Flush()
		if err != nil && !failed {
			e.part(logs.Policy).Warn("what secrets use cannot be kept on disk", slog.Any("error", err))
		}
		failed = err != nil
	}
}

// closeLimits writes what is left. The loops have ended.
func (e *Engine) closeLimits() {
	err := e.ledger.Close()
	if e.kept != nil {
		err = errors.Join(err, e.kept.Close())
	}
	if err != nil {
		e.part(logs.Policy).Warn("the last of limits and tables could not be kept on disk", slog.Any("error", err))
	}
}

func unixNow() int64 { return time.Now().Unix() }
