package config

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// parseBytes reads "536870912", "512M", "4G", "4GiB".
func parseBytes(text string) (int64, error) {
	digits := strings.TrimRight(text, "KMGTiBkmgtb")
	shift, unit := 0, strings.ToLower(text[len(digits):])
	for i, u := range []string{"k", "m", "g", "t"} {
		if unit == u || unit == u+"b" || unit == u+"ib" {
			shift, unit = 10*(i+1), ""
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || unit != "" && unit != "b" || n > maxMemory>>shift {
		return 0, wrong("is not a number of bytes up to 64 TiB", "write 512M or 4G")
	}
	return int64(n << shift), nil
}

// parseMemory reads the size of the process, 0 for automatic.
func parseMemory(text string) (int64, error) {
	n, err := parseBytes(text)
	switch {
	case err != nil:
		return 0, wrong("is not a number of bytes up to 64 TiB", "write 512M or 4G; 0 is automatic")
	case n != 0 && n < minMemory:
		return 0, wrong("is less than the 64 MiB that an empty proxy needs", "write 512M or 4G; 0 is automatic")
	}
	return n, nil
}

// parseQueueLimit reads how much may wait for one client.
func parseQueueLimit(text string) (int, error) {
	n, err := parseBytes(text)
	if err != nil || n < minQueueLimit || n > maxSocketSize {
		return 0, wrong("is not a size of 128 KiB to 1 GiB", "write 1M or 4M")
	}
	return int(n), nil
}

// showMemory prints whole units short.
func showMemory(n int64) string {
	unit := 0
	for n != 0 && n%1024 == 0 && unit < 4 {
		n /= 1024
		unit++
	}
	return strconv.FormatInt(n, 10) + []string{"", "K", "M", "G", "T"}[unit]
}

// DefaultMemory returns what --memory 0 stands for: 80 % of the machine's RAM, or of the tightest limit of the control
// groups that this process is in, in bytes; 0 when neither is told. root is os.DirFS("/").
func DefaultMemory(root fs.FS) int64 {
	least := ramOf(root)
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		// hierarchy:controllers:path; the second version has hierarchy 0 and no controllers
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, group, ok := strings.Cut(rest, ":")
		at, files := "sys/fs/cgroup", []string{"memory.max", "memory.high"}
		switch {
		case !ok:
			continue
		case strings.Contains(","+controllers+",", ",memory,"):
			at, files = "sys/fs/cgroup/memory", []string{"memory.limit_in_bytes"}
		case controllers != "":
			continue
		}
		// A limit holds for all groups below. In a container the path may be the host's and lead nowhere.
		for group = path.Clean("/" + group); ; group = path.Dir(group) {
			for _, file := range files {
				if n := numberIn(root, path.Join(at, group, file)); n > 0 && (least == 0 || n < least) {
					least = n
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return least / 100 * memoryShare
}

// SocketMemory returns the bytes that TCP sockets of this network namespace hold in the kernel, 0 when it is not told.
// page is the size of a memory page. root is os.DirFS("/").
func SocketMemory(root fs.FS, page int) int64 {
	info, _ := fs.ReadFile(root, "proc/net/sockstat")
	for line := range strings.Lines(string(info)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "TCP:" {
			continue
		}
		for i := 1; i+1 < len(words); i += 2 {
			if words[i] == "mem" {
				pages, _ := strconv.ParseInt(words[i+1], 10, 40)
				return pages * int64(page)
			}
		}
	}
	return 0
}

// ramOf returns the machine's memory, 0 when it is not told.
func ramOf(root fs.FS) int64 {
	info, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(info)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(words[1], 10, 53)
			return kib << 10
		}
	}
	return 0
}

// numberIn returns the number that a file holds, 0 for none such as "max".
func numberIn(root fs.FS, name string) int64 {
	text, _ := fs.ReadFile(root, name)
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
