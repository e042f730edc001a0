package compare

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var errPprof = errors.New("compare: not a CPU profile of pprof")

// sample is one stack and the CPU time that was spent in it.
type sample struct {
	stack []string // names of functions, the innermost first
	ns    int64
}

// Numbers of fields (github.com/google/pprof/proto/profile.proto).
const (
	profileSample, profileLocation, profileFunction, profileString = 2, 4, 5, 6
	sampleLocation, sampleValue                                    = 1, 2
	entryID                                                        = 1 // of a location and of a function
	locationLine, lineFunction, functionName                       = 4, 1, 2
)

// readPprof takes a gzipped profile apart as Go's runtime writes it: the last value of a sample is nanoseconds.
func readPprof(zipped []byte) (all []sample, err error) {
	z, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPprof, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errPprof, err)
	}
	var words []string
	names := map[uint64]uint64{}    // of a function: where its name stands in words
	places := map[uint64][]uint64{} // of a location: its functions, the innermost first
	var stacks, values [][]uint64
	err = fields(text, func(field int, _ uint64, body []byte) error {
		switch field {
		case profileString:
			words = append(words, string(body))
		case profileFunction:
			f, err := numbers(body)
			names[f.last(entryID)] = f.last(functionName)
			return err
		case profileLocation:
			l, err := numbers(body)
			places[l.last(entryID)] = l[locationLine]
			return err
		case profileSample:
			s, err := numbers(body)
			stacks, values = append(stacks, s[sampleLocation]), append(values, s[sampleValue])
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i, stack := range stacks {
		var s sample
		if n := len(values[i]); n > 0 {
			s.ns = int64(values[i][n-1])
		}
		for _, place := range stack {
			for _, function := range places[place] {
				name := names[function]
				if name >= uint64(len(words)) {
					return nil, errPprof
				}
				s.stack = append(s.stack, words[name])
			}
		}
		all = append(all, s)
	}
	return all, nil
}

// message is the numbers of a message by field.
type message map[int][]uint64

func (m message) last(field int) uint64 {
	if n := len(m[field]); n > 0 {
		return m[field][n-1]
	}
	return 0
}

// numbers reads a sample, a location or a function. Of a line, which is a message in a location, it takes the function; any other
// bytes are packed numbers.
func numbers(p []byte) (message, error) {
	m := message{}
	err := fields(p, func(field int, n uint64, body []byte) error {
		if body == nil {
			m[field] = append(m[field], n)
			return nil
		}
		if field == locationLine {
			return fields(body, func(inner int, n uint64, _ []byte) error {
				if inner == lineFunction {
					m[field] = append(m[field], n)
				}
				return nil
			})
		}
		for len(body) > 0 {
			n, size := binary.Uvarint(body)
			if size <= 0 {
				return errPprof
			}
			m[field], body = append(m[field], n), body[size:]
		}
		return nil
	})
	return m, err
}

// fields visits the fields of a message: a number, or bytes, which are not nil then.
func fields(p []byte, visit func(field int, n uint64, body []byte) error) error {
	const number, delimited = 0, 2 // wire types
	for len(p) > 0 {
		tag, size := binary.Uvarint(p)
		if size <= 0 {
			return errPprof
		}
		p = p[size:]
		n, size := binary.Uvarint(p)
		if size <= 0 {
			return errPprof
		}
		p = p[size:]
		var body []byte
		switch kind := tag & 7; {
		case kind == delimited && n <= uint64(len(p)):
			body, p = p[:n:n], p[n:]
		case kind != number:
			return errPprof
		}
		if err := visit(int(tag>>3), n, body); err != nil {
			return err
		}
	}
	return nil
}
