package buf

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

var pools = map[string]*Pool{"Handshake": Handshake, "Partial": Partial, "Chunk": Chunk}

func TestGetIsEmptyAndRoomy(t *testing.T) {
	for name, p := range pools {
		for range 100 {
			b := p.Get()
			if len(b.B) != 0 || cap(b.B) < p.size {
				t.Fatalf("%s: %d of %d bytes", name, len(b.B), cap(b.B))
			}
			b.B = append(b.B, "something"...)
			p.Put(b)
		}
	}
}

// Buffers that are out at the same time never share memory.
func TestNoSharing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			b    *Buffer
			want []byte
		}
		p := newPool(16, 256)
		var out []held
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(out) > 0 && rapid.Bool().Draw(t, "put") {
				at := rapid.IntRange(0, len(out)-1).Draw(t, "which")
				p.Put(out[at].b)
				out = append(out[:at], out[at+1:]...)
				continue
			}
			h := held{p.Get(), bytes.Repeat([]byte{byte(i)}, rapid.IntRange(0, 400).Draw(t, "size"))}
			h.b.B = append(h.b.B, h.want...)
			out = append(out, h)
		}
		for _, h := range out {
			if !bytes.Equal(h.b.B, h.want) {
				t.Fatalf("a buffer holds %x, want %x", h.b.B, h.want)
			}
		}
	})
}

func TestPoison(t *testing.T) {
	b := poisoned(20)
	if len(b.B) != 0 || !bytes.Equal(b.B[:20], bytes.Repeat([]byte{poison}, 20)) {
		t.Errorf("a new buffer holds %x", b.B[:cap(b.B)])
	}
	b.B = append(b.B, "kept too long"...)
	kept := b.B[5:13]
	retire(b)
	if !bytes.Equal(kept, bytes.Repeat([]byte{poison}, 8)) || b.B != nil {
		t.Errorf("a retired buffer holds %q", kept)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic on the second Put")
		}
	}()
	retire(b)
}

// What the build says: only the debug one notices.
func TestDoublePut(t *testing.T) {
	if !debug {
		t.Skip("not a debug build: run with -tags epoxydebug")
	}
	for name, p := range pools {
		func() {
			b := p.Get()
			p.Put(b)
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			p.Put(b)
		}()
	}
}
