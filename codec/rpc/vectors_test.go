package rpc

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"strconv"
	"testing"

	"epoxy/codec"
)

// hexBytes is bytes that JSON holds as hex.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// number is an integer that JSON holds as text with 0x.
type number uint64

func (n *number) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 0, 64)
	*n = number(v)
	return err
}

// address is a pair of JSON, of an address and a port.
type address netip.AddrPort

func (a *address) UnmarshalJSON(text []byte) error {
	var ip netip.Addr
	var port uint16
	if err := json.Unmarshal(text, &[]any{&ip, &port}); err != nil {
		return err
	}
	*a = address(netip.AddrPortFrom(ip, port))
	return nil
}

type packet struct {
	Label string
	Body  hexBytes
}

type vectors struct {
	Request []struct {
		ID, Mode    string
		Tag         *hexBytes `json:"ad_tag"`
		Conn        number    `json:"conn_id"`
		Client, Our address
		QuickAck    bool
		Payload     hexBytes
		Flags       number `json:"flags_hex"`
		Body        hexBytes
	} `json:"proxy_req"`
	RPC []struct {
		ID, Type, Dir string
		Body, Data    hexBytes
		Flags         uint32
		Conn          number `json:"conn_id"`
		Confirm       number `json:"confirm_hex"`
		Number        number `json:"id_hex"`
	}
	Session []struct {
		ID       string
		Checksum string `json:"checksum_after_handshake"`
		Secret   hexBytes
		Server   netip.Addr `json:"server_ip"`
		NonceS   hexBytes   `json:"nonce_server"`
		NonceC   hexBytes   `json:"nonce_client"`
		Time     uint32     `json:"client_ts"`
		Up       []packet   `json:"proxy_to_me"`
		Down     []packet   `json:"me_to_proxy"`
	}
}

func load(t testing.TB) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Request) == 0 || len(v.RPC) == 0 || len(v.Session) == 0 {
		t.Fatal("a part of the vectors is missing")
	}
	return v
}

var transports = map[string]codec.Transport{
	"abridged": codec.Abridged, "intermediate": codec.Intermediate, "secure": codec.Padded,
}

// A74: the exact bytes of requests, of encrypted and plain packets.
// A54: and a middle proxy reads the packet back.
func TestRequestVectors(t *testing.T) {
	for _, v := range load(t).Request {
		common := Common{Transport: transports[v.Mode], Proxy: netip.AddrPort(v.Our)}
		if v.Tag != nil {
			tag := Tag(*v.Tag)
			common.Tag = &tag
		}
		prefix, client := NewPrefix(&common), AddressOf(netip.AddrPort(v.Client))
		prefix.Bind(99, &Address{1, 2, 3})
		prefix.Bind(uint64(v.Conn), &client)
		for range 2 { // nothing of a packet stays in the prefix
			if got := prefix.Append([]byte("before"), v.Payload, v.QuickAck); string(got[:6]) != "before" || !bytes.Equal(got[6:], v.Body) {
				t.Fatalf("%s: wrote %x, want %x", v.ID, got, v.Body)
			}
			prefix.Append(nil, make([]byte, 32), true)
		}
		q, err := ParseRequest(v.Body)
		if err != nil || q.Flags != uint32(v.Flags) || q.ID != uint64(v.Conn) || !bytes.Equal(q.Packet, v.Payload) ||
			q.Client.AddrPort() != netip.AddrPort(v.Client) || q.Proxy.AddrPort() != netip.AddrPort(v.Our) {
			t.Errorf("%s: read %+v, %v", v.ID, q, err)
		}
		if tag, ok := q.Tag(); ok != (v.Tag != nil) || ok && !bytes.Equal(tag[:], *v.Tag) {
			t.Errorf("%s: tag %x, %v", v.ID, tag, ok)
		}
		if m, err := Parse(v.Body); err != nil || m.Kind != Request {
			t.Errorf("%s: Parse gives %+v, %v", v.ID, m, err)
		}
		if Plain(v.Payload) != (q.Flags&FlagPlain != 0) || !Acceptable(v.Payload, false) {
			t.Errorf("%s: the packet is taken for another kind", v.ID)
		}
	}
}

// appendMessage writes what Parse read.
func appendMessage(m *Message) []byte {
	switch m.Kind {
	case Answer:
		return AppendAnswer(nil, m.Flags, m.ID, m.Data)
	case SimpleAck:
		return AppendSimpleAck(nil, m.ID, m.Confirm)
	case CloseExt:
		return AppendCloseExt(nil, m.ID)
	case CloseConn:
		return AppendCloseConn(nil, m.ID)
	case Ping:
		return AppendPing(nil, m.ID)
	case Pong:
		return AppendPong(nil, m.ID)
	}
	return nil
}

var kinds = map[string]Kind{
	"PROXY_ANS": Answer, "SIMPLE_ACK": SimpleAck, "CLOSE_EXT": CloseExt, "CLOSE_CONN": CloseConn, "PING": Ping, "PONG": Pong,
}

// A53: answers and closes of a middle proxy.
// A54: what the proxy says besides requests.
// A73, A75: read to the last byte.
func TestMessageVectors(t *testing.T) {
	for _, v := range load(t).RPC {
		m, err := Parse(v.Body)
		want := Message{
			Kind: kinds[v.Type], Word: m.Word, Flags: v.Flags, ID: uint64(v.Conn | v.Number),
			Confirm: uint32(v.Confirm), Data: m.Data,
		}
		if err != nil || m.Kind == Unknown || !bytes.Equal(m.Data, v.Data) || !equal(&m, &want) {
			t.Errorf("%s: %+v, %v", v.ID, m, err)
		}
		if got := appendMessage(&m); !bytes.Equal(got, v.Body) {
			t.Errorf("%s: wrote %x", v.ID, got)
		}
	}
}

func equal(a, b *Message) bool {
	return a.Kind == b.Kind && a.Word == b.Word && a.Flags == b.Flags && a.ID == b.ID && a.Confirm == b.Confirm && bytes.Equal(a.Data, b.Data)
}

// A51, A52: the nonces and handshakes of whole sessions, both ways, and that each end accepts the other's.
// A73, A74, A75: and every message behind them.
func TestSessionVectors(t *testing.T) {
	for _, v := range load(t).Session {
		var nonces [2]Nonce
		var handshakes [2]Handshake
		for i, way := range [][]packet{v.Up, v.Down} {
			nonce, err := ParseNonce(way[0].Body)
			if err != nil || !bytes.Equal(nonce.Append(nil), way[0].Body) {
				t.Fatalf("%s: %+v, %v", v.ID, nonce, err)
			}
			handshake, err := ParseHandshake(way[1].Body)
			if err != nil || !bytes.Equal(handshake.Append(nil), way[1].Body) {
				t.Fatalf("%s: %+v, %v", v.ID, handshake, err)
			}
			nonces[i], handshakes[i] = nonce, handshake
			for _, p := range way[2:] {
				m, err := Parse(p.Body)
				if err != nil || m.Kind == Unknown {
					t.Fatalf("%s, %s: %+v, %v", v.ID, p.Label, m, err)
				}
				if m.Kind != Request {
					if got := appendMessage(&m); !bytes.Equal(got, p.Body) {
						t.Errorf("%s, %s: wrote %x", v.ID, p.Label, got)
					}
					continue
				}
				q, err := ParseRequest(p.Body)
				tag, ok := q.Tag()
				if err != nil || !ok {
					t.Fatalf("%s, %s: %+v, %v", v.ID, p.Label, q, err)
				}
				prefix := NewPrefix(&Common{Transport: codec.Padded, Proxy: q.Proxy.AddrPort(), Tag: &tag})
				prefix.Bind(q.ID, &q.Client)
				if got := prefix.Append(nil, q.Packet, q.Flags&FlagQuickAck != 0); !bytes.Equal(got, p.Body) {
					t.Errorf("%s, %s: wrote %x", v.ID, p.Label, got)
				}
			}
		}
		up, down := &nonces[0], &nonces[1]
		want := Nonce{Selector: Selector(v.Secret), Schema: SchemaAES, Time: v.Time, Random: [16]byte(v.NonceC)}
		if *up != want || down.Random != [16]byte(v.NonceS) {
			t.Errorf("%s: nonces %+v, %+v", v.ID, up, down)
		}
		if err := up.Accept(down, int64(v.Time)); err != nil || down.Skew(int64(v.Time)) != 3 {
			t.Errorf("%s: %v, skew %d", v.ID, err, down.Skew(int64(v.Time)))
		}
		crc32c, err := handshakes[0].Accept(&handshakes[1])
		if err != nil || crc32c != (v.Checksum == "crc32c") {
			t.Errorf("%s: %v, %v", v.ID, crc32c, err)
		}
		if crc32c {
			handshakes[0].Flags = 0
			if _, err := handshakes[0].Accept(&handshakes[1]); codec.ReasonOf(err, 0) != codec.ReasonLinkChecksum {
				t.Errorf("%s: CRC-32C that was not offered: %v", v.ID, err)
			}
		}
	}
}
