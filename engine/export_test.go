package engine

import "time"

// Backdate makes the engine older than it is, for what waits after a start.
func (e *Engine) Backdate(d time.Duration) { e.started = e.started.Add(-d) }
