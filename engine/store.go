package engine

import (
	"log/slog"
	"path/filepath"
	"time"

	"epoxy/engine/logs"
	"epoxy/engine/reactor"
	"epoxy/engine/replay"
)

const storeTime = time.Second // between two writes of the replay store: what kill -9 loses

// openStore opens the memory of handshakes, kept in the state directory when there is one.
func (e *Engine) openStore() {
	if e.set().StateDir == "" {
		e.store = replay.New(int(e.set().ReplayMemory))
		return
	}
	store, warnings := replay.Open(filepath.Join(e.set().StateDir, "replay"), replay.Options{
		Memory: int(e.set().ReplayMemory), Now: time.Now().Unix(), Lock: reactor.LockFile,
	})
	for _, w := range warnings {
		e.part(logs.Replay).Warn("copied handshakes of before the start may not be recognised", slog.Any("error", w))
	}
	e.store = store
}

// keepStore writes the store to disk while the engine runs.
func (e *Engine) keepStore() {
	tick := time.NewTicker(storeTime)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
		}
		err := e.store.Flush(time.Now().Unix())
		if err != nil && !failed {
			e.part(logs.Replay).Warn("handshakes cannot be kept on disk; after a restart copies of them would pass", slog.Any("error", err))
		}
		failed = err != nil
	}
}

// closeStore writes what is left.
func (e *Engine) closeStore() {
	if err := e.store.Close(time.Now().Unix()); err != nil {
		e.part(logs.Replay).Warn("the last handshakes could not be kept on disk", slog.Any("error", err))
	}
}
