package load

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"epoxy/codec"
	"epoxy/codec/secret"
	"epoxy/upstream/faketg"
)

// Protocol is what the clients speak to the server.
type Protocol uint8

// The protocols.
const (
	Classic      Protocol = iota // obfuscated2 with abridged packets, a plain secret
	Intermediate                 // obfuscated2 with intermediate packets, a plain secret
	Secure                       // obfuscated2 with padded packets, a dd secret
	TLS                          // the same inside fake-TLS, an ee secret
	Direct                       // intermediate without a secret: straight to the fake Telegram, or through a TCP relay
)

var protocolNames = [...]string{"classic", "intermediate", "secure", "tls", "direct"}

// String returns the word that ParseProtocol reads.
func (p Protocol) String() string { return protocolNames[p] }

// ParseProtocol reads a protocol's name.
func ParseProtocol(text string) (Protocol, error) {
	for i, name := range protocolNames {
		if text == name {
			return Protocol(i), nil
		}
	}
	return 0, fmt.Errorf("load: protocol %q is none of classic, intermediate, secure, tls, direct", text)
}

// Scenario is what the clients do.
type Scenario uint8

// The scenarios.
const (
	Handshake Scenario = iota // connect, handshake, one round trip, close, many times
	Idle                      // connect, one round trip, wait, one round trip
	Small                     // small round trips, one after another
	Bulk                      // downloads and uploads
	Stall                     // clients that ask for much and stop reading, and one that does not
	Strangers                 // small, alone and then beside strangers
	Reconnect                 // all are cut off and come back in the same moment
	Density                   // idle in growing numbers, then a few of them small
	Paced                     // small round trips, so many a second
)

var scenarioNames = [...]string{"handshake", "idle", "small", "bulk", "stall", "strangers", "reconnect", "density", "paced"}

// String returns the word that ParseScenario reads.
func (s Scenario) String() string { return scenarioNames[s] }

// ParseScenario reads a scenario's name.
func ParseScenario(text string) (Scenario, error) {
	for i, name := range scenarioNames {
		if text == name {
			return Scenario(i), nil
		}
	}
	return 0, fmt.Errorf("load: scenario %q is none of handshake, idle, small, bulk, stall, strangers, reconnect, density, paced", text)
}

// Config says what to run. Not every field matters to every scenario.
type Config struct {
	Scenario Scenario
	Server   netip.AddrPort
	Protocol Protocol
	Secret   secret.Secret // unless direct
	DC       codec.DC
	Loops    int
	Sources  []netip.Addr // source addresses, in turn; none is a choice that suits a loopback server
	PIDs     []int        // processes to measure, with their children
	Metrics  string       // URL of the measured proxy's metrics, for its Go heap; empty is none

	Clients  int           // at the same time
	Total    int           // handshakes all in all
	Idle     int           // further clients of small, who only stay
	Messages uint64        // round trips all in all; or
	Duration time.Duration // how long small, paced and stall go on
	Size     int           // bytes of a packet of small and paced, with its head of 28
	Rate     int           // round trips of paced a second, all in all
	Think    time.Duration // between an answer and the next packet
	Down, Up uint64        // bytes for each client
	Packet   int           // content bytes of a downloaded packet
	Window   uint64        // bytes that a downloading client asks for at once, as apps do; 0 is all of them
	Settle   time.Duration // how long idle clients wait
	Steps    int           // parts in which the clients of Density open
	Timeout  time.Duration // without any progress until a run is given up

	Strangers   int            // who say one byte a second
	Probes      int            // a second, of strangers who say one thing and look at the answer
	StrangersAt netip.AddrPort // where the strangers go; zero is Server

	Progress func(step string, done Tally, clients int) // may be nil; histograms are empty
}

// Validate returns all mistakes joined.
func (c *Config) Validate() error {
	var all []error
	check := func(good bool, what string) {
		if !good {
			all = append(all, errors.New("load: "+what))
		}
	}
	check(c.Server.IsValid() && c.Server.Port() > 0, "the server is no address with a port")
	check(c.Loops > 0 && c.Loops <= maxLanes/2, "loops must be 1..512")
	check(c.Clients > 0, "clients must be above 0")
	check(c.Timeout > 0, "the timeout must be above 0")
	check(c.Protocol == Direct || c.Secret.Key != codec.Key{}, "a secret is missing")
	check(c.Protocol != TLS || c.Secret.Domain != "", "tls needs an ee secret, which names the domain")
	switch c.Scenario {
	case Handshake:
		check(c.Total > 0, "the number of handshakes must be above 0")
	case Small:
		check(c.Messages > 0 || c.Duration > 0, "either messages or a duration must be above 0")
		check(c.Size > faketg.HeadSize && c.Size%4 == 0 && c.Size <= faketg.MaxContent, "the size of a message must be 32..1040384 and a multiple of 4")
	case Bulk:
		check(c.Down+c.Up > 0, "nothing to download or upload")
	case Stall:
		check(c.Down > 0, "nothing to download")
		check(c.Duration > 0, "the duration must be above 0")
	case Strangers:
		check(c.Strangers >= 0 && c.Probes >= 0 && c.Strangers+c.Probes > 0, "neither strangers nor probes")
		check(c.Duration > 0, "the duration must be above 0")
		check(c.Size > faketg.HeadSize && c.Size%4 == 0 && c.Size <= faketg.MaxContent, "the size of a message must be 32..1040384 and a multiple of 4")
	case Density:
		check(c.Steps > 0 && c.Steps <= c.Clients, "steps must be 1 to the number of clients")
		check(c.Duration > 0, "the duration must be above 0")
		check(c.Size > faketg.HeadSize && c.Size%4 == 0 && c.Size <= faketg.MaxContent, "the size of a message must be 32..1040384 and a multiple of 4")
	case Paced:
		check(c.Rate > 0 && c.Rate <= 1e6, "the rate must be 1..1000000")
		check(c.Duration > 0, "the duration must be above 0")
		check(c.Size > faketg.HeadSize && c.Size%4 == 0 && c.Size <= faketg.MaxContent, "the size of a message must be 32..1040384 and a multiple of 4")
	case Idle, Reconnect:
	}
	check(c.Down%4 == 0 && c.Up%4 == 0 && c.Window%4 == 0, "bytes must be a multiple of 4")
	check(c.Packet >= 0 && c.Packet%4 == 0 && c.Packet <= faketg.MaxContent, "the size of a downloaded packet must be 0..1040384 and a multiple of 4")
	return errors.Join(all...)
}

func (c *Config) transport() codec.Transport {
	switch c.Protocol {
	case Classic:
		return codec.Abridged
	case Secure, TLS:
		return codec.Padded
	case Intermediate, Direct:
	}
	return codec.Intermediate
}

// sources returns the source addresses for so many connections. A loopback server is dialled from 127.0.0.2 and
// up when one address has too few ports.
func (c *Config) sources(connections int) []netip.Addr {
	server := c.Server.Addr()
	if len(c.Sources) > 0 || !server.Is4() || !server.IsLoopback() || connections <= clientsPerSource {
		return c.Sources
	}
	var all []netip.Addr
	for i := range min(connections/clientsPerSource+1, maxSources) {
		all = append(all, netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)}))
	}
	return all
}

func random(p []byte) { _, _ = rand.Read(p) }
