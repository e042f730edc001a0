package replay

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Flush writes the handshakes since the last one to the journal and forgets some that are too old. The engine
// calls it every second from a goroutine of its own, for a store in memory too; now is unix seconds. After an
// error, which may come again every second, what was not written is kept for the next Flush as far as
// bounded memory goes.
func (s *Store) Flush(now int64) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.sweep(now)
	return s.flush(now)
}

// Close flushes and ends the journal; the store goes on in memory.
func (s *Store) Close(now int64) error {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	err := s.flush(now)
	j := &s.journal
	if j.file != nil {
		err = errors.Join(err, j.file.Sync(), j.file.Close())
		j.file = nil
	}
	if j.lock != nil {
		j.lock.Close()
		j.lock = nil
	}
	j.closed = true
	return err
}

func (s *Store) flush(now int64) error {
	j := &s.journal
	if !s.saved || j.closed {
		return nil
	}
	var taken error
	if j.lock == nil {
		switch err := j.acquire(); {
		case errors.Is(err, errNoLock):
			return nil // as Open said
		case err != nil:
			s.errors.Add(1)
			return err
		}
		taken = errors.Join(s.load(now, false)...)
	}
	err := s.write(now)
	s.onDisk.Store(j.bytes())
	if err != nil {
		s.errors.Add(1)
	}
	return errors.Join(taken, err)
}

// write appends what is pending, begins a new segment when it is time, and deletes old ones.
func (s *Store) write(now int64) error {
	j := &s.journal
	if len(j.block) == 0 {
		j.block = s.gather(j.block, now)
	}
	if len(j.block) > 0 {
		if err := j.append(s.key.bytes(), now); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		j.block = j.block[:0]
		if cap(j.block) > spareBuffer {
			j.block = nil
		}
	}
	return errors.Join(j.roll(now), j.prune(now))
}

// gather makes a block of the pending hashes of all shards; an empty one when there are none.
func (s *Store) gather(block []byte, now int64) []byte {
	block = append(block, make([]byte, blockHeader)...)
	for i := range s.parts {
		p := &s.parts[i]
		p.mu.Lock()
		for _, hash := range p.pending {
			block = appendHash(block, hash)
		}
		p.pending = p.pending[:0]
		p.mu.Unlock()
	}
	if len(block) == blockHeader {
		return block[:0]
	}
	sealBlock(block, now)
	return block
}

// begin creates a segment.
func (j *journal) begin(key [16]byte) error {
	g := segment{n: j.next, size: fileHeader}
	j.next++
	name := filepath.Join(j.dir, g.name())
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(appendHeader(nil, key)); err != nil {
		f.Close()
		return errors.Join(err, os.Remove(name))
	}
	j.file = f
	j.segments = append(j.segments, g)
	return nil
}

// append writes the block behind what the last segment holds, or nothing.
func (j *journal) append(key [16]byte, now int64) error {
	if j.file == nil {
		if err := j.begin(key); err != nil {
			return err
		}
	}
	g := &j.segments[len(j.segments)-1]
	if _, err := j.file.WriteAt(j.block, g.size); err != nil {
		if j.file.Truncate(g.size) != nil {
			j.file.Close()
			j.file = nil
		}
		return err
	}
	g.size += int64(len(j.block))
	if g.first == 0 {
		g.first = now
	}
	g.last = now
	return nil
}

// roll closes the last segment when it is large or old enough; the next block begins another.
func (j *journal) roll(now int64) error {
	if j.file == nil {
		return nil
	}
	g := j.segments[len(j.segments)-1]
	if g.size < j.full && (g.first == 0 || now-g.first < segmentAge) {
		return nil
	}
	err := errors.Join(j.file.Sync(), j.file.Close())
	j.file = nil
	return err
}

// prune deletes closed segments that hold nothing to remember, and the oldest while there are too many bytes.
// One that cannot be deleted is left to the next start.
func (j *journal) prune(now int64) error {
	closed := len(j.segments)
	total := j.bytes()
	if j.file != nil {
		closed--
		total -= j.segments[closed].size
	}
	var failed error
	kept := j.segments[:0]
	for i, g := range j.segments {
		if i >= closed || now-g.last <= Keep && total <= j.limit {
			kept = append(kept, g)
			continue
		}
		total -= g.size
		if err := os.Remove(filepath.Join(j.dir, g.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	j.segments = kept
	return failed
}
