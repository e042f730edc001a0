package scout

import (
	"context"
	"sync"
	"time"
)

// Look resolves and measures every site of o once, all at the same time, and returns when that is done or ctx is.
// Nothing is kept, whatever StateDir says. The error is that of New.
func Look(ctx context.Context, o Options) ([]Status, error) {
	o.StateDir = ""
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	found := make([]finding, len(s.sites))
	errs := make([]error, len(s.sites))
	var all sync.WaitGroup
	for i, t := range s.sites {
		if t.path == "" && len(t.addrs) == 0 {
			continue
		}
		p := s.newProbe(t)
		all.Go(func() { found[i], errs[i] = p.measure(ctx) })
	}
	all.Wait()
	for i, t := range s.sites {
		if t.path != "" || len(t.addrs) > 0 {
			s.learn(t, found[i], errs[i], time.Now())
		}
	}
	s.publish()
	return s.Current().Sites, nil
}
