package secret

import (
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
)

// What is wrong with a link; a bad secret in one gives Parse's error.
var (
	ErrLink   = errors.New("secret: not a tg://proxy or https://t.me/proxy link")
	ErrServer = errors.New("secret: a link without server")
	ErrPort   = errors.New("secret: a link without a port of 1..65535")
)

const query = "proxy?"

// Link returns the two links that hand out s for a proxy at host and port (spec client-protocols 3.1). host is a
// name or an address, IPv6 without brackets.
func (s Secret) Link(host string, port int) (tg, tme string) {
	params := query + "server=" + escape(host) + "&port=" + strconv.Itoa(port) + "&secret=" + s.Text()
	return "tg://" + params, "https://t.me/" + params
}

// ParseLink takes a link of either form apart.
func ParseLink(text string) (host string, port int, s Secret, err error) {
	params, ok := cutScheme(text)
	if !ok || len(text) > maxLinkSize {
		return "", 0, Secret{}, ErrLink
	}
	var portText, secretText string
	for param := range strings.SplitSeq(params, "&") {
		name, value, _ := strings.Cut(param, "=")
		value, ok := unescape(value)
		if !ok {
			return "", 0, Secret{}, ErrLink
		}
		switch name {
		case "server":
			host = value
		case "port":
			portText = value
		case "secret":
			secretText = value
		}
	}
	if host == "" {
		return "", 0, Secret{}, ErrServer
	}
	number, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || number == 0 {
		return "", 0, Secret{}, ErrPort
	}
	if s, err = Parse(secretText); err != nil {
		return "", 0, Secret{}, err
	}
	return host, int(number), s, nil
}

// cutScheme returns the parameters of a link, without a fragment.
func cutScheme(text string) (params string, ok bool) {
	text, _, _ = strings.Cut(text, "#")
	for _, prefix := range []string{
		"tg://", "tg:", "https://t.me/", "http://t.me/", "t.me/", "https://telegram.me/", "http://telegram.me/", "telegram.me/",
	} {
		end := len(prefix) + len(query)
		if len(text) >= end && strings.EqualFold(text[:end], prefix+query) {
			return text[end:], true
		}
	}
	return "", false
}

// escape writes all but the characters of host names and addresses as %XX.
func escape(host string) string {
	var b strings.Builder
	for i := range len(host) {
		c := host[i]
		if notHost(rune(c)) && c != '.' && c != ':' {
			b.WriteByte('%')
			b.WriteString(strings.ToUpper(hex.EncodeToString([]byte{c})))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unescape undoes %XX. A plus stays one: no parameter has a space, and base64 has pluses.
func unescape(value string) (string, bool) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(value, "%")
		b.WriteString(plain)
		if !found {
			return b.String(), true
		}
		if len(rest) < 2 {
			return "", false
		}
		c, err := hex.DecodeString(rest[:2])
		if err != nil {
			return "", false
		}
		b.Write(c)
		value = rest[2:]
	}
}
