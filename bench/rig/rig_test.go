package rig

import (
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, r *Rig, name, shell string) *Child {
	t.Helper()
	c, err := r.Start(name, "", "sh", "-c", shell)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

// TestStopEndsTheGroup checks that what a child started ends with it, and that nobody else does.
func TestStopEndsTheGroup(t *testing.T) {
	r := &Rig{Dir: t.TempDir()}
	other := start(t, r, "other", "exec sleep 60")
	c := start(t, r, "parent", "sleep 60 & echo $!; wait")
	var grandchild int
	for end := time.Now().Add(20 * time.Second); grandchild == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		grandchild, _ = strconv.Atoi(strings.TrimSpace(r.Tail("parent"))) // 0 until it is there
	}
	if grandchild == 0 {
		t.Fatal("no grandchild")
	}
	c.Stop()
	c.Stop() // once more changes nothing
	<-c.Ended()
	for end := time.Now().Add(20 * time.Second); alive(grandchild); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the grandchild lives")
		}
	}
	if !alive(other.PID()) {
		t.Error("somebody else was ended")
	}
}

// alive is false for a zombie too.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestAProxyThatEnds(t *testing.T) {
	r := &Rig{Dir: t.TempDir(), Bench: "/bin/false"}
	at, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.StartProxy(t.Context(), &Proxy{Name: "bad", Addr: at, Argv: []string{"sh", "-c", "echo no such flag; exit 3"}})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no such flag") {
		t.Errorf("error %v", err)
	}
	if _, err := r.Start("none", "", "/no/such/program"); err == nil {
		t.Error("no program")
	}
	if _, err := r.Load(t.Context(), &Proxy{Addr: at}, 0, "small"); err == nil {
		t.Error("a load without a report")
	}
}

func TestSignalReaches(t *testing.T) {
	r := &Rig{Dir: t.TempDir()}
	c := start(t, r, "listener", "trap 'echo heard; exit' HUP; echo ready; while :; do sleep 0.02; done")
	sent := false
	for end := time.Now().Add(20 * time.Second); !strings.Contains(r.Tail("listener"), "heard"); time.Sleep(time.Millisecond) {
		if !sent && strings.Contains(r.Tail("listener"), "ready") {
			sent = c.Signal(syscall.SIGHUP) == nil
		}
		if time.Now().After(end) {
			t.Fatal("not heard")
		}
	}
}

func TestPinned(t *testing.T) {
	if got := strings.Join(pinned("0,2", []string{"a", "b"}), " "); got != "taskset -c 0,2 a b" {
		t.Error(got)
	}
	if got := pinned("", []string{"a"}); len(got) != 1 {
		t.Error(got)
	}
}

func TestFreeAddr(t *testing.T) {
	at, err := FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	if m.CPUs < 1 || m.Files < 1 || !strings.HasPrefix(m.Go, "go1.") || m.Kernel == "" || m.Commit == "" {
		t.Errorf("%+v", m)
	}
	if text := m.String(); !strings.Contains(text, m.Kernel) || !strings.Contains(text, m.Commit) {
		t.Error(text)
	}
}
