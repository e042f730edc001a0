package ping

import (
	"time"

	"epoxy/codec"
)

// conclude words those failures anew that the other pings of the run explain: one connection cannot tell a wrong secret
// from a protocol that is not allowed, several can.
func conclude(all []Result) {
	var works [codec.TLS + 1]bool // protocols in which some datacenter answered
	answers := map[codec.DC]bool{}
	anyWorks, flights := false, false // flights: the proxy answered a hello as it should
	var ahead time.Duration
	for i := range all {
		r := &all[i]
		if r.OK {
			works[r.Protocol], answers[r.DC], anyWorks, ahead = true, true, true, r.Ahead
		}
		flights = flights || r.flight()
	}
	var refused [codec.TLS + 1]bool // protocols in which no datacenter answered, one of them in another
	for i := range all {
		r := &all[i]
		if !works[r.Protocol] && answers[r.DC] {
			refused[r.Protocol] = true
		}
	}
	for i := range all {
		r := &all[i]
		_, e := r.Failed()
		if e == nil {
			continue
		}
		switch e.Fault {
		case HelloClosed, HelloSilent, HelloForeign:
			switch {
			case flights || !anyWorks:
			case ahead.Abs() > clockSlack:
				e.ahead = ahead
				e.become(WrongClock, r)
			default:
				e.become(NotAllowed, r)
			}
		case AnswerClosed, AnswerSilent, AnswerForeign:
			switch {
			case works[r.Protocol] && e.Fault != AnswerForeign:
				e.become(DCDown, r)
			case refused[r.Protocol] && !r.flight():
				e.become(NotAllowed, r)
			}
		default: // the others speak for themselves
		}
	}
}

// flight reports that the proxy proved to have the secret before it was asked.
func (r *Result) flight() bool {
	for _, s := range r.Steps {
		if s.Name == StepTLS {
			return s.Err == nil
		}
	}
	return false
}

// become changes what e is, and with it the hint.
func (e *Error) become(f Fault, r *Result) {
	e.Fault = f
	e.word(r)
}
