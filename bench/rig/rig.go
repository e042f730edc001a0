// Package rig starts proxies and the fake Telegram as pinned processes, ends them, and runs load against them. It is the bench on
// which compare, density and soak stand.
package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Rig is where processes run.
type Rig struct {
	Bench    string // the program epoxy-bench
	Epoxy    string // the program epoxy
	Dir      string // logs and state, which must exist
	ProxyCPU string // list of CPUs as taskset reads it; empty is any
	LoadCPU  string // of the fake Telegram and the load
	DC       string // where the fake datacenter is to be found, IP:PORT; empty is a free port on 127.0.0.1
}

// Child is a process that the rig started, in a process group of its own.
type Child struct {
	Name string

	cmd  *exec.Cmd
	done chan struct{} // closed when it ended
	err  error         // why; read after done
}

// Start runs a program, pinned to cpus, its output in Dir/NAME.log. The caller stops it.
func (r *Rig) Start(name, cpus string, argv ...string) (*Child, error) {
	log, err := os.Create(filepath.Join(r.Dir, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	argv = pinned(cpus, argv)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	_ = log.Close() // the child has its own
	if err != nil {
		return nil, fmt.Errorf("rig: start %s: %w", name, err)
	}
	c := &Child{Name: name, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = cmd.Wait()
	}()
	return c, nil
}

// pinned puts taskset before a command. It executes the command in its own process, so the pid is the command's.
func pinned(cpus string, argv []string) []string {
	if cpus == "" {
		return argv
	}
	return append([]string{"taskset", "-c", cpus}, argv...)
}

// PID is the process's number.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Ended is closed when the process is gone.
func (c *Child) Ended() <-chan struct{} { return c.done }

// Signal sends one to the process alone.
func (c *Child) Signal(s syscall.Signal) error { return c.cmd.Process.Signal(s) }

// Stop ends the process and its children, and returns when it is gone.
func (c *Child) Stop() {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-c.PID(), s) // gone already, perhaps
		select {
		case <-c.done:
			_ = syscall.Kill(-c.PID(), syscall.SIGKILL) // what it left behind
			return
		case <-time.After(stopTime):
		}
	}
	<-c.done
}

// errEnded is a process that should run and does not.
var errEnded = errors.New("rig: the process ended")

// failure says why a child is of no use, with the end of its log.
func (r *Rig) failure(c *Child, err error) error {
	return fmt.Errorf("rig: %s: %w\n%s", c.Name, err, r.Tail(c.Name))
}

// Tail returns the end of a child's log.
func (r *Rig) Tail(name string) string {
	f, err := os.Open(filepath.Join(r.Dir, name+".log"))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailSize {
		_, _ = f.Seek(-tailSize, io.SeekEnd) // else all of it
	}
	text, _ := io.ReadAll(f) // as much as there is
	return string(text)
}

// pause waits, or until ctx or the child ends.
func pause(ctx context.Context, c *Child, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return errEnded
	case <-time.After(d):
		return nil
	}
}
