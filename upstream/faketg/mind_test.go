package faketg

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"epoxy/codec"
)

func counting(p []byte) {
	for i := range p {
		p[i] = byte(i + 1)
	}
}

// ask returns the answer of m to one packet.
func ask(m *Mind, packet []byte) []byte {
	r := m.Answer(packet)
	out := r.Append(nil, counting)
	if len(out) != r.Size {
		panic("a reply of another size than promised")
	}
	return out
}

func TestMindEchoesWhatItDoesNotKnow(t *testing.T) {
	for _, packet := range []string{"abcd", "twenty-eight bytes of a msg ", Magic + "\xff\xff\xff\xff................"} {
		if got := ask(new(Mind), []byte(packet)); string(got) != packet {
			t.Errorf("answer to %q is %q", packet, got)
		}
	}
}

func TestMindCutsPaddingFromEcho(t *testing.T) {
	c := Command{Op: OpEcho, ID: 3, Value: 8, Size: 20}
	packet := c.Append(nil)
	if got := ask(new(Mind), append(bytes.Clone(packet), "paddingpaddi"...)); !bytes.Equal(got, packet) {
		t.Errorf("echo %x, want %x", got, packet)
	}
}

func TestMindAnswersReqPQ(t *testing.T) {
	nonce := "0123456789abcdef"
	// As TDLib pings: msg_id 1 and padding inside the message length.
	for _, id := range []uint32{reqPQMulti, reqPQ} {
		req := binary.LittleEndian.AppendUint64(nil, 0)
		req = binary.LittleEndian.AppendUint64(req, 1)
		req = binary.LittleEndian.AppendUint32(req, 20+12)
		req = binary.LittleEndian.AppendUint32(req, id)
		req = append(req, nonce+"paddingpaddi"...)
		want := "0000000000000000" + "0100000000000000" + "40000000" + "63241605" + hex.EncodeToString([]byte(nonce)) +
			"0102030405060708090a0b0c0d0e0f10" + "0817ed48941a08f981000000" + "15c4b51c" + "01000000" + "216be86c022bb4c3"
		if got := hex.EncodeToString(ask(new(Mind), req)); got != want {
			t.Errorf("req %08x:\n got %s\nwant %s", id, got, want)
		}
	}
}

func TestMindChecksUploads(t *testing.T) {
	m := new(Mind)
	var off uint64
	for _, n := range []uint32{4, 1000, 64} {
		if got := ask(m, Command{Op: OpSink, ID: 5, Value: off, Size: n}.Append(nil)); len(got) > 0 {
			t.Errorf("a sink answered %x", got)
		}
		off += uint64(n)
	}
	if got, want := ask(m, Command{Op: OpSync, ID: 5}.Append(nil)), (Command{Op: OpSynced, ID: 5, Value: 1068}).Append(nil); !bytes.Equal(got, want) {
		t.Errorf("synced %x, want %x", got, want)
	}
	bad := Command{Op: OpSink, ID: 5, Value: off, Size: 8}.Append(nil)
	bad[len(bad)-1] ^= 1
	ask(m, bad)
	if got, want := ask(m, Command{Op: OpSync, ID: 5}.Append(nil)), (Command{Op: OpSynced, ID: 5, Value: 1076, Size: 1}).Append(nil); !bytes.Equal(got, want) {
		t.Errorf("after a wrong byte: synced %x, want %x", got, want)
	}
}

func TestMindPullsASource(t *testing.T) {
	m := new(Mind)
	ask(m, Command{Op: OpSource, ID: 9, Value: 1001, Size: 400}.Append(nil))
	var at uint64
	for m.Left() > 0 {
		p := m.Pull().Append(nil, counting)
		c, n, err := ParseHead(p)
		if err != nil || c.Op != OpData || c.ID != 9 || c.Value != at || int(c.Size) != len(p)-n || !CheckPattern(p[n:], 9, at) {
			t.Fatalf("packet at %d: %+v, %v", at, c, err)
		}
		at += uint64(c.Size)
	}
	if at != 1004 { // rounded up to whole words
		t.Errorf("%d bytes came", at)
	}
	if r := m.Pull(); r.Size != 0 {
		t.Errorf("an ended source gave %d bytes", r.Size)
	}
}

func TestParseHead(t *testing.T) {
	whole := Command{Op: OpData, ID: 1, Value: 1 << 40, Size: 64}.AppendHead(nil)
	for i := range whole {
		if _, n, err := ParseHead(whole[:i]); err != codec.ErrShort || n != 0 {
			t.Errorf("%d bytes: %d, %v", i, n, err)
		}
	}
	for name, change := range map[string]func([]byte){
		"magic":   func(p []byte) { p[0]++ },
		"op 0":    func(p []byte) { p[8] = 0 },
		"op 7":    func(p []byte) { p[8] = 7 },
		"size":    func(p []byte) { p[27] = 1 },
		"size %4": func(p []byte) { p[24]++ },
	} {
		p := bytes.Clone(whole)
		change(p)
		if _, _, err := ParseHead(p); err != errCommand {
			t.Errorf("%s: %v", name, err)
		}
	}
}
