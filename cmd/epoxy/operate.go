package main

import (
	"errors"
	"time"

	"epoxy/engine/admin"
	"epoxy/engine/policy"
)

var errUnknown = errors.New("not there yet")

// Levels returns the least level that is logged, by part.
func (o *operator) Levels() map[string]string { return nil }

// SetLevel changes it.
func (o *operator) SetLevel(string, string) error { return errUnknown }

// Secrets returns what is known of the secrets.
func (o *operator) Secrets() []admin.Secret {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []admin.Secret
	for _, n := range o.set.Secrets {
		state := "on"
		switch {
		case n.Disabled:
			state = "off"
		case !n.Expires.IsZero() && time.Now().After(n.Expires):
			state = "expired"
		}
		all = append(all, admin.Secret{
			Name: n.Name, State: state, MaxClients: uint64(n.MaxClients), MaxAddresses: uint64(n.MaxAddresses), QuotaBytes: uint64(n.Quota), Expires: n.Expires,
		})
	}
	return all
}

// ResetSecret forgets what a secret has used of its quota.
func (o *operator) ResetSecret(string) error { return errUnknown }

// Tables returns all tables.
func (o *operator) Tables() []admin.TableInfo { return nil }

// Table returns a table's keys.
func (o *operator) Table(string) ([]policy.Key, error) { return nil, errUnknown }

// AddKeys puts keys into a table.
func (o *operator) AddKeys(string, []policy.Key) (int, error) { return 0, errUnknown }

// DelKeys takes keys out of a table.
func (o *operator) DelKeys(string, []policy.Key) (int, error) { return 0, errUnknown }
