// Command epoxy is the program: run, link, secret, ping, check, version, and those that speak to a running proxy.
package main

import (
	"crypto/rand"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"epoxy/bench/ping"
	"epoxy/engine"
	"epoxy/engine/config"
)

// version is set by the linker (make build).
var version string

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	a := &app{
		in: os.Stdin, out: os.Stdout, errs: os.Stderr, terminal: isTerminal(os.Stdout),
		environ: os.Environ(), getenv: os.Getenv, uid: os.Geteuid(),
		random: rand.Reader, addrs: net.InterfaceAddrs, signals: signals, build: buildOf(version),
		engine: func(s *config.Settings, log *slog.Logger) (proxy, error) { return engine.New(s, log) },
		pinger: ping.Run,
	}
	a.screen = func() (*screen, error) { return openScreen(os.Stdin, os.Stdout) }
	os.Exit(a.main(os.Args[1:]))
}

// isTerminal reports whether somebody may be reading f: a character device other than the null device.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
