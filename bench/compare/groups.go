package compare

import "regexp"

// Share is the part of the CPU time that one group took.
type Share struct {
	Group   string  `json:"group"`
	Percent float64 `json:"percent"`
}

// The groups, in the order of the table.
const (
	groupWrite   = "system calls: write"
	groupRead    = "system calls: read"
	groupEpoll   = "system calls: epoll"
	groupAccept  = "system calls: accept"
	groupDial    = "system calls: socket, connect"
	groupClose   = "system calls: close, shutdown"
	groupCalls   = "system calls: others"
	groupCTR     = "AES-256-CTR"
	groupCBC     = "AES-256-CBC"
	groupCRC     = "checksums"
	groupShares  = "key shares"
	groupHash    = "SHA, HMAC"
	groupCopy    = "copying and clearing memory"
	groupCollect = "memory: allocation and collector"
	groupSched   = "Go's scheduler"
	groupRest    = "the rest of Epoxy"
)

var groups = []string{
	groupWrite, groupRead, groupEpoll, groupAccept, groupDial, groupClose, groupCalls, groupCTR, groupCBC, groupCRC, groupShares, groupHash,
	groupCopy, groupCollect, groupSched, groupRest,
}

// rule names the group of a function.
type rule struct {
	function *regexp.Regexp
	group    string
}

var (
	// kernel is a sample inside of a system call; the function that made it is the first one that does not match.
	kernel = regexp.MustCompile(`^(internal/runtime/syscall|runtime/internal/syscall|syscall)[/.]`)
	// callers name the system call by that function; any other is groupCalls.
	callers = []rule{
		{regexp.MustCompile(`^runtime\.`), groupSched},
		{regexp.MustCompile(`(?i)epoll|poller`), groupEpoll},
		{regexp.MustCompile(`(?i)\.(sys)?(write|send)`), groupWrite},
		{regexp.MustCompile(`(?i)\.(sys)?(read|recv)`), groupRead},
		{regexp.MustCompile(`(?i)\.accept`), groupAccept},
		{regexp.MustCompile(`(?i)\.(socket|connect|bind)$`), groupDial},
		{regexp.MustCompile(`(?i)\.(close|shutdown)`), groupClose},
	}
	// owners name other samples by the innermost function that any of them matches; where none does it is groupRest.
	owners = []rule{
		{regexp.MustCompile(`^epoxy/codec/ctr\.`), groupCTR},
		{regexp.MustCompile(`^epoxy/codec/cbc\.`), groupCBC},
		{regexp.MustCompile(`^(epoxy/codec/crc|hash/crc32)\.`), groupCRC},
		{regexp.MustCompile(`^crypto/(internal/fips140/)?(sha1|sha256|sha512|hmac|md5)\b`), groupHash},
		{regexp.MustCompile(`^(epoxy/codec/keyshare\.|filippo\.io/edwards25519|crypto/(internal/fips140/)?(mlkem|sha3|ecdh|edwards25519|nistec)\b)`), groupShares},
		{regexp.MustCompile(`^runtime\.(memmove|memclr)`), groupCopy},
		{regexp.MustCompile(`^runtime\.(gc|mallocgc|bgsweep|bgscavenge|newobject|makeslice|growslice|sweepone|scanobject|(\(\*(mheap|mcache|mcentral|mspan|gcWork)\)))`), groupCollect},
		{regexp.MustCompile(`^runtime\.(mcall|schedule|findRunnable|mstart|sysmon|morestack|futex|gopark|goready|ready|chan|select|(re)?entersyscall|exitsyscall|netpoll|startm|wakep|sig|gosched|goexit0|timer|note|lock2|unlock2|usleep|osyield)`), groupSched},
	}
)

// groupOf is where a stack's time belongs, its innermost function first.
func groupOf(stack []string) string {
	rules, other := owners, groupRest
	if len(stack) > 0 && kernel.MatchString(stack[0]) {
		for len(stack) > 0 && kernel.MatchString(stack[0]) {
			stack = stack[1:]
		}
		rules, other, stack = callers, groupCalls, stack[:min(1, len(stack))]
	}
	for _, function := range stack {
		for _, r := range rules {
			if r.function.MatchString(function) {
				return r.group
			}
		}
	}
	return other
}

// shares sorts samples into groups. They add up to 100, unless there is none.
func shares(all []sample) (list []Share) {
	var sum int64
	by := map[string]int64{}
	for _, s := range all {
		sum += s.ns
		by[groupOf(s.stack)] += s.ns
	}
	for _, group := range groups {
		if by[group] > 0 {
			list = append(list, Share{group, 100 * float64(by[group]) / float64(sum)})
		}
	}
	return list
}
