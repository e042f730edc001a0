package egress

// Times in ms.
const (
	dialTime  = 5_000  // for a whole dial, all its proxies together (spec upstream-protocols 5.4, 5.5)
	leastTime = 1_000  // that one proxy gets at least, while another is left to try
	restLeast = 1_000  // that a proxy rests at least after a failure
	restMost  = 60_000 // and at most, after many in a row
)

// MaxProxies is how many a list may have.
const MaxProxies = 64
