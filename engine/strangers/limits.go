package strangers

import "epoxy/codec/faketls"

const (
	defaultSize = 64   // entries of a table
	maxSize     = 1024 // more would make a miss, which looks at all of them, slow
	ja4Rate     = 200  // fingerprints a second and loop, about 3 µs each; what comes beyond counts without
	second      = 1000 // loop time, ms

	textLeast = 4  // fewer printable bytes are chance
	textLook  = 64 // bytes that are looked at to call something text
	maxAuth   = 16 // methods in a SOCKS5 greeting; more is chance

	joinSize = faketls.HeaderSize + faketls.MaxHello // room for a hello that came in several records
)
