package engine

import (
	"epoxy/engine/lists"
	"epoxy/engine/policy"
)

// Counted returns how many clients like c are counted under a rule.
func (e *Engine) Counted(r policy.Rule, c *policy.Client) int { return e.limiter.Count(r, c) }

// Counters returns how many counters the rules have.
func (e *Engine) Counters() int { return e.limiter.Len() }

// UseLists puts lists in force.
func (e *Engine) UseLists(l *lists.Set) { e.lists.Store(l) }
