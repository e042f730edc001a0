package doctor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"epoxy/upstream/refresh"
)

const clockCure = "let something keep the clock: `apt install chrony && systemctl enable --now chrony && chronyc makestep` " +
	"(elsewhere `systemctl enable --now chronyd`), or `systemctl enable --now systemd-timesyncd`; with ntpd a line `pool pool.ntp.org iburst` in /etc/ntp.conf"

// clock compares our clock with each source.
func (d *doctor) clock(ctx context.Context) []Finding {
	if !d.away() {
		return nil
	}
	sources, named := d.TimeFrom, true
	if len(sources) == 0 {
		if !strings.HasPrefix(d.set.TelegramConfig, "http://") && !strings.HasPrefix(d.set.TelegramConfig, "https://") {
			return one(Finding{Check: "clock", Name: "clock_unknown", Level: Note, Text: "nothing to compare the clock with", Cure: "name a server by --time-from"})
		}
		sources, named = []string{d.set.TelegramConfig}, false
	}
	return together(len(sources), func(i int) []Finding {
		u, err := url.Parse(sources[i])
		if err != nil || u.Host == "" {
			return one(Finding{Check: "clock", Name: "mistake", Level: Fault, Text: "--time-from has something that is no URL", Cure: "write https://host or ntp://host"})
		}
		ctx, cancel := context.WithTimeout(ctx, d.Probe)
		defer cancel()
		var ahead time.Duration
		switch u.Scheme {
		case "http", "https":
			ahead, err = refresh.Date(ctx, sources[i], d.HTTP, d.Now)
		case "ntp":
			ahead, err = d.sntp(ctx, u.Host)
		default:
			err = errors.New("the URL is neither http, https nor ntp")
		}
		return one(judgeClock(u.Hostname(), named, ahead, err))
	})
}

func judgeClock(host string, named bool, ahead time.Duration, err error) Finding {
	f := Finding{Check: "clock"}
	if err != nil {
		f.Name, f.Level, f.Text = "clock_unknown", Note, "the clock could not be compared with "+host+": "+bare(err)
		f.Cure = "name another server by --time-from, such as ntp://pool.ntp.org"
		if named {
			f.Level = Warning
		}
		return f
	}
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	off := ahead.Abs().Round(100 * time.Millisecond)
	switch {
	case off > clockFault:
		f.Name, f.Level, f.Cure = "clock_wrong", Fault, clockCure
		f.Text = fmt.Sprintf("the clock is %v %s %s: middle proxies refuse more than 30 s, and apps refuse fake-TLS", off, way, host)
	case off > clockWarn:
		f.Name, f.Level, f.Cure = "clock_drift", Warning, clockCure
		f.Text = fmt.Sprintf("the clock is %v %s %s", off, way, host)
	default:
		f.Text = fmt.Sprintf("the clock is within %v of %s", max(off, time.Second).Round(time.Second), host)
	}
	return f
}

// bare is an error of net/http without the URL, which may hold a password.
func bare(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return plain(err)
}

// NTP's packet, of which a client needs the first byte, and of the answer the stratum and the last two times (RFC 5905 7.3):
//
//	leap 2 bits, version 3, mode 3 | stratum | poll | precision | ... | origin 8 | receive 8 at 32 | transmit 8 at 40
const (
	ntpSize     = 48
	ntpAsk      = 4<<3 | 3 // version 4, client
	ntpServer   = 4        // mode of an answer
	ntpUnsynced = 3        // leap
	ntpEpoch    = 2208988800
)

var errNTP = errors.New("not an NTP answer, or from a clock that is not set")

// sntp asks an NTP server and returns how far our clock is ahead (RFC 5905 8).
func (d *doctor) sntp(ctx context.Context, host string) (time.Duration, error) {
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "123")
	}
	conn, err := d.dial(ctx, "udp", host)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var p [ntpSize]byte
	p[0] = ntpAsk
	d.Rand(p[40:]) // comes back as origin; our time is nobody's business
	mark := [8]byte(p[40:])
	sent := d.Now()
	if _, err := conn.Write(p[:]); err != nil {
		return 0, err
	}
	n, err := conn.Read(p[:])
	received := d.Now()
	switch {
	case err != nil && ctx.Err() != nil:
		return 0, errors.New("no answer")
	case err != nil:
		return 0, err
	case n < ntpSize || p[0]&7 != ntpServer || p[0]>>6 == ntpUnsynced || p[1] == 0 || [8]byte(p[24:]) != mark:
		return 0, errNTP
	}
	theirs := ntpTime(p[32:]).Add(ntpTime(p[40:]).Sub(ntpTime(p[32:])) / 2)
	return sent.Add(received.Sub(sent) / 2).Round(0).Sub(theirs), nil
}

// ntpTime reads seconds since 1900 and a fraction. The seconds begin anew in 2036.
func ntpTime(p []byte) time.Time {
	seconds := int64(binary.BigEndian.Uint32(p))
	if seconds < 1<<31 {
		seconds += 1 << 32
	}
	fraction := int64(binary.BigEndian.Uint32(p[4:]))
	return time.Unix(seconds-ntpEpoch, fraction*int64(time.Second)>>32)
}
