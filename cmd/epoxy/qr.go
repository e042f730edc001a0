package main

import (
	"bufio"
	"io"

	"rsc.io/qr"
)

const (
	quiet    = 2                          // light modules around the code; the standard's 4 cost lines, cameras take 2
	qrColour = "\x1b[97;40m"              // white ink on black, whatever the terminal's colours
	qrPlain  = "\x1b[0m"                  // the terminal's own
	halves   = "\u0020\u2580\u2584\u2588" // nothing, upper, lower, both
)

// printQR draws text as a QR code in half-block characters, two modules a character. Light modules are the ink, as
// a dark terminal wants it; colour makes it right on any.
func printQR(w io.Writer, text string, colour bool) error {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return err
	}
	ink := []rune(halves)
	light := func(x, y int) int {
		if code.Black(x, y) { // false outside
			return 0
		}
		return 1
	}
	out := bufio.NewWriter(w)
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := make([]rune, 0, code.Size+2*quiet)
		for x := -quiet; x < code.Size+quiet; x++ {
			line = append(line, ink[light(x, y)+2*light(x, y+1)])
		}
		text := string(line)
		if colour {
			text = qrColour + text + qrPlain
		}
		_, _ = out.WriteString("  " + text + "\n") // Flush tells
	}
	return out.Flush()
}
