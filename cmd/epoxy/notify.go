package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	notifyTimeout = time.Second // systemd's socket is full for no longer than it starts
	clockMono     = 1           // CLOCK_MONOTONIC
)

// notifier tells systemd how we are, as sd_notify(3) has it. A nil one tells nobody.
type notifier struct {
	addr net.UnixAddr
	log  *slog.Logger
	told sync.Once // that it does not listen
}

// notifier returns one for $NOTIFY_SOCKET, nil without: a path, or @ and an abstract name.
func (a *app) notifier(log *slog.Logger) *notifier {
	name := a.getenv("NOTIFY_SOCKET")
	if !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "@") {
		return nil
	}
	return &notifier{addr: net.UnixAddr{Name: name, Net: "unixgram"}, log: log}
}

// ready says that clients are served, or that a reload is over.
func (n *notifier) ready(status string) { n.send("READY=1\nSTATUS=" + status) }

// reloading says that a reload begins; ready ends it.
func (n *notifier) reloading() {
	if n != nil {
		n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=reloading", monotonic()/1000))
	}
}

// stopping says that no new clients are served.
func (n *notifier) stopping(status string) { n.send("STOPPING=1\nSTATUS=" + status) }

// send writes one message. Whoever started us need not listen any more: that is said once and is no fault of ours.
func (n *notifier) send(message string) {
	if n == nil {
		return
	}
	err := func() error {
		c, err := net.DialUnix(n.addr.Net, nil, &n.addr)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetWriteDeadline(time.Now().Add(notifyTimeout)) // Write says what is wrong
		_, err = c.Write([]byte(message))
		return err
	}()
	if err != nil {
		n.told.Do(func() { n.log.Warn("systemd cannot be told how we are", slog.Any("error", err)) })
	}
}

// watchdog returns how often systemd wants to hear of us, half of $WATCHDOG_USEC; 0 is never.
func (a *app) watchdog(pid int) time.Duration {
	usec, err := strconv.ParseInt(a.getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(time.Hour*24*365/time.Microsecond) {
		return 0
	}
	if whose := a.getenv("WATCHDOG_PID"); whose != "" && whose != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond / 2
}

// keepAlive tells systemd's watchdog every time that alive answers, until stop is closed. Where a loop hangs alive does not
// return, the watchdog runs out, and systemd starts us anew.
func (n *notifier) keepAlive(every time.Duration, alive func(), stop <-chan struct{}) {
	if n == nil || every == 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		alive()
		n.send("WATCHDOG=1")
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// watch feeds systemd's watchdog, if there is one, while every loop of e answers. Call what it returns to end that.
func (a *app) watch(n *notifier, e proxy) (stop func()) {
	quit := make(chan struct{})
	go n.keepAlive(a.watchdog(os.Getpid()), e.Alive, quit)
	return func() { close(quit) }
}

// monotonic returns CLOCK_MONOTONIC in ns, which systemd compares with its own.
func monotonic() int64 {
	var t syscall.Timespec
	_, _, _ = syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMono, uintptr(unsafe.Pointer(&t)), 0) // cannot fail with this clock
	return t.Nano()
}
