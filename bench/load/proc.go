package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, the unit of CPU time in /proc, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// Usage is what a process and its children use.
type Usage struct {
	User    time.Duration `json:"user_ns"`
	System  time.Duration `json:"system_ns"`
	Ran     time.Duration `json:"ran_ns"`   // the scheduler's count of both, exact, of threads that live; 0 where it does not tell
	RSS     int64         `json:"rss"`      // bytes
	Anon    int64         `json:"rss_anon"` // bytes, without file pages and shared memory
	FDs     int           `json:"fds"`
	Threads int           `json:"threads"`
}

// CPU returns user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Measure reads the usage of processes and all their descendants from /proc.
func Measure(pids []int) (Usage, error) {
	var sum Usage
	seen := map[int]bool{}
	for todo := append([]int(nil), pids...); len(todo) > 0; {
		pid := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		u, err := measure(pid)
		if err != nil {
			return sum, err
		}
		sum.User += u.User
		sum.System += u.System
		sum.Ran += u.Ran
		sum.RSS += u.RSS
		sum.Anon += u.Anon
		sum.FDs += u.FDs
		sum.Threads += u.Threads
		todo = append(todo, children(pid)...)
	}
	return sum, nil
}

func measure(pid int) (Usage, error) {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		return Usage{}, fmt.Errorf("load: measure process: %w", err)
	}
	u, ok := parseStat(stat)
	if !ok {
		return Usage{}, fmt.Errorf("load: measure process: %sstat is not understood", dir)
	}
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return Usage{}, fmt.Errorf("load: measure process: %w", err)
	}
	u.RSS, u.Anon = statusBytes(status, "VmRSS:"), statusBytes(status, "RssAnon:")
	fds, err := os.ReadDir(dir + "fd")
	if err != nil {
		return Usage{}, fmt.Errorf("load: measure process: %w", err)
	}
	u.FDs = len(fds)
	u.Ran = ran(dir)
	return u, nil
}

// ran sums what the threads of a process spent on a CPU: the first number of each schedstat.
func ran(dir string) (sum time.Duration) {
	tasks, err := os.ReadDir(dir + "task")
	if err != nil {
		return 0
	}
	for _, t := range tasks {
		stat, err := os.ReadFile(dir + "task/" + t.Name() + "/schedstat")
		if err != nil {
			continue // it ended
		}
		first, _, _ := strings.Cut(string(stat), " ")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil {
			sum += time.Duration(n)
		}
	}
	return sum
}

// parseStat takes utime, stime and num_threads from /proc/PID/stat: fields 14, 15 and 20, counted from behind
// the command's name, which may hold anything.
func parseStat(stat []byte) (u Usage, ok bool) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 18 {
		return u, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	threads, err3 := strconv.Atoi(fields[17])
	u.User, u.System, u.Threads = time.Duration(user)*clockTick, time.Duration(system)*clockTick, threads
	return u, err1 == nil && err2 == nil && err3 == nil
}

// statusBytes returns a line like "VmRSS:  123 kB" of /proc/PID/status in bytes, 0 when it is missing.
func statusBytes(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return 0
		}
		return n << 10
	}
	return 0
}

// children returns the processes that pid started and that live; none where the kernel does not tell.
func children(pid int) (pids []int) {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, t := range tasks {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		if err != nil {
			continue
		}
		for field := range strings.FieldsSeq(string(list)) {
			if n, err := strconv.Atoi(field); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
