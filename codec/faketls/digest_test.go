package faketls

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"epoxy/codec"
)

// A39, A40: under any secret a hello parses, and gives back its time and domain; another secret reads
// the same SNI and refuses the digest.
func TestCheckAnySecret(t *testing.T) {
	shares := testShares(t)
	d := NewDigester()
	rapid.Check(t, func(t *rapid.T) {
		c := ClientHello{
			Domain:  rapid.StringMatching(`[a-z0-9.-]{4,182}`).Draw(t, "domain"),
			Unix:    rapid.Uint32().Draw(t, "unix"),
			Shares:  shares,
			Shape:   rapid.SampledFrom([]Shape{Browser, Classic517, Small}).Draw(t, "shape"),
			Version: rapid.SampledFrom([]byte{0, 1, 2, 3}).Draw(t, "version"),
			Records: rapid.SliceOfN(rapid.IntRange(1, 600), 0, 4).Draw(t, "records"),
		}
		copy(c.Secret[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "secret"))
		p, err := c.Append(nil, source(rapid.Byte().Draw(t, "seed")))
		if err != nil {
			t.Fatal(err)
		}
		h, used, err := ParseHello(p, nil)
		if err != nil || used != len(p) {
			t.Fatalf("used %d of %d, %v", used, len(p), err)
		}
		unix, ok := d.Check(NewKey(c.Secret), &h)
		if !ok || unix != c.Unix || string(h.SNI) != c.Domain || len(h.SessionID) != 32 {
			t.Fatalf("digest %v, time %d, SNI %q", ok, unix, h.SNI)
		}
		wrong := c.Secret
		wrong[rapid.IntRange(0, 15).Draw(t, "byte")] ^= 1
		if _, ok := d.Check(NewKey(wrong), &h); ok {
			t.Fatal("another secret opens it")
		}
	})
}

// Every bit of the record counts, but the last four bytes of the random: those shift the time.
func TestCheckEveryByte(t *testing.T) {
	p := testHello(t, Small)
	d, k := NewDigester(), NewKey(testSecret)
	for at := range p {
		h := mustParse(t, p)
		h.Record = replace(p, at, p[at]^1)
		h.Random = h.Record[randomAt:sessionAt]
		unix, ok := d.Check(k, &h)
		shifted := at >= randomAt+signedSize && at < sessionAt
		if ok != shifted || shifted && unix == testUnix {
			t.Errorf("byte %d: digest %v, time %d", at, ok, unix)
		}
	}
}

func TestKeyHidesSecret(t *testing.T) {
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, NewKey(codec.Key{})); strings.TrimPrefix(s, "&") != "faketls.Key" {
			t.Errorf("%s: %s", format, s)
		}
	}
}

// A key that is made anew in old memory is the key that NewKey makes.
func TestRekey(t *testing.T) {
	d, k := NewDigester(), new(Key)
	for i := range 3 {
		secret := codec.Key{byte(i), 15: byte(7 * i)}
		d.Rekey(k, secret)
		want := NewKey(secret)
		if !bytes.Equal(k.inner, want.inner) || !bytes.Equal(k.outer, want.outer) {
			t.Fatalf("key %d differs", i)
		}
	}
	if d.pad != [64]byte{} {
		t.Error("the secret stays in the scratch")
	}
}
