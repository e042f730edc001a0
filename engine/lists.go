package engine

import (
	"context"
	"fmt"
	"slices"

	"epoxy/engine/config"
	"epoxy/engine/lists"
	"epoxy/engine/logs"
)

// watched is a set of lists and what keeps it up to date.
type watched struct {
	set    *lists.Set // nil without lists
	cancel context.CancelFunc
	done   chan struct{}
}

// newLists reads the lists of set that are files or were cached; nil is none.
func (e *Engine) newLists(set *config.Settings) (*watched, error) {
	if len(set.Lists) == 0 {
		return &watched{}, nil
	}
	s, err := lists.New(lists.Options{Lists: set.Lists, StateDir: set.StateDir, Interval: set.ListRefresh, Log: e.part(logs.Lists)})
	if err != nil {
		return nil, fmt.Errorf("engine: --list: %w", err)
	}
	return &watched{set: s}, nil
}

// sameLists reports whether two settings have the same lists.
func sameLists(a, b *config.Settings) bool {
	return slices.Equal(a.Lists, b.Lists) && a.ListRefresh == b.ListRefresh
}

// run looks after the lists until stop.
func (w *watched) run() {
	if w.set == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel, w.done = cancel, make(chan struct{})
	go func() {
		defer close(w.done)
		w.set.Run(ctx)
	}()
}

// stop ends what run began and waits for it.
func (w *watched) stop() {
	if w != nil && w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// ListStatus returns how each list does. From any goroutine.
func (e *Engine) ListStatus() []lists.Status {
	if s := e.lists.Load(); s != nil {
		return s.Status()
	}
	return nil
}
