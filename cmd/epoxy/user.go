package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"epoxy/engine/config"
)

// identity is whom the process becomes.
type identity struct {
	name     string // as --user has it
	uid, gid int
	groups   []int // all of them
}

// identity looks up s.User. It is nil when nobody else is wanted, or we are that one already.
func (a *app) identity(s *config.Settings) (*identity, error) {
	if s.User == (config.Account{}) {
		return nil, nil
	}
	fault := func(problem, cure string) error {
		return usage(fmt.Errorf("--user %q: %s; %s", s.User, problem, cure))
	}
	u, err := user.Lookup(s.User.User)
	if err != nil {
		if u, err = user.LookupId(s.User.User); err != nil {
			return nil, fault("this machine has no such user", "useradd --system --shell /usr/sbin/nologin epoxy makes one")
		}
	}
	id := &identity{name: s.User.String()}
	group := u.Gid
	if s.User.Group != "" {
		g, err := user.LookupGroup(s.User.Group)
		if err != nil {
			if g, err = user.LookupGroupId(s.User.Group); err != nil {
				return nil, fault("this machine has no such group", "leave :GROUP out for the user's own")
			}
		}
		group = g.Gid
	}
	if id.uid, err = strconv.Atoi(u.Uid); err == nil {
		id.gid, err = strconv.Atoi(group)
	}
	if err != nil {
		return nil, fault("this user has no number", "name another one")
	}
	switch {
	case id.uid == 0:
		return nil, fault("this user is root", "leave --user out, or name one that may less")
	case a.uid == id.uid:
		return nil, nil
	case a.uid != 0:
		return nil, fault("only root may become another user", "start as root, or leave --user out")
	}
	id.groups = []int{id.gid}
	all, err := u.GroupIds()
	if err != nil {
		return nil, fault("its groups cannot be read: "+err.Error(), "name another one")
	}
	for _, text := range all {
		if g, err := strconv.Atoi(text); err == nil && !slices.Contains(id.groups, g) {
			id.groups = append(id.groups, g)
		}
	}
	return id, nil
}

// claim makes dir when there is none, with mode 0700, and gives it to id with all that root left there. A directory that
// others may enter is not ours to give away.
func claim(dir string, id *identity) error {
	if id == nil || dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--state-dir: %w; name a place that can be written", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("--state-dir: %w", err)
	}
	defer func() { _ = root.Close() }()
	info, err := root.Stat(".")
	if err != nil {
		return fmt.Errorf("--state-dir: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("--state-dir %q: others may enter it (mode %04o), so it is not given to %s; chmod 700 it if it is Epoxy's alone, or name another one", dir, info.Mode().Perm(), id.name)
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := root.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch { // a second name of a file may be one that its owner planted here
		case !ok, st.Uid != 0, !info.IsDir() && (!info.Mode().IsRegular() || st.Nlink != 1):
			return nil
		}
		return root.Lchown(path, id.uid, id.gid)
	})
	if err != nil {
		return fmt.Errorf("--state-dir %q cannot be given to %s: %w", dir, id.name, err)
	}
	return nil
}

// drop makes the whole process id, for good. It keeps what caps name and nothing else of root's.
func drop(id *identity, caps uint64) error {
	if err := becomes(id, caps); err != nil {
		cure := "start without --user"
		if errors.Is(err, syscall.ENOTSUP) {
			cure = "build with CGO_ENABLED=0, as make build does"
		}
		return fmt.Errorf("--user %q: %w; %s", id.name, err, cure)
	}
	return nil
}
