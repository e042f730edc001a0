package main

import (
	"os"
	"time"
)

const (
	watchTime  = 2 * time.Second // between two looks at the settings file
	watchQuiet = 1               // looks for which a change has to have settled, so that half a file is not read
)

// stamp is what tells a file from its next version: an editor or a deployment replaces it, or writes into it.
type stamp struct {
	info os.FileInfo // nil when there is none
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

// same reports whether both are one version of one file.
func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info
	}
	return os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// watcher decides when a file that is looked at now and then is worth a reload.
type watcher struct {
	used, last stamp
	quiet      int // looks since it changed
}

// look takes one look and reports whether to reload: the file differs from the one in use, is there, and has settled.
func (w *watcher) look(now stamp) bool {
	if !now.same(w.last) {
		w.last, w.quiet = now, 0
		return false
	}
	w.quiet++
	if now.info == nil || now.same(w.used) || w.quiet < watchQuiet {
		return false
	}
	w.used = now
	return true
}
