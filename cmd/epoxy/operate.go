package main

import (
	"fmt"
	"slices"
	"strings"

	"epoxy/codec"
	"epoxy/engine/admin"
	"epoxy/engine/policy"
	"epoxy/engine/quota"
)

// Levels returns the least level that is logged, by part.
func (o *operator) Levels() map[string]string { return o.levels.Levels() }

// SetLevel changes it until the next reload that changes it, or a restart.
func (o *operator) SetLevel(part, level string) error { return o.levels.SetLevel(part, level) }

// Secrets returns what is known of the secrets, in the order of the settings.
func (o *operator) Secrets() []admin.Secret {
	var all []admin.Secret
	for _, u := range o.engine.Usage() {
		s := admin.Secret{
			Name: u.Name, State: stateOf(u), Clients: uint64(u.Clients), MaxClients: uint64(u.MaxClients),
			Addresses: uint64(u.Addresses), MaxAddresses: uint64(u.MaxAddresses), UpBytes: u.AllUp, DownBytes: u.AllDown,
			Handshakes: u.Admitted, QuotaBytes: uint64(u.Quota), Expires: u.Expires,
		}
		if u.Quota > 0 {
			s.QuotaUsedBytes = u.Up + u.Down
		}
		all = append(all, s)
	}
	return all
}

// stateOf is a word for whether a secret lets clients in.
func stateOf(u quota.Usage) string {
	switch {
	case u.Enabled:
		return "on"
	case u.Why == codec.ReasonSecretExpired:
		return "expired"
	case u.Why == codec.ReasonSecretQuota:
		return "quota"
	}
	return "off"
}

// ResetSecret forgets what a secret has used of its quota.
func (o *operator) ResetSecret(name string) error {
	if !o.engine.ResetQuota(name) {
		return fmt.Errorf("there is no secret of this name; epoxy secrets list shows them: %w", admin.ErrNotFound)
	}
	return nil
}

// Tables returns all tables by name, those too that only a rule names.
func (o *operator) Tables() (all []admin.TableInfo) {
	for _, t := range o.engine.Tables().Names() {
		all = append(all, admin.TableInfo{Name: t.Name, Keys: t.Len})
	}
	s := o.settings()
	named := slices.Clone(s.Policy)
	for _, l := range s.Listen {
		if l.PortSettings != nil {
			named = append(named, l.Policy...)
		}
	}
	for _, r := range named {
		if name := r.Table(); name != "" && !slices.ContainsFunc(all, func(t admin.TableInfo) bool { return t.Name == name }) {
			all = append(all, admin.TableInfo{Name: name})
		}
	}
	slices.SortFunc(all, func(a, b admin.TableInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Table returns a table's keys.
func (o *operator) Table(name string) ([]policy.Key, error) {
	if !slices.ContainsFunc(o.Tables(), func(t admin.TableInfo) bool { return t.Name == name }) {
		return nil, fmt.Errorf("there is no table of this name; epoxy table list shows them: %w", admin.ErrNotFound)
	}
	return o.engine.Tables().List(name), nil
}

// AddKeys puts keys into a table, which is made when missing: all of them, or none when they do not fit.
func (o *operator) AddKeys(table string, keys []policy.Key) (int, error) {
	o.mu.Lock() // nobody else adds meanwhile
	defer o.mu.Unlock()
	t, fresh := o.engine.Tables(), 0
	for _, k := range keys {
		if !t.Has(table, k) {
			fresh++
		}
	}
	if t.Len()+fresh > t.Max() {
		return 0, policy.ErrFull
	}
	return t.Add(table, keys...)
}

// DelKeys takes keys out of a table.
func (o *operator) DelKeys(table string, keys []policy.Key) (int, error) {
	return o.engine.Tables().Del(table, keys...), nil
}
