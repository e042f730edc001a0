package socks

// Limits of what a proxy may answer and of what it may be told.
const (
	MaxReply       = 4 + 1 + 255 + 2 // bytes of the longest SOCKS5 reply, one with a domain (RFC 1928 6)
	MaxHeader      = 8 << 10         // bytes of an HTTP status line and headers, ours
	MaxCredentials = 255             // bytes of a user name and of a password (RFC 1929 2)
)
