//go:build !race

package faketls

import (
	"testing"

	"epoxy/codec"
)

// A key made anew costs no memory: strangers have it made. (The race detector allocates by itself.)
func TestRekeyAllocatesNothing(t *testing.T) {
	d, k := NewDigester(), new(Key)
	d.Rekey(k, codec.Key{1})
	if n := testing.AllocsPerRun(100, func() { d.Rekey(k, codec.Key{9}) }); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
