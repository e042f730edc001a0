package config

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"epoxy/codec/secret"
)

// duration adds a flag of kind duration.
func (r registrar) duration(to *time.Duration, name, usage string) {
	scalar(r, to, name, "TIME", parseDuration, short, usage)
}

// boolean adds a flag that may stand alone.
func (r registrar) boolean(to *bool, name, usage string) {
	scalar(r, to, name, kindBool, parseBool, strconv.FormatBool, usage)
}

func parseBool(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, wrong("is neither true nor false", "write true or false")
}

// parseAdmin reads an Endpoint or "off". That it is loopback is for the door itself and Validate to say.
func parseAdmin(text string) (Endpoint, error) {
	if text == "off" {
		return Endpoint{}, nil
	}
	return ParseEndpoint(text)
}

func parseDir(text string) (string, error) {
	if strings.ContainsRune(text, 0) {
		return "", wrong("is not a directory's name", "write a path such as /var/lib/epoxy")
	}
	return text, nil
}

// parseDomain reads the name of a web site for ee links and lower-cases it; empty text is none.
func parseDomain(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if len(text) < secret.MinMadeDomain || secret.CheckDomain(text) != nil {
		return "", wrong("is not a domain", "write a host name of 4 to 182 letters, digits, dots and dashes, such as www.example.com (punycode for others)")
	}
	return strings.ToLower(text), nil
}

// parseHost reads what a link names: an IP address without brackets or a host name.
func parseHost(text string) (string, error) {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return a.String(), nil
	}
	if text != "" && secret.CheckDomain(text) != nil {
		return "", wrong("is neither an IP address nor a host name", "write what clients connect to, without a port, such as proxy.example.com")
	}
	return text, nil
}

func showAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func same(text string) string { return text }
