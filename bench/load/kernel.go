package load

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// KernelMemory returns the bytes that the whole machine's kernel holds in slabs it cannot give back and in TCP buffers; 0 where
// /proc does not tell. On loopback both ends of every connection are in it.
func KernelMemory() int64 {
	var sum int64
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		sum += statusBytes(info, "SUnreclaim:")
	}
	if stat, err := os.ReadFile("/proc/net/sockstat"); err == nil {
		sum += tcpPages(string(stat)) * int64(os.Getpagesize())
	}
	return sum
}

// tcpPages finds N in "TCP: inuse 5 orphan 0 tw 0 alloc 7 mem N" of /proc/net/sockstat.
func tcpPages(stat string) int64 {
	for line := range strings.Lines(stat) {
		rest, ok := strings.CutPrefix(line, "TCP:")
		if !ok {
			continue
		}
		_, mem, _ := strings.Cut(rest, " mem ")
		n, err := strconv.ParseInt(strings.TrimSpace(mem), 10, 64)
		if err == nil {
			return n
		}
	}
	return 0
}

// heapMetric is what Prometheus clients for Go call the bytes in spans of the heap that are in use.
const heapMetric = "go_memstats_heap_inuse_bytes"

// Scrape reads a page of Prometheus metrics and returns the values of all series by name with labels.
func Scrape(ctx context.Context, url string) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, scrapeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("load: scrape: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("load: scrape: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("load: scrape: %s", resp.Status)
	}
	values := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		if v, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			values[line[:at]] = v
		}
	}
	return values, lines.Err()
}

// scrapeTime bounds one page.
const scrapeTime = 10 * time.Second
