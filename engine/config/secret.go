package config

import (
	"strconv"
	"strings"

	"epoxy/codec/secret"
)

// NamedSecret is a secret and the name that logs and metrics use for it. The kind of the secret says only which
// links are made from it; its key serves every protocol that Allow has, because that is what --allow promises.
type NamedSecret struct {
	Name   string
	Secret secret.Secret
}

// ParseSecret reads "[NAME=]SECRET"; Name is empty when there is none. No error holds a byte of the secret.
func ParseSecret(text string) (NamedSecret, error) {
	name, body, named := strings.Cut(text, "=")
	if !named || strings.Trim(body, "=") == "" { // the = of base64 padding
		name, body = "", text
	} else if err := checkName(name); err != nil {
		return NamedSecret{}, err
	}
	s, err := secret.Parse(body)
	if err != nil {
		problem := strings.TrimPrefix(err.Error(), "secret: ") // a fixed text, see codec/secret
		return NamedSecret{}, wrong("is no secret: "+problem+" ("+strconv.Itoa(len(body))+" characters, not shown)",
			"epoxy secret makes a good one")
	}
	return NamedSecret{Name: name, Secret: s}, nil
}
