package admin

import (
	"context"
	"errors"
	"time"

	"epoxy/engine/policy"
)

// What a Control's errors may be, for errors.Is; policy.ErrFull is known too, and all others are faults of the process.
// The text behind the last "; " of an error of one line is taken for the cure.
var (
	ErrNotFound = errors.New("admin: not found")                             // 404
	ErrRefused  = errors.New("admin: refused")                               // 409
	ErrNotHere  = errors.New("admin: this process cannot be asked for that") // 501
)

// Control is what an operator may ask of a running process beyond reading pages. Methods are called from any goroutine,
// several at a time. An error wraps ErrNotFound, ErrRefused or ErrNotHere where it is one of these.
type Control interface {
	// Reload reads the settings again and puts in force what can change. With an error nothing has changed.
	Reload(ctx context.Context) (Reload, error)
	// Drain takes the listeners away and stops the process when its clients left, or after limit; below 0 is --drain. It does not wait.
	Drain(limit time.Duration) error
	// Levels returns the least level that is logged: debug, info, warn or error, by part; "" is all other parts.
	Levels() map[string]string
	// SetLevel changes it for a part; part "" is all that have no level of their own.
	SetLevel(part, level string) error
	// Secrets returns all secrets in the order of the settings.
	Secrets() []Secret
	// ResetSecret forgets what a secret has used of its quota.
	ResetSecret(name string) error
	// Tables returns all tables by name, those too that only a rule names.
	Tables() []TableInfo
	// Table returns a table's keys as policy.Tables.List does.
	Table(name string) ([]policy.Key, error)
	// AddKeys puts keys into a table, which is made when missing: all of them, or none with an error.
	AddKeys(table string, keys []policy.Key) (added int, err error)
	// DelKeys takes keys out of a table.
	DelKeys(table string, keys []policy.Key) (deleted int, err error)
}

// Reload is what a reload did, by names of settings.
type Reload struct {
	Applied []string `json:"applied,omitempty"` // changed and in force
	Restart []string `json:"restart,omitempty"` // changed, and in force after a restart

	Kept     int `json:"clients_kept"`
	Draining int `json:"clients_draining"` // whose port or secret is gone; they are closed when --drain is over
}

// Secret is what is known of a secret, without its key.
type Secret struct {
	Name           string    `json:"name"`
	State          string    `json:"state"` // on, off, expired or quota
	Clients        uint64    `json:"clients"`
	MaxClients     uint64    `json:"max_clients"` // 0 is no limit, here and below
	Addresses      uint64    `json:"addresses"`   // unique ones, where they are limited
	MaxAddresses   uint64    `json:"max_addresses"`
	Handshakes     uint64    `json:"handshakes"`
	UpBytes        uint64    `json:"up_bytes"` // from its clients
	DownBytes      uint64    `json:"down_bytes"`
	QuotaBytes     uint64    `json:"quota_bytes"`
	QuotaUsedBytes uint64    `json:"quota_used_bytes"`
	Expires        time.Time `json:"expires,omitzero"`
}

// TableInfo is a table's name and how many keys it has.
type TableInfo struct {
	Name string `json:"name"`
	Keys int    `json:"keys"`
}

// Entry is a key of a table: one of client_ip, client_subnet, tls_domain, port, secret, and its value.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Changed says how many keys a request changed.
type Changed struct {
	Added   int `json:"added"`
	Deleted int `json:"deleted"`
}

// Levels is what is logged.
type Levels struct {
	Levels map[string]string `json:"levels"` // by part; "" is all other parts
}

// SetLevel asks for another level.
type SetLevel struct {
	Part  string `json:"part,omitempty"` // empty is all that have no level of their own
	Level string `json:"level"`
}

// Problem is the body of every answer that is not 2xx.
type Problem struct {
	Error string `json:"error"`
	Cure  string `json:"cure,omitempty"`
}
