package codec

// Reason says why a connection or a session ended. It is the close, the log word and the metric
// label in one; all of them are exported from the start.
type Reason uint8

// The reasons. The comment names who is at fault and where it is found.
const (
	ReasonNone            Reason = iota
	ReasonClientClosed           // the client sent FIN and everything was delivered
	ReasonClientReset            // the client's socket was reset
	ReasonUpstreamClosed         // Telegram closed in an orderly way
	ReasonUpstreamReset          // Telegram's socket was reset
	ReasonPeerClosed             // a socket whose side is not known ended in an orderly way
	ReasonPeerReset              // a socket whose side is not known was reset
	ReasonHandshakeTime          // no whole opening in --handshake-timeout, bytes or not
	ReasonFirstByteTime          // connected and never spoke
	ReasonOpeningTime            // fake-TLS was answered and no opening frame followed
	ReasonIdle                   // nothing moved for --idle-timeout
	ReasonWriteStall             // the peer took nothing of a full queue for 15 s
	ReasonDrainTime              // closing, and the rest could not be sent in time
	ReasonQueueLimit             // more than the hard limit waits for one client
	ReasonWrongSecret            // 64 bytes that no secret opens
	ReasonBadTag                 // opened, but the tag is none of three
	ReasonNotAllowed             // the protocol is switched off on this port
	ReasonNotTLS                 // the first bytes are no TLS and only tls is allowed
	ReasonHelloShape             // a malformed ClientHello
	ReasonHelloSize              // a ClientHello below 100 or above 16384 bytes
	ReasonHelloDigest            // no secret made this ClientHello
	ReasonHelloTime              // good digest, clock out of the window
	ReasonHelloSuite             // good digest, no TLS 1.3 suite offered
	ReasonHelloShare             // good digest, no usable key share
	ReasonHelloTrailing          // bytes behind the ClientHello before the answer
	ReasonReplay                 // this opening was seen before
	ReasonPlainInTLS             // a classic tag inside fake-TLS
	ReasonTLSAlert               // the client sent an alert record
	ReasonTLSRecord              // a record type or version that no client sends
	ReasonTLSEmpty               // too many empty records in a row
	ReasonTLSCCS                 // too many change-cipher-spec records
	ReasonPacketZero             // a frame of length zero
	ReasonPacketSize             // a frame above 1 MiB
	ReasonPacketAlign            // an intermediate length that is no multiple of four
	ReasonPacketOverlong         // an abridged length in the long form that fits the short one
	ReasonProxyHeader            // a bad PROXY protocol header
	ReasonProxyHeaderTime        // no PROXY protocol header in time
	ReasonNoUpstream             // no address of the DC could be reached
	ReasonDialRefused            // connect was refused
	ReasonDialTime               // connect did not finish in time
	ReasonDialError              // connect failed otherwise (no route, no port, no descriptor)
	ReasonLimit                  // --max-clients, or the descriptor budget
	ReasonShutdown               // the proxy stops and the drain time is over
	ReasonPanic                  // a fault of ours, contained to this connection
	ReasonDiscarded              // a stranger was read into silence to the end
	ReasonDenied                 // the acceptor refused the connection
	ReasonLinkKeys               // a link's keys cannot be made: mixed address families, or a secret out of 32..256 bytes
	ReasonLinkNonce              // a middle proxy's nonce of another shape, or equal to ours
	ReasonLinkSchema             // a middle proxy wants another crypto schema
	ReasonLinkSelector           // a middle proxy has another secret
	ReasonLinkSkew               // a middle proxy's clock differs by more than 30 s
	ReasonLinkHandshake          // a middle proxy's handshake of another shape, or with unknown flags
	ReasonLinkChecksum           // a middle proxy chose CRC-32C, which was not offered
	ReasonLinkPID                // a middle proxy answered another process's handshake
	ReasonLinkRefused            // a middle proxy answered with a handshake error
	ReasonFrameSize              // a link's frame of a length that none has
	ReasonFrameSeq               // a link's frame out of sequence
	ReasonFrameSum               // a link's frame with a wrong checksum
	ReasonMessage                // a link's message of a known kind and a wrong shape
	ReasonLinkTime               // a middle proxy did not answer nonce or handshake in time
	ReasonLinkMute               // a middle proxy ended the link at our handshake: it sees another address of ours
	ReasonLinkDead               // a link that brought nothing for 30 s, not even the answer to a ping
	ReasonLinkFlood              // a link that pings too often
	ReasonLinkSpare              // a link that nobody needs any more
	ReasonLinkLost               // a client's link ended with an answer outstanding
	ReasonNoLink                 // no link of the DC was ready in 3 s
	ReasonPacketShape            // a client sent several packets that no Telegram app sends
	ReasonAnswerSize             // an answer is longer than the client's app takes
	ReasonMemory                 // a loop's budget is spent, and much of it waits for this client
	ReasonFrontTime              // a stranger and the front have talked for long enough
	ReasonProxyUntrusted         // --proxy-protocol is on, and this address may not speak it
	ReasonEgressRefused          // the proxy towards Telegram refused the connection
	ReasonEgressAuth             // the proxy towards Telegram wants other credentials
	ReasonEgressBind             // the proxy towards Telegram does not say which address Telegram sees, which links need
	ReasonEgressShape            // the proxy towards Telegram speaks something else
	ReasonPolicy                 // a rule of --policy refused it
	ReasonBlocked                // a block list holds its address, or no allow list does
	ReasonPortClients            // the port has all clients that it may have
	ReasonAcceptRate             // connections come faster than --accept-rate or --accept-rate-network lets them
	ReasonSecretRemoved          // its secret was taken out of the settings
	ReasonSecretDisabled         // its secret is switched off
	ReasonSecretExpired          // its secret's time is over
	ReasonSecretQuota            // its secret has used up its bytes
	ReasonSecretClients          // its secret has all clients that it may have
	ReasonSecretAddresses        // its secret is used from as many addresses as it may be
	ReasonPortRemoved            // its port was taken out of the settings
	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "client_closed", "client_reset", "upstream_closed", "upstream_reset", "peer_closed", "peer_reset",
	"handshake_timeout", "first_byte_timeout", "opening_timeout", "idle_timeout", "write_stall", "drain_timeout",
	"queue_limit", "wrong_secret", "bad_tag", "not_allowed", "not_tls", "hello_shape", "hello_size", "hello_digest",
	"hello_time", "hello_suite", "hello_share", "hello_trailing", "replay", "plain_in_tls", "tls_alert", "tls_record",
	"tls_empty", "tls_ccs", "packet_zero", "packet_size", "packet_align", "packet_overlong", "proxy_header",
	"proxy_header_timeout", "no_upstream", "dial_refused", "dial_timeout", "dial_error", "limit", "shutdown", "panic",
	"discarded", "denied",
	"link_keys", "link_nonce", "link_schema", "link_selector", "link_skew", "link_handshake", "link_checksum", "link_pid",
	"link_refused", "frame_size", "frame_seq", "frame_sum", "message",
	"link_timeout", "link_mute", "link_dead", "link_flood", "link_spare", "link_lost", "no_link", "packet_shape",
	"answer_size", "memory", "front_timeout", "proxy_untrusted", "egress_refused", "egress_auth", "egress_bind", "egress_shape",
	"policy", "blocked", "port_clients", "accept_rate", "secret_removed", "secret_disabled", "secret_expired", "secret_quota",
	"secret_clients", "secret_addresses",
	"port_removed",
}

// Reasons is how many there are; a table of counters has this length.
const Reasons = int(reasonCount)

// String returns the log word and metric label.
func (r Reason) String() string {
	if r < reasonCount {
		return reasonNames[r]
	}
	return "unknown"
}
