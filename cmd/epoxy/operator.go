package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"syscall"
	"time"

	"epoxy/engine/admin"
	"epoxy/engine/config"
	"epoxy/engine/logs"
)

// operator carries out what the door and signals ask of a running proxy.
type operator struct {
	app    *app
	args   []string // of run, as they were typed
	engine proxy
	log    *slog.Logger
	levels *logs.Switch
	drains chan time.Duration // asked for by the door
	notify *notifier

	mu  sync.Mutex // one change at a time
	set *config.Settings
}

func (a *app) operator(args []string, s *config.Settings, e proxy, log *slog.Logger, levels *logs.Switch) *operator {
	return &operator{app: a, args: args, engine: e, log: logs.Of(log, logs.Reload), levels: levels, drains: make(chan time.Duration, 1), notify: a.notifier(log), set: s}
}

// Reload reads flags, variables and file again and puts in force what can change; with an error everything stays as it was.
func (o *operator) Reload(context.Context) (admin.Reload, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notify.reloading()
	defer o.notify.ready("serving")
	done, err := o.reload()
	if err != nil {
		o.log.Error("reload failed; everything stays as it was", slog.Any("error", err))
		return admin.Reload{}, err
	}
	return done, nil
}

func (o *operator) reload() (done admin.Reload, err error) {
	s, warnings, err := o.app.load(o.args)
	if err != nil {
		return done, err
	}
	for _, w := range warnings {
		o.log.Warn(w.text, slog.String(w.key, w.value))
	}
	if _, err := o.app.ensureSecret(s); err != nil {
		return done, err
	}
	applied, err := o.engine.Apply(s)
	if err != nil {
		return done, err
	}
	if was := o.set; was.LogLevel != s.LogLevel || !maps.Equal(was.LogParts, s.LogParts) { // else what epoxy log-level set stays
		o.levels.Use(s.LogLevel, s.LogParts)
	}
	o.set = s
	for _, c := range applied.Changes {
		o.log.Info("changed", slog.String("setting", c.String()))
		if c.Restart {
			done.Restart = append(done.Restart, c.String())
		} else {
			done.Applied = append(done.Applied, c.String())
		}
	}
	done.Kept, done.Draining = applied.Kept, applied.Draining
	o.log.Info("reloaded", slog.Int("changes", len(applied.Changes)), slog.Int("after_restart", len(done.Restart)),
		slog.Int("clients_kept", applied.Kept), slog.Int("clients_draining", applied.Draining))
	return done, nil
}

// watch reloads when the settings file changes, until stop is closed.
func (o *operator) watch(path string, stop <-chan struct{}) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	now := stampOf(path)
	w := watcher{used: now, last: now}
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if w.look(stampOf(path)) {
				o.log.Info("the settings file has changed", slog.String("file", path))
				_, _ = o.Reload(context.Background()) // it was logged
			}
		}
	}
}

// Drain makes the process stop as a signal would; below 0 is --drain.
func (o *operator) Drain(limit time.Duration) error {
	if limit < 0 {
		limit = o.drain()
	}
	select {
	case o.drains <- limit:
		return nil
	default:
		return errors.New("the proxy drains already")
	}
}

// drain returns --drain as it is in force.
func (o *operator) drain() time.Duration { return o.settings().Drain }

// settings returns those in force.
func (o *operator) settings() *config.Settings {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.set
}

// wait returns when the engine ended: by itself, after a signal or an order and the drain, or at a second signal.
func (o *operator) wait() error {
	stop := make(chan struct{})
	defer close(stop)
	if s := o.settings(); s.Watch {
		go o.watch(s.File, stop)
	}
	var limit time.Duration
	for draining := false; !draining; {
		select {
		case <-o.engine.Done():
			if err := o.engine.Err(); err != nil {
				return err
			}
			return errors.New("the engine stopped by itself")
		case sig := <-o.app.signals:
			if sig == syscall.SIGHUP {
				_, _ = o.Reload(context.Background()) // it was logged
				continue
			}
			limit, draining = o.drain(), true
			o.log.Info("draining; a second signal exits at once", slog.String("signal", sig.String()), slog.Duration("drain", limit))
		case limit = <-o.drains:
			draining = true
			o.log.Info("draining by order; a signal exits at once", slog.Duration("drain", limit))
		}
	}
	o.notify.stopping("draining, for " + limit.String() + " at most")
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	drained := make(chan struct{})
	go func() {
		o.engine.Drain(ctx)
		close(drained)
	}()
	for {
		select {
		case <-drained:
			o.log.Info("stopped")
			return nil
		case sig := <-o.app.signals:
			if sig != syscall.SIGHUP {
				return &exitError{signalCode(sig), fmt.Errorf("stopped by a second signal, sessions were cut")}
			}
		}
	}
}

// signalCode is what a shell reports for a program that sig ended.
func signalCode(sig os.Signal) int {
	if n, ok := sig.(syscall.Signal); ok {
		return 128 + int(n)
	}
	return exitFault
}
