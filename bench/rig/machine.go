package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
)

// Machine is where figures were measured, and of what.
type Machine struct {
	CPU    string `json:"cpu"`
	CPUs   int    `json:"cpus"`
	Memory string `json:"memory"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Commit string `json:"commit"` // "+" behind it: with changes
	Files  int    `json:"descriptor_limit"`
}

// ThisMachine reads /proc and the program's build.
func ThisMachine() Machine {
	return Machine{
		CPU: field("/proc/cpuinfo", "model name"), CPUs: runtime.NumCPU(), Memory: field("/proc/meminfo", "MemTotal"),
		Kernel: strings.TrimSpace(text("/proc/sys/kernel/osrelease")), Go: runtime.Version(), Commit: commit(), Files: FileLimit(),
	}
}

// String is one line for people.
func (m Machine) String() string {
	return fmt.Sprintf("%s, %d CPUs, %s of memory, Linux %s, %s, commit %s", m.CPU, m.CPUs, m.Memory, m.Kernel, m.Go, m.Commit)
}

// FileLimit returns how many descriptors a process here may have.
func FileLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	return int(min(l.Max, 1<<30))
}

// Programs returns this program and epoxy beside it, or the one in PATH.
func Programs() (bench, epoxy string, err error) {
	if bench, err = os.Executable(); err != nil {
		return "", "", fmt.Errorf("rig: %w", err)
	}
	epoxy = filepath.Join(filepath.Dir(bench), "epoxy")
	if _, err := os.Stat(epoxy); err == nil {
		return bench, epoxy, nil
	}
	if epoxy, err = exec.LookPath("epoxy"); err != nil {
		return bench, "", fmt.Errorf("rig: no program epoxy beside %s, nor in PATH: %w", bench, err)
	}
	return bench, epoxy, nil
}

// CPUs splits this machine in two: the first CPU for the proxy, another for the rest. Both are empty where there is only one, or
// no taskset.
func CPUs() (proxy, rest string) {
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		return "", ""
	}
	return "0", "1"
}

func commit() string {
	var revision, changed string
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value[:min(len(s.Value), 7)]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = "+"
			}
		}
	}
	if revision == "" {
		if out, err := exec.Command("git", "describe", "--always", "--dirty=+", "--exclude=*").Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
		return "unknown"
	}
	return revision + changed
}

// field returns the value of the first line "name : value" of a file.
func field(file, name string) string {
	for line := range strings.Lines(text(file)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

func text(file string) string {
	p, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(p)
}
