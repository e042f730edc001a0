package proxyproto

// Limits of the two forms (spec client-protocols 7.2).
const (
	MaxV1  = 107              // bytes of a version 1 line with its CRLF
	MaxV2  = fixedV2 + restV2 // bytes of a version 2 header, ours
	restV2 = 2048             // of them addresses and TLVs, ours: they may be 65535
)

// Max is the most bytes that a header can have: with as many, Parse never answers ErrShort.
const Max = MaxV2

// Of version 2.
const (
	fixedV2 = 16 // signature, version, family, length
	inet4   = 4 + 4 + 2 + 2
	inet6   = 16 + 16 + 2 + 2
)
