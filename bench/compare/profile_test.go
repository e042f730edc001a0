package compare

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
)

// TestReadPprof reads what Go's runtime writes: this test is in a profile of goroutines.
func TestReadPprof(t *testing.T) {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	all, err := readPprof(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	here := func(s sample) bool { return slices.Contains(s.stack, "epoxy/bench/compare.TestReadPprof") && s.ns == 1 }
	if !slices.ContainsFunc(all, here) {
		t.Errorf("%+v", all)
	}
	z, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	for n := range plain.Len() { // no prefix is a panic
		if _, err := readPprof(zipped(plain.Bytes()[:n])); err != nil && !errors.Is(err, errPprof) {
			t.Fatal(err)
		}
	}
}

func zipped(p []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(p)
	_ = z.Close()
	return b.Bytes()
}

func FuzzReadPprof(f *testing.F) {
	f.Add([]byte{profileSample<<3 | 2, 4, 1<<3 | 2, 0, 2 << 3, 1})
	f.Fuzz(func(t *testing.T, p []byte) {
		if _, err := readPprof(zipped(p)); err != nil && !errors.Is(err, errPprof) {
			t.Error(err)
		}
	})
}

func TestGroups(t *testing.T) {
	const call = "internal/runtime/syscall/linux.Syscall6 < syscall.RawSyscall6 < "
	for stack, want := range map[string]string{
		call + "syscall.RawSyscall < epoxy/engine/reactor.sysWrite < epoxy/engine/reactor.(*Conn).Write":                         groupWrite,
		call + "syscall.RawSyscall < epoxy/engine/reactor.sysWritev < epoxy/engine/reactor.(*Conn).flush":                        groupWrite,
		call + "syscall.RawSyscall < epoxy/engine/reactor.sysRead < epoxy/engine/reactor.(*Reactor).read":                        groupRead,
		call + "epoxy/engine/reactor.(*hybridPoller).wait < epoxy/engine/reactor.(*hybridPoller).run":                            groupEpoll,
		call + "golang.org/x/sys/unix.EpollCtl < epoxy/engine/reactor.(*hybridPoller).add":                                       groupEpoll,
		call + "epoxy/engine/reactor.(*sockaddr).accept < epoxy/engine/reactor.(*Reactor).acceptAll":                             groupAccept,
		call + "epoxy/engine/reactor.(*sockaddr).connect < epoxy/engine/reactor.(*Reactor).connect":                              groupDial,
		call + "syscall.RawSyscall < golang.org/x/sys/unix.socket < golang.org/x/sys/unix.Socket":                                groupDial,
		call + "syscall.Syscall < golang.org/x/sys/unix.Close < epoxy/engine/reactor.(*Reactor).release":                         groupClose,
		call + "syscall.Syscall6 < golang.org/x/sys/unix.setsockopt < epoxy/engine/reactor.(*Reactor).connect":                   groupCalls,
		call + "internal/runtime/syscall/linux.EpollWait < runtime.netpoll < runtime.findRunnable":                               groupSched,
		"epoxy/codec/ctr.xorVAES < epoxy/codec/ctr.(*Schedule).blocks < epoxy/codec/obfs2.(*Stream).XOR":                         groupCTR,
		"crypto/internal/fips140/aes.encryptBlockAsm < epoxy/codec/cbc.(*Encrypter).ordinary":                                    groupCBC,
		"epoxy/codec/crc.fold < epoxy/codec/crc.Castagnoli":                                                                      groupCRC,
		"filippo.io/edwards25519/field.feMul < epoxy/codec/keyshare.multiply < epoxy/codec/faketls.(*Digester).AppendFlight":     groupShares,
		"crypto/internal/fips140/sha256.blockSHANI < epoxy/codec/faketls.(*Digester).sign":                                       groupHash,
		"runtime.memmove < epoxy/upstream/middle.(*Stream).keep":                                                                 groupCopy,
		"runtime.nextFreeFast < runtime.mallocgc < runtime.newobject < epoxy/engine/session.New":                                 groupCollect,
		"runtime.scanobject < runtime.gcDrain < runtime.gcBgMarkWorker.func2 < runtime.systemstack < runtime.gcBgMarkWorker":     groupCollect,
		"runtime.futex < runtime.futexwakeup < runtime.notewakeup":                                                               groupSched,
		"runtime.save < runtime.reentersyscall < runtime.entersyscall < syscall.Syscall6 < golang.org/x/sys/unix.getsockopt":     groupSched,
		"runtime.asyncPreempt < epoxy/codec/ctr.(*Schedule).xor < epoxy/codec/ctr.(*Schedule).XORKeyStream":                      groupCTR,
		"epoxy/engine/reactor.(*Reactor).event < epoxy/engine/reactor.(*hybridPoller).run < epoxy/engine/reactor.(*Reactor).Run": groupRest,
		"": groupRest,
	} {
		if got := groupOf(strings.Split(stack, " < ")); got != want {
			t.Errorf("%s is %q, want %q", stack, got, want)
		}
	}
	if got := groupOf(nil); got != groupRest {
		t.Error(got)
	}
}

// TestSharesAddUp checks that nothing is lost or counted twice, and that rounding keeps the sum.
func TestSharesAddUp(t *testing.T) {
	list := shares([]sample{
		{[]string{"epoxy/codec/ctr.xorVAES"}, 10}, {[]string{"epoxy/codec/cbc.decryptVAES"}, 10}, {[]string{"epoxy/codec/ctr.xorVAES"}, 7}, {[]string{"nobody.knows"}, 3}, {nil, 1},
	})
	sum, rounded := 0.0, 0
	for _, s := range list {
		sum += s.Percent
		rounded += whole(list)[s.Group]
	}
	if len(list) != 3 || list[0].Group != groupCTR || math.Abs(sum-100) > 1e-9 || rounded != 100 {
		t.Errorf("%+v: %g, %d", list, sum, rounded)
	}
	if list := shares(nil); list != nil {
		t.Errorf("%+v", list)
	}
}

func TestProfileTables(t *testing.T) {
	p := Profile{Runs: 3, Work: []Work{
		{
			Title: "Download", Proxy: "a", Cost: Figure{Title: "CPU per GB", By: []Spread{{Median: 0.5, Min: 0.4, Max: 0.6}}},
			Calls: &Calls{"MB", 10, 20, 100_000, 50_000}, Shares: []Share{{groupWrite, 60.5}, {groupCTR, 39.5}},
		},
		{Title: "Upload", Proxy: "b", Shares: []Share{{groupCTR, 100}}},
	}}
	text := p.Markdown()
	for _, want := range []string{
		"| share of CPU time, % | Download, a | Upload, b |", "| CPU seconds | 0.5 (0.4-0.6) per GB | - |", "| " + groupWrite + " | 61 | - |", "| " + groupCTR + " | 39 | 100 |",
		"| Download, a | 10 per MB | 20 per MB | 100000 | 50000 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, groupCBC) {
		t.Error("a row of nothing")
	}
}

// TestReadIO counts this process's own reads.
func TestReadIO(t *testing.T) {
	var n ioCount
	before := readIO(os.Getpid())
	if before.reads == 0 {
		t.Skip("this kernel does not count")
	}
	if n.add(before, readIO(os.Getpid())); n.reads < 1 || n.in < 1 {
		t.Errorf("%+v", n)
	}
	if readIO(-1) != (ioCount{}) {
		t.Error("counts of nobody")
	}
}
