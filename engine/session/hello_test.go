package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"epoxy/codec"
	"epoxy/codec/faketls"
)

// sign makes the digest of a hello right again after a test changed it (spec client-protocols 4.1), without
// any of our own code.
func sign(hello []byte, key codec.Key, unix uint32) []byte {
	random := hello[11:43]
	clear(random)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(hello)
	sum := mac.Sum(nil)
	copy(random, sum)
	binary.LittleEndian.PutUint32(random[28:], unix^binary.LittleEndian.Uint32(sum[28:]))
	return hello
}

// Rows 17 and 18 at the edges, 20 to 28, 31: hellos with a good digest that differ from the usual.
func TestGoodDigests(t *testing.T) {
	build := func(r *rig, change func(*faketls.ClientHello)) []byte {
		shares, err := faketls.NewShares(r.loop.Rand)
		if err != nil {
			t.Fatal(err)
		}
		c := faketls.ClientHello{Domain: "example.com", Secret: testKey, Unix: testTime, Shares: shares}
		change(&c)
		p, err := c.Append(nil, r.loop.Rand)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	cases := []struct {
		name  string
		why   codec.Reason // ReasonNone: answered
		bytes func(r *rig) []byte
	}{
		{"row 17 ten minutes old", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Unix = testTime - 600 })
		}},
		{"row 17 a second more", codec.ReasonHelloTime, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Unix = testTime - 601 })
		}},
		{"row 18 ten minutes ahead", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Unix = testTime + 600 })
		}},
		{"row 18 a second more", codec.ReasonHelloTime, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Unix = testTime + 601 })
		}},
		{"row 18 the end of time", codec.ReasonHelloTime, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Unix = 0xffffffff })
		}},
		{"row 21 other SNI", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Domain = "elsewhere.example" })
		}},
		{"row 22 no SNI", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Domain = "" })
		}},
		{"row 23 no TLS 1.3 suite", codec.ReasonHelloSuite, func(r *rig) []byte {
			p := build(r, func(*faketls.ClientHello) {})
			n := int(binary.BigEndian.Uint16(p[76:]))
			for at := 78; at < 78+n; at += 2 {
				if p[at] == 0x13 {
					p[at], p[at+1] = 0xc0, 0x2f
				}
			}
			return sign(p, testKey, testTime)
		}},
		{"row 24 no key share", codec.ReasonHelloShare, func(r *rig) []byte {
			p := build(r, func(*faketls.ClientHello) {})
			at := 78 + int(binary.BigEndian.Uint16(p[76:])) + 2
			for at += 2; at+4 <= len(p); at += 4 + int(binary.BigEndian.Uint16(p[at+2:])) {
				if binary.BigEndian.Uint16(p[at:]) == 0x33 {
					binary.BigEndian.PutUint16(p[at:], 0xfabc)
				}
			}
			return sign(p, testKey, testTime)
		}},
		{"row 25 173 to 280 bytes", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Shape = faketls.Small })
		}},
		{"row 26 ML-KEM", 0, func(r *rig) []byte { return build(r, func(*faketls.ClientHello) {}) }},
		{"row 28 two records", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Records = []int{100} })
		}},
		{"row 28 sixteen records", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Records = slices.Repeat([]int{90}, 15) })
		}},
		{"row 31 version 0303", 0, func(r *rig) []byte {
			return build(r, func(c *faketls.ClientHello) { c.Version = 3 })
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(tlsOnly)
			hello := c.bytes(r)
			r.feed(hello)
			if c.why != codec.ReasonNone {
				wantSilence(t, r, c.why)
				return
			}
			wantState(t, r, Opening)
			// Row 27: the same in two segments.
			again := newRig(tlsOnly)
			again.feed(hello[:len(hello)/2])
			again.feed(hello[len(hello)/2:])
			wantState(t, again, Opening)
		})
	}
}
