package stats

import (
	"epoxy/codec"
	"epoxy/engine/quota"
)

// secretLines is how many secrets have lines of their own; the rest are added up under the name "other".
const secretLines = 1000

// Port is one listener of all loops.
type Port struct {
	Name    string
	Clients uint64
	Limit   uint64 // of its own; 0 is none
}

// secretReasons are those for which a secret's limits refuse clients.
var secretReasons = []codec.Reason{
	codec.ReasonSecretDisabled, codec.ReasonSecretExpired, codec.ReasonSecretQuota, codec.ReasonSecretClients, codec.ReasonSecretAddresses,
}

// secretFamilies returns the metrics of secrets and ports.
func secretFamilies() []family {
	return []family{
		{PortClients, gauge, "Client connections open now, by port.", func(v *view, line lineFunc) {
			for _, p := range v.Ports {
				line(p.Clients, "port", p.Name)
			}
		}},
		{SecretClients, gauge, "Clients with this secret now.", perSecret(func(u *quota.Usage) uint64 { return uint64(u.Clients) })},
		{SecretAddresses, gauge, "Addresses that this secret is used from; an IPv6 /64 is one.", perSecret(func(u *quota.Usage) uint64 { return uint64(u.Addresses) })},
		{SecretBytes, counter, "Bytes of clients with this secret; up is towards Telegram.", func(v *view, line lineFunc) {
			for _, u := range bounded(v.Secrets) {
				line(u.AllUp, "secret", u.Name, "direction", "up")
				line(u.AllDown, "secret", u.Name, "direction", "down")
			}
		}},
		{SecretUsed, gauge, "Bytes of this secret since its quota began.", perSecret(func(u *quota.Usage) uint64 { return u.Up + u.Down })},
		{SecretQuota, gauge, "Bytes that this secret may carry; 0 is no limit.", perSecret(func(u *quota.Usage) uint64 { return uint64(u.Quota) })},
		{SecretExpires, gauge, "When this secret ends, in Unix seconds; 0 is never.", perSecret(func(u *quota.Usage) uint64 {
			if u.Expires.IsZero() {
				return 0
			}
			return uint64(u.Expires.Unix())
		})},
		{SecretEnabled, gauge, "1 while new clients with this secret are let in.", perSecret(func(u *quota.Usage) uint64 { return bit(u.Enabled) })},
		{SecretAdmitted, counter, "Clients with this secret that were let in.", perSecret(func(u *quota.Usage) uint64 { return u.Admitted })},
		{SecretRefused, counter, "Clients with this secret that its limits turned away, by reason.", func(v *view, line lineFunc) {
			for _, u := range bounded(v.Secrets) {
				for _, why := range secretReasons {
					line(u.Refused[why], "secret", u.Name, "reason", why.String())
				}
			}
		}},
	}
}

// perSecret writes one line for each secret.
func perSecret(get func(u *quota.Usage) uint64) func(v *view, line lineFunc) {
	return func(v *view, line lineFunc) {
		all := bounded(v.Secrets)
		for i := range all {
			line(get(&all[i]), "secret", all[i].Name)
		}
	}
}

// bounded returns the first secrets, and the others as one.
func bounded(all []quota.Usage) []quota.Usage {
	if len(all) <= secretLines {
		return all
	}
	rest := quota.Usage{Name: "other"}
	for _, u := range all[secretLines:] {
		rest.Clients += u.Clients
		rest.Admitted += u.Admitted
		rest.Addresses += u.Addresses
		rest.Up += u.Up
		rest.Down += u.Down
		rest.AllUp += u.AllUp
		rest.AllDown += u.AllDown
		rest.Quota += u.Quota
		rest.Enabled = rest.Enabled || u.Enabled
		for _, why := range secretReasons {
			rest.Refused[why] += u.Refused[why]
		}
	}
	return append(all[:secretLines:secretLines], rest)
}
