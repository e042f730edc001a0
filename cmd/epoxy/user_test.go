package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"epoxy/engine/config"
)

func TestIdentityFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		uid  int
		want string
	}{
		{"nobody-of-this-name", 0, `--user "nobody-of-this-name": this machine has no such user; useradd `},
		{"nobody:group-of-no-name", 0, `this machine has no such group; leave :GROUP out`},
		{"root", 0, `--user "root": this user is root; leave --user out`},
		{"nobody", 1000, `--user "nobody": only root may become another user; start as root, or leave --user out`},
	} {
		w := newWorld(t)
		w.uid = c.uid
		if code := w.do("run", "--secret", testKey, "--admin", "off", "--user", c.name); code != exitUsage || !strings.Contains(w.errs.String(), c.want) {
			t.Errorf("%s: exit %d, %s", c.name, code, w.errs)
		}
	}
	a := &app{uid: 65534}
	if id, err := a.identity(&config.Settings{User: config.Account{User: "65534"}}); id != nil || err != nil {
		t.Errorf("who is that user already becomes %v, %v", id, err)
	}
}

// claim gives away what root left in the directory, not what somebody planted there, and no directory of others.
func TestClaim(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	id := &identity{name: "somebody", uid: 12345, gid: 12346}
	dir := filepath.Join(t.TempDir(), "a", "state")
	if err := claim(dir, id); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for _, err := range []error{
		os.WriteFile(outside, nil, 0o600),
		os.WriteFile(filepath.Join(dir, "ours"), nil, 0o600), os.Mkdir(filepath.Join(dir, "below"), 0o700),
		os.WriteFile(filepath.Join(dir, "below", "ours"), nil, 0o600),
		os.Link(outside, filepath.Join(dir, "hard")), os.Symlink(outside, filepath.Join(dir, "soft")),
		os.WriteFile(filepath.Join(dir, "another's"), nil, 0o600), os.Chown(filepath.Join(dir, "another's"), 777, 777),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := claim(dir, id); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{".": 12345, "ours": 12345, "below": 12345, "below/ours": 12345, "hard": 0, "soft": 0, "another's": 777} {
		if got := owner(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s belongs to %d, want %d", name, got, want)
		}
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := claim(open, id); err == nil || !strings.Contains(err.Error(), "chmod 700 it") || owner(t, open) != 0 {
		t.Errorf("a directory that others may enter: %v", err)
	}
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

// built returns the program as make build makes it: without cgo, so that all threads can change user.
func built(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "epoxy")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// low returns a free port below 1024 on loopback.
func low(t *testing.T, not string) string {
	t.Helper()
	for port := 1023; port > 600; port-- {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			if addr != not {
				return addr
			}
		}
	}
	t.Skip("no port below 1024 is free")
	return ""
}

// Started as root, all threads become the user and keep one capability, the state is the user's, and a reload opens another
// port below 1024.
func TestRootIsGone(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if testing.Short() {
		t.Skip("builds the program")
	}
	dir, err := os.MkdirTemp("", "epoxy-user-") // t.TempDir's parents are closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	first, state, file := low(t, ""), filepath.Join(dir, "state"), filepath.Join(dir, "epoxy.toml")
	second := low(t, first)
	settings := func(ports ...string) {
		text := "user = \"nobody\"\nupstream = \"direct\"\ndrain = 0\nadmin = \"off\"\n"
		for _, p := range ports {
			text += "[[port]]\nlisten = \"" + p + "\"\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	settings(first)
	var errs text
	cmd := exec.Command(built(t), "run", "--config", file, "--state-dir", state)
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Kill() // it has ended where the test went well
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	said := func(what string) {
		t.Helper()
		for limit := time.Now().Add(30 * time.Second); !strings.Contains(errs.String(), what); <-tick.C {
			if time.Now().After(limit) {
				t.Fatalf("no %q in %s", what, errs.String())
			}
		}
	}
	said("msg=serving")
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", cmd.Process.Pid))
	if err != nil || len(threads) < 3 {
		t.Fatalf("threads are %v, %v", threads, err)
	}
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // it ended
		}
		for _, want := range []string{
			"Uid:\t65534\t65534\t65534\t65534\n", "Gid:\t65534\t65534\t65534\t65534\n", "CapEff:\t0000000000000400\n", "CapPrm:\t0000000000000400\n",
			"NoNewPrivs:\t1\n", "Groups:\t65534 \n",
		} {
			if !bytes.Contains(status, []byte(want)) {
				t.Errorf("%s has no %q:\n%s", path, want, status)
			}
		}
	}
	files := 0
	err = filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		if info.Mode().Perm()&0o077 != 0 || owner(t, path) != 65534 {
			t.Errorf("%s has mode %v and belongs to %d", path, info.Mode(), owner(t, path))
		}
		return nil
	})
	if err != nil || files < 3 {
		t.Errorf("%d files in the state directory, %v", files, err)
	}

	settings(first, second)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	said("msg=reloaded")
	c, err := net.Dial("tcp", second)
	if err != nil {
		t.Fatalf("the port of the reload: %v, %s", err, errs.String())
	}
	c.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := await(t, "the end", ended); err != nil {
		t.Errorf("%v: %s", err, errs.String())
	}
	if strings.Contains(errs.String(), "level=ERROR") || strings.Contains(errs.String(), "permission") {
		t.Errorf("it complained: %s", errs.String())
	}
}
