package doctor

import "time"

// Times.
const (
	totalTime = 15 * time.Second // of a Run
	probeTime = 5 * time.Second  // of one exchange
)

// Clocks: middle proxies refuse more than 30 s; aim for less than 5 s (spec upstream-protocols 2.3).
const (
	clockWarn  = 5 * time.Second
	clockFault = 30 * time.Second
)

// freshTime is the age from which a kept configuration is worth a word: it is fetched every hour.
const freshTime = 24 * time.Hour

// What a client takes, in bytes: two sockets or one of 3.8 kB in the kernel and 1.7 kB of ours, rounded up.
const (
	memoryDirect = 10 << 10
	memoryLinked = 6 << 10
	memorySocket = 4 << 10
)

// Descriptors that are not for clients, as the engine counts them.
const (
	reserveFiles = 64
	filesPerLoop = 8
	filesLinks   = 256 // of one loop
	fewClients   = 1000
)

// Of the kernel's settings.
const (
	allPorts  = 64512 // 1024 to 65535
	leastRmem = 128 << 10
	leastWmem = 256 << 10
	mostRmem  = 1 << 20 // of the default size: every new socket may take it
	fullTable = 90      // percent of the tracked connections from which new ones are in danger
)

// Of looking through /proc.
const (
	maxSockets = 4096 // descriptors of one process; listeners are opened early
	maxBody    = 4 << 10
)

// maxTried is how many addresses of a datacenter are tried.
const maxTried = 2

// mainDC is the last datacenter that accounts live on; what is above serves files only.
const mainDC = 5
