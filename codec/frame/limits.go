package frame

// MaxPacket is the longest delivered packet in bytes, ours, checked on the header before anything is kept: official
// clients and proxies stay below 1 MiB (spec client-protocols 2.1).
const MaxPacket = 1 << 20

// MaxAnswer is the longest packet in bytes that NextAnswer takes, TDLib's limit (spec client-protocols 2.2): a file part
// of 1 MiB comes down with a header.
const MaxAnswer = 4 << 20

// MaxHeader is the longest header in bytes, of every transport.
const MaxHeader = wordSize

// MaxServerPadding is the most padding, in bytes, that a proxy may append for a client: with more, clients take a
// transport error for data (spec client-protocols 2.2). Clients append up to 256.
const MaxServerPadding = 3

// Of the headers (spec client-protocols 2.1).
const (
	wordSize = 4       // packets are whole words
	shortMax = 0x7e    // words in the short abridged form
	longMark = 0x7f    // then 3 bytes of words follow
	shortBit = 0x80    // quick ack, in the first abridged byte
	quickBit = 1 << 31 // quick ack, in the intermediate word
)
