package faketg

import (
	"encoding/binary"

	"epoxy/codec"
)

// Op is what a Command asks for or answers with.
type Op uint32

// The ops. The first four go up, OpData and OpSynced come down, an echo is its own answer.
const (
	OpEcho   Op = iota + 1 // send the packet back as it is
	OpSink                 // take Size bytes of pattern ID from offset Value on; no answer
	OpSync                 // answer OpSynced
	OpSource               // send Value bytes of pattern ID in packets of Size content bytes, as OpData
	OpData                 // Size bytes of pattern ID from offset Value on
	OpSynced               // Value bytes went into sinks; Size is 1 when one of them was wrong, else 0
)

// HeadSize is the length of a Command without its content.
const HeadSize = 28

// Magic stands where a packet has its auth_key_id, so that a middle proxy takes it for an encrypted packet.
const Magic = "EPOXYCMD"

// Command is a packet with which a load generator and a fake datacenter talk.
//
//	magic 8 | op u32le | id u32le | value u64le | size u32le | content, size bytes for echo, sink, data
//
// Sizes are multiples of 4, because padded packets are cut down to one.
type Command struct {
	Op    Op
	ID    uint32 // which pattern: one per client
	Value uint64
	Size  uint32
}

var errCommand = codec.NewError(codec.ReasonPacketSize, "faketg: a command with a wrong size")

// AppendHead appends the command without content.
func (c Command) AppendHead(dst []byte) []byte {
	dst = append(dst, Magic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(c.Op))
	dst = binary.LittleEndian.AppendUint32(dst, c.ID)
	dst = binary.LittleEndian.AppendUint64(dst, c.Value)
	return binary.LittleEndian.AppendUint32(dst, c.Size)
}

// Content returns how many content bytes follow the head.
func (c Command) Content() int {
	switch c.Op {
	case OpEcho, OpSink, OpData:
		return int(c.Size)
	case OpSync, OpSource, OpSynced:
	}
	return 0
}

// Append appends the command with its content, which is the pattern from offset Value on.
func (c Command) Append(dst []byte) []byte {
	return AppendPattern(c.AppendHead(dst), c.ID, c.Value, c.Content())
}

// IsCommand reports whether a packet starts like a command.
func IsCommand(p []byte) bool { return len(p) >= HeadSize && string(p[:len(Magic)]) == Magic }

// ParseHead reads the head of a command. A shorter input is codec.ErrShort; an unknown op or a size that is
// no multiple of 4 or above MaxContent is an error.
func ParseHead(p []byte) (Command, int, error) {
	if len(p) < HeadSize {
		return Command{}, 0, codec.ErrShort
	}
	c := Command{
		Op:    Op(binary.LittleEndian.Uint32(p[8:])),
		ID:    binary.LittleEndian.Uint32(p[12:]),
		Value: binary.LittleEndian.Uint64(p[16:]),
		Size:  binary.LittleEndian.Uint32(p[24:]),
	}
	switch {
	case string(p[:len(Magic)]) != Magic, c.Op < OpEcho, c.Op > OpSynced:
		return Command{}, 0, errCommand
	case c.Size > MaxContent, c.Size%4 != 0 && c.Op != OpSynced:
		return Command{}, 0, errCommand
	}
	return c, HeadSize, nil
}
