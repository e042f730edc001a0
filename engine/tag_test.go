package engine_test

import (
	"testing"

	"epoxy/codec"
	"epoxy/codec/rpc"
	"epoxy/codec/secret"
	"epoxy/engine/config"
	"epoxy/upstream/faketg"
)

// A port's own ad tag goes before the program's, a secret's own before both.
func TestTags(t *testing.T) {
	other, own := codec.Key{0x77, 1}, rpc.Tag{0xcc, 3}
	m := middles(t, faketg.MiddleFaults{}, 2)
	set := linkSettings(t, m)
	second, err := config.ParseListen("b=127.0.0.1:0?tag=bb000000000000000000000000000002")
	if err != nil {
		t.Fatal(err)
	}
	set.Listen = append(set.Listen, second)
	set.Secrets = append(set.Secrets, config.NamedSecret{Name: "own", Secret: secret.Secret{Key: other}})
	set.Secrets[1].Tag = &own
	h := start(t, set)
	h.readyLinks(t, 2, 1)
	for i, c := range []struct {
		addr string
		key  codec.Key
		want rpc.Tag
	}{
		{h.Addrs()[0], key, adTag}, {h.Addrs()[1], key, rpc.Tag{0: 0xbb, 15: 2}}, {h.Addrs()[0], other, own}, {h.Addrs()[1], other, own},
	} {
		for _, w := range ways {
			client, err := open(c.addr, w, 2, c.key)
			if err != nil {
				t.Fatal(err)
			}
			mustPing(t, client, 256)
			list := m.Seen().StreamList
			if s := list[len(list)-1]; s.Tag != c.want || !s.Tagged {
				t.Errorf("%d, %v: the tag is %x, not %x", i, w, s.Tag, c.want)
			}
			_ = client.Close()
		}
	}
	sound(t, m.Seen())
}
