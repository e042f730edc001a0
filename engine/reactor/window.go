package reactor

import "golang.org/x/sys/unix"

// Two ways to make clients tear their hello, for networks whose censor reads single segments. Both show in the SYN-ACK,
// which then differs from an ordinary server's. Measured on Linux 6.18, MTU 1500, a hello of 1821 bytes that
// otherwise comes in segments of 1448 and 373, and 1 MB each way at a round trip of 50 ms:
//
// ListenOptions.MSS sets TCP_MAXSEG, the MSS option of the SYN-ACK. At 256 the hello came in 8 segments of 244
// (12 are the timestamps), at 88 in 24 of 76, without a further round trip. Nothing lifts it: TCP does not say its
// MSS twice, and TCP_MAXSEG on the accepted socket is taken and does nothing, as the lower of both sides' values
// stays. So our own segments stay as small, six times the packets at 256, until the connection ends.
//
// ListenOptions.HandshakeMSS makes the receive window of the SYN-ACK twice that size. A Linux client sends at most half
// the greatest window it has seen in one segment, so at 576 its hello came in segments of 576, 576 and 669: the third
// after our acknowledgement, a round trip later. Other systems may send the whole window at once. From then on the
// kernel opens the window by itself: segments of 1448 both ways, downloads as fast as ever, and the first upload
// 140 ms later (490 ms in place of 350). The kernel makes a window no smaller than 1152 bytes.
//
// TCP_WINDOW_CLAMP on the listener tears the hello alike, but it also takes the window scale out of the SYN-ACK, so
// that no upload gets more than 64 KiB a round trip (970 ms for the same MB), and lifting it later changes nothing.
// So does a locked SO_RCVBUF, which keeps the window at its first size on top.

// setFirstWindow makes the window that a listener's SYN-ACK offers so many bytes, and leaves its growth to the kernel:
// a small receive buffer, which the kernel halves for the window as it doubled the number, and then SO_BUF_LOCK
// (Linux 5.15) takes back that somebody set it. Without SO_BUF_LOCK nothing is changed.
func setFirstWindow(fd, bytes int) error {
	unlock := func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BUF_LOCK, 0) }
	if err := unlock(); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes); err != nil {
		return err
	}
	return unlock()
}
