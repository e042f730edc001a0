package ping

import (
	"fmt"
	"time"

	"epoxy/codec"
)

// word writes what was seen at r, and what it hints at.
func (e *Error) word(r *Result) {
	clock := "this machine's clock is wrong (it says " + e.at.UTC().Format("2006-01-02 15:04") + " UTC)"
	switch e.Fault {
	case None:
	case NoName:
		e.Seen = "the server's name has no address"
		e.Hint = "check the server in the link and this machine's name service"
	case Refused:
		e.Seen = "the host refused the connection"
		e.Hint = "nothing listens at this port; start the proxy, or check the port in the link"
	case DialTime:
		e.Seen = "the host did not answer"
		e.Hint = "it is down, or a firewall on the way drops what goes to this port"
	case DialFailed:
		e.Seen = "no connection could be made, " + plain(e.cause)
		e.Hint = "check the server in the link and this machine's network"
	case HelloUnmade:
		e.Seen = "no hello can be made for this domain"
		e.Hint = "it is too long"
	case HelloClosed:
		e.Seen = "the connection was " + how(e.cause) + " after the hello"
		e.Hint = "the secret is wrong, fake-TLS is not allowed at this port, it is no MTProxy, or " + clock
	case HelloSilent:
		e.Seen = "nothing answered the hello"
		e.Hint = "the secret is wrong, fake-TLS is not allowed at this port, it is no MTProxy, or " + clock
	case HelloForeign:
		e.Seen = "a TLS server answered the hello that does not know the secret"
		e.Hint = "this is a web site, or the one that the proxy shows to strangers: the secret is wrong, or " + clock
	case HelloNotTLS:
		e.Seen = "what answered the hello is no TLS"
		e.Hint = "another program than an MTProxy listens at this port"
	case AnswerClosed:
		e.Seen = "the connection was " + how(e.cause) + " after the opening"
		e.Hint = unanswered(r)
	case AnswerSilent:
		e.Seen = "nothing answered after the opening"
		e.Hint = unanswered(r)
	case AnswerForeign:
		e.Seen = "a web server answered the opening"
		e.Hint = "it is no MTProxy, or one that shows a web site to strangers: the secret is wrong, or " + r.Protocol.String() + " is not allowed at this port"
	case AnswerGarbage:
		e.Seen = "what answered the opening does not decipher"
		e.Hint = "it is no MTProxy, or it has another secret"
		if r.Protocol == codec.TLS {
			e.Hint = "the proxy has the secret, but breaks the stream"
		}
	case AnswerOther:
		e.Seen = "a packet came that does not answer the question"
		e.Hint = "the proxy mixes up its clients, or there is no Telegram behind it"
	case TransportError:
		e.Seen = fmt.Sprintf("Telegram answered with transport error %d", e.Code)
		e.Hint = transportHint(e.Code)
	case NotAllowed:
		e.Hint = "the secret is right, as other protocols work, so " + r.Protocol.String() + " is not allowed at this port"
		if r.Protocol == codec.TLS {
			e.Hint += ", or " + clock
		}
	case DCDown:
		e.Hint = "secret and protocol are right, as other pings show, so the proxy does not reach the datacenter; look into its log"
	case WrongClock:
		e.Hint = "the secret is right, as other protocols work, but this machine's clock is " + shift(e.ahead) + " Telegram's; set it"
	case Interrupted:
		e.Seen = "interrupted"
		e.Hint = "the answer was not waited for"
	case faults:
	}
}

// unanswered is why an opening got no answer.
func unanswered(r *Result) string {
	if r.Protocol == codec.TLS {
		return "the secret is right, so the proxy does not reach the datacenter; look into its log"
	}
	return "the secret is wrong, " + r.Protocol.String() + " is not allowed at this port, it is no MTProxy, or the proxy does not reach the datacenter"
}

// shift says how a clock that is ahead by d differs.
func shift(d time.Duration) string {
	if d < 0 {
		return (-d).String() + " behind"
	}
	return d.String() + " ahead of"
}
