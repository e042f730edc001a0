package faketls

// Sizes of the wire.
const (
	HeaderSize = 5     // a record header: type, version, length u16be (RFC 8446 5.1)
	MinHello   = 100   // least record length of a ClientHello; small third-party hellos are 168 (spec client-protocols 4.1)
	MaxHello   = 16384 // greatest record length of a ClientHello, all its records together (spec client-protocols 4.1)
	MaxPayload = 16384 // what we put in one record; iOS refuses more than 32767 (spec client-protocols 4.6)

	// MaxHelloWire is the most wire bytes that a ClientHello can take: what a session must be able to keep.
	MaxHelloWire = maxHelloRecords*HeaderSize + MaxHello
	// MaxFlight is the most bytes that AppendFlight appends.
	MaxFlight = HeaderSize + helloBodyMax + ccsSize + HeaderSize + MaxAppData

	maxHelloRecords = 16 // records that one ClientHello may be torn into (spec client-protocols 4.2)
)

// Sizes of our answer's application-data record (spec client-protocols 4.3, 4.4).
const (
	MinAppData      = 1000  // less does not look like a certificate
	MaxAppData      = 10240 // iOS refuses more
	FallbackAppData = 3210  // when nobody measured the front and nobody called Fallback

	fallbackLow, fallbackHigh = 2000, 4500 // what Fallback draws from
)

// Limits on the client's records after the flight (spec client-protocols 4.6).
const (
	maxEmpty = 16 // the 16th empty application-data record in a row is a fault
	maxCCS   = 4  // change-cipher-spec records in one connection
)

// ClientPayload is the most bytes that Telegram's apps put in one record (spec client-protocols 4.6).
const ClientPayload = 2878

// What clients accept of a flight (iOS, the strictest; spec client-protocols 4.4).
const maxFlightRecord = 10240
