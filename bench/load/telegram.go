package load

import (
	"fmt"
	"log/slog"
	"net/netip"

	"epoxy/engine/reactor"
	"epoxy/upstream/faketg"
)

// Telegram is the fake datacenter on event loops of its own.
type Telegram struct {
	*faketg.Server
	Addrs []netip.AddrPort // where it listens, in the order asked for

	fleet *fleet
}

// NewTelegram serves a fake datacenter on addrs, like "127.0.0.1:0", with so many loops.
func NewTelegram(addrs []string, loops int, f faketg.Faults, log *slog.Logger) (*Telegram, error) {
	fl, err := newFleet(loops, log)
	if err != nil {
		return nil, fmt.Errorf("load: start: %w", err)
	}
	t := &Telegram{Server: faketg.NewServer(f), fleet: fl}
	for _, addr := range addrs {
		at, err := fl.listen(addr, log, func(r *reactor.Reactor) reactor.Acceptor { return t.On(r) })
		if err != nil {
			fl.stop()
			return nil, err
		}
		t.Addrs = append(t.Addrs, at)
	}
	return t, nil
}

// listen opens addr once per loop; the kernel spreads connections over them.
func (f *fleet) listen(addr string, log *slog.Logger, on func(*reactor.Reactor) reactor.Acceptor) (at netip.AddrPort, err error) {
	for _, r := range f.loops {
		l, err := reactor.Listen(addr, reactor.ListenOptions{}, log)
		if err != nil {
			return at, err
		}
		at = l.AddrPort()
		if at.IsValid() {
			addr = at.String()
		}
		a := on(r)
		failure := r.Call(func() { err = r.AddListener(l, a) })
		if failure != nil {
			return at, failure
		}
		if err != nil {
			_ = l.Close()
			return at, err
		}
	}
	return at, nil
}

// Close ends the listeners and all connections.
func (t *Telegram) Close() { t.fleet.stop() }
