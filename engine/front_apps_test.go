package engine_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// How Telegram's apps check the answer to their hello (spec client-protocols 4.4). Each takes what its reads returned, one after
// another, and says why the app would leave.

// appCheck is one app's: the reads, the hello that it sent, and the secret.
type appCheck func(reads [][]byte, hello, secret []byte) error

var apps = map[string]appCheck{
	"TDLib": tdlib, "tdesktop": tdesktop, "Android": android, "iOS": ios,
}

var (
	errStart  = errors.New("the first record is no handshake of TLS 1.2")
	errNext   = errors.New("not 14 03 03 00 01 01 17 03 03 behind the first record")
	errLarge  = errors.New("a record is too large")
	errDigest = errors.New("the digest is wrong")
	errMore   = errors.New("it waits for more")
	errBehind = errors.New("bytes behind the flight, which become garbage in the stream")
)

const (
	changeAndData = "\x14\x03\x03\x00\x01\x01\x17\x03\x03"
	tailSize      = len(changeAndData) + 2 // and the length of the last record
)

// tdlib waits for whole records and knows no limit of its own.
func tdlib(reads [][]byte, hello, secret []byte) error {
	return records(reads, hello, secret, 1<<16, 1<<16)
}

// tdesktop does the same, with records of at most 65535 bytes.
func tdesktop(reads [][]byte, hello, secret []byte) error {
	return records(reads, hello, secret, 65535, 65535)
}

// ios takes 10,240 bytes in each of the two large records.
func ios(reads [][]byte, hello, secret []byte) error {
	return records(reads, hello, secret, 10240, 10240)
}

// records checks a flight as soon as its three records are there.
func records(reads [][]byte, hello, secret []byte, most1, most2 int) error {
	var have []byte
	for i, r := range reads {
		have = append(have, r...)
		n, err := flightEnd(have, most1, most2)
		switch {
		case err == errMore:
		case err != nil:
			return err
		case n < len(have) || i < len(reads)-1:
			return errBehind
		default:
			return digest(have, hello, secret)
		}
	}
	return errMore
}

// flightEnd returns the length of the flight that have begins with.
func flightEnd(have []byte, most1, most2 int) (int, error) {
	if len(have) < 5 {
		return 0, errMore
	}
	first := int(binary.BigEndian.Uint16(have[3:]))
	end := 5 + first
	switch {
	case string(have[:3]) != "\x16\x03\x03":
		return 0, errStart
	case first > most1:
		return 0, errLarge
	case len(have) < end+tailSize:
		return 0, errMore
	case string(have[end:][:len(changeAndData)]) != changeAndData:
		return 0, errNext
	}
	last := int(binary.BigEndian.Uint16(have[end+len(changeAndData):]))
	switch end += tailSize + last; {
	case last > most2:
		return 0, errLarge
	case len(have) < end:
		return 0, errMore
	}
	return end, nil
}

// android reads into the buffer that its own hello left. Once the first record is whole it looks at the bytes behind it without
// asking whether they have arrived, and its digest covers all that it has read.
func android(reads [][]byte, hello, secret []byte) error {
	stale := make([]byte, 1<<16+tailSize)
	copy(stale, hello)
	n := 0
	for i, r := range reads {
		n += copy(stale[n:], r)
		if n < 5 {
			continue
		}
		first := int(binary.BigEndian.Uint16(stale[3:]))
		end := 5 + first
		switch {
		case string(stale[:3]) != "\x16\x03\x03":
			return errStart
		case first > 65531:
			return errLarge
		case n < end:
			continue
		case string(stale[end:][:len(changeAndData)]) != changeAndData:
			return errNext
		}
		last := int(binary.BigEndian.Uint16(stale[end+len(changeAndData):]))
		switch end += tailSize + last; {
		case end > 1<<16:
			return errLarge
		case n < end:
		case i < len(reads)-1:
			return errBehind
		default:
			return digest(stale[:n], hello, secret)
		}
	}
	return errMore
}

// digest checks the random of a flight, over all of it.
func digest(flight, hello, secret []byte) error {
	zeroed := bytes.Clone(flight)
	clear(zeroed[11:43])
	mac := hmac.New(sha256.New, secret)
	mac.Write(hello[11:43])
	mac.Write(zeroed)
	if !hmac.Equal(mac.Sum(nil), flight[11:43]) {
		return errDigest
	}
	return nil
}

// segments cuts p as a network with this segment size does, each read meeting one segment.
func segments(p []byte, size int) (reads [][]byte) {
	for len(p) > size {
		reads, p = append(reads, p[:size]), p[size:]
	}
	return append(reads, p)
}
