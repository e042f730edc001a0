package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// The size of a terminal that does not tell it.
const (
	defaultColumns = 80
	defaultRows    = 24
)

// openScreen takes the terminal: keys come one by one and are not echoed, until restore. Ctrl-C stays a signal.
// Where in is no terminal there are no keys.
func openScreen(in, out *os.File) (*screen, error) {
	s := &screen{size: func() (int, int) { return sizeOf(out) }, restore: func() {}}
	var before syscall.Termios
	err := ioctl(in, syscall.TCGETS, unsafe.Pointer(&before))
	if errors.Is(err, syscall.ENOTTY) {
		return s, nil
	}
	raw := before
	raw.Lflag &^= syscall.ICANON | syscall.ECHO
	raw.Cc[syscall.VMIN], raw.Cc[syscall.VTIME] = 1, 0
	if err == nil {
		err = ioctl(in, syscall.TCSETS, unsafe.Pointer(&raw))
	}
	if err != nil {
		return nil, fmt.Errorf("the terminal cannot be set up: %w", err)
	}
	s.restore = func() { _ = ioctl(in, syscall.TCSETS, unsafe.Pointer(&before)) } // the terminal went away
	keys := make(chan byte)
	s.keys = keys
	go func() { // until the program ends
		defer close(keys)
		var one [1]byte
		for {
			if n, err := in.Read(one[:]); n == 0 || err != nil {
				return
			}
			keys <- one[0]
		}
	}()
	return s, nil
}

// sizeOf asks a terminal.
func sizeOf(f *os.File) (columns, rows int) {
	var w struct{ rows, columns, x, y uint16 }
	if err := ioctl(f, syscall.TIOCGWINSZ, unsafe.Pointer(&w)); err != nil || w.rows == 0 || w.columns == 0 {
		return defaultColumns, defaultRows
	}
	return int(w.columns), int(w.rows)
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}
