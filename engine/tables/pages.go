package tables

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"go.etcd.io/bbolt"
)

var errTree = errors.New("tables: its pages make no tree")

// pages looks at a file below bbolt, which follows a ring of damaged pages until memory ends: from the root
// on, each page must be reached once. A page is a head and elements, numbers in the machine's order
// (bbolt, internal/common/page.go):
//
//	id u64 | flags u16 | count u16 | overflow u32 | count × element, 16 bytes | keys and values
//
// An element of a branch ends with its child's id, u64. One of a leaf is flags, position from its own
// start, key size and value size, u32 each; flags 1 is a bucket, whose value begins with its root's id, u64,
// or 0 for a bucket inside the value.
type pages struct {
	file io.ReaderAt
	size uint64 // of a page
	seen []bool // by id
}

const (
	headSize    = 16
	elementSize = 16
	metaRoot    = headSize + 16 // where a meta page has the id of the root
	branchPage  = 1
	leafPage    = 2
	bucketLeaf  = 1
)

// checkPages checks the file of tx at path.
func checkPages(tx *bbolt.Tx, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := uint64(tx.DB().Info().PageSize)
	p := &pages{file: f, size: size, seen: make([]bool, uint64(tx.Size())/size)}
	var root [8]byte
	if _, err := f.ReadAt(root[:], int64(uint64(tx.ID()%2)*size)+metaRoot); err != nil { // the meta page of this transaction
		return err
	}
	return p.walk(binary.NativeEndian.Uint64(root[:]))
}

// walk checks the page id and all below it.
func (p *pages) walk(id uint64) error {
	if id < 2 || id >= uint64(len(p.seen)) || p.seen[id] { // 0 and 1 are the meta pages
		return errTree
	}
	p.seen[id] = true
	page := make([]byte, p.size)
	if _, err := p.file.ReadAt(page, int64(id*p.size)); err != nil {
		return err
	}
	flags, count := binary.NativeEndian.Uint16(page[8:]), uint64(binary.NativeEndian.Uint16(page[10:]))
	more := uint64(binary.NativeEndian.Uint32(page[12:]))
	if binary.NativeEndian.Uint64(page) != id || more >= uint64(len(p.seen))-id {
		return errTree
	}
	if more > 0 {
		page = make([]byte, (more+1)*p.size)
		if _, err := p.file.ReadAt(page, int64(id*p.size)); err != nil {
			return err
		}
	}
	if headSize+count*elementSize > uint64(len(page)) {
		return errTree
	}
	for i := range count {
		at := headSize + i*elementSize
		var child uint64
		switch flags {
		case branchPage:
			child = binary.NativeEndian.Uint64(page[at+8:])
		case leafPage:
			if binary.NativeEndian.Uint32(page[at:]) != bucketLeaf {
				continue
			}
			value := at + uint64(binary.NativeEndian.Uint32(page[at+4:])) + uint64(binary.NativeEndian.Uint32(page[at+8:]))
			if value+8 > uint64(len(page)) {
				return errTree
			}
			if child = binary.NativeEndian.Uint64(page[value:]); child == 0 {
				continue
			}
		default:
			return errTree
		}
		if err := p.walk(child); err != nil {
			return err
		}
	}
	return nil
}
