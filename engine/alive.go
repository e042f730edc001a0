package engine

// Alive returns when every loop has answered. It waits for one that hangs as long as that does, which is how a watchdog
// finds out; loops that have ended are not waited for.
func (e *Engine) Alive() {
	for _, l := range e.loops {
		_ = l.reactor.Call(func() {})
	}
}
