package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"epoxy/engine/config"
)

// What the kernel calls things (linux/capability.h, linux/prctl.h).
const (
	capNetBind  = 10 // ports below 1024
	capNetAdmin = 12 // SO_MARK
	capNetRaw   = 13 // SO_BINDTODEVICE

	capVersion3 = 0x20080522

	prSetKeepCaps   = 8
	prSetNoNewPrivs = 38
	prCapAmbient    = 47
	ambientRaise    = 2
)

// capsOf returns the capabilities that s needs for good, a bit each: a reload may open ports below 1024 and dials go on.
func capsOf(s *config.Settings) uint64 {
	caps := uint64(1) << capNetBind
	if s.Mark != 0 {
		caps |= 1 << capNetAdmin
	}
	if s.Interface != "" {
		caps |= 1 << capNetRaw
	}
	return caps
}

// becomes changes users, groups and capabilities of every thread: the kernel knows threads only, and syscall's
// AllThreadsSyscall stops them all for each step. A child gets the capabilities too (ambient), and nothing by set-user-id files.
func becomes(id *identity, caps uint64) error {
	if err := prctl(prSetKeepCaps, 1, 0); err != nil {
		return fmt.Errorf("keep capabilities: %w", err)
	}
	if err := syscall.Setgroups(id.groups); err != nil {
		return fmt.Errorf("change groups: %w", err)
	}
	if err := syscall.Setgid(id.gid); err != nil {
		return fmt.Errorf("change the group: %w", err)
	}
	if err := syscall.Setuid(id.uid); err != nil {
		return fmt.Errorf("change the user: %w", err)
	}
	if err := setCaps(caps); err != nil {
		return fmt.Errorf("set capabilities: %w", err)
	}
	for n := range uintptr(64) {
		if caps>>n&1 != 0 {
			if err := prctl(prCapAmbient, ambientRaise, n); err != nil {
				return fmt.Errorf("set ambient capabilities: %w", err)
			}
		}
	}
	if err := prctl(prSetNoNewPrivs, 1, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	return nil
}

// prctl is prctl(2) on all threads.
func prctl(option, a, b uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, option, a, b, 0, 0, 0)
	return asError(errno)
}

// setCaps makes caps the effective, permitted and inheritable capabilities of all threads.
func setCaps(caps uint64) error {
	head := struct {
		version uint32
		pid     int32 // 0 is the calling thread
	}{version: capVersion3}
	var data [2]struct{ effective, permitted, inheritable uint32 } // low and high bits
	for i := range data {
		word := uint32(caps >> (32 * i))
		data[i].effective, data[i].permitted, data[i].inheritable = word, word, word
	}
	_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data)), 0)
	return asError(errno)
}

func asError(errno syscall.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
