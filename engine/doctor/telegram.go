package doctor

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"epoxy/codec"
	"epoxy/engine/config"
	"epoxy/upstream/dcmap"
	"epoxy/upstream/direct"
	"epoxy/upstream/egress"
	"epoxy/upstream/refresh"
)

// telegram looks at each datacenter by each way that the settings use, and at what links need before.
func (d *doctor) telegram(ctx context.Context) []Finding {
	if !d.away() {
		return nil
	}
	if d.set.Upstream == config.UpstreamBack {
		return d.backs(ctx)
	}
	ways, found := d.ways(ctx)
	var parts []func() []Finding
	if d.set.Middle() {
		parts = append(parts, func() []Finding { return d.links(ctx, ways) })
	}
	if !d.set.Middle() || d.set.Fallback() {
		parts = append(parts, func() []Finding { return d.directly(ctx, ways) })
	}
	if d.set.Interface != "" || d.set.Mark != 0 {
		found = append(found, Finding{Check: "telegram", Name: "unmarked", Level: Note, Text: "--interface and --fwmark were left out here: Epoxy itself may go another way"})
	}
	return append(found, together(len(parts), func(i int) []Finding { return parts[i]() })...)
}

// group is the datacenters that have the same addresses.
type group struct {
	ids   []codec.DC
	addrs []netip.AddrPort // one to maxTried, of one family
}

// groups makes groups of what lookup returns for each id.
func groups(ids []codec.DC, lookup func(codec.DC) []netip.AddrPort) (all []group) {
	for _, id := range ids {
		addrs := lookup(id)
		if len(addrs) == 0 {
			continue
		}
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.AddrPort) bool { return a.Addr().Is4() != addrs[0].Addr().Is4() })
		addrs = addrs[:min(len(addrs), maxTried)]
		if i := slices.IndexFunc(all, func(g group) bool { return slices.Equal(g.addrs, addrs) }); i >= 0 {
			all[i].ids = append(all[i].ids, id)
			continue
		}
		all = append(all, group{[]codec.DC{id}, addrs})
	}
	return all
}

// String names the datacenters.
func (g group) String() string {
	var words []string
	for _, id := range slices.SortedFunc(slices.Values(g.ids), func(a, b codec.DC) int { return cmp.Or(a.Abs()-b.Abs(), int(b)-int(a)) }) {
		words = append(words, strconv.Itoa(int(id)))
	}
	return "DC " + strings.Join(words, ", ")
}

// exchange talks to an address as a loop would: the two times, or what is wrong.
type exchange func(ctx context.Context, w way, dc codec.DC, to netip.AddrPort) (connected, answered time.Duration, t *trouble)

// reachAll makes the exchange with every group by every way. worst is the level of a datacenter that nobody reaches.
func (d *doctor) reachAll(ctx context.Context, how string, ways []way, all []group, worst Level, talk exchange) []Finding {
	return together(len(ways)*len(all), func(i int) []Finding {
		w, g := ways[i/len(all)], all[i%len(all)]
		level := worst
		if !w.alone || !slices.ContainsFunc(g.ids, func(id codec.DC) bool { return id.Abs() <= mainDC }) {
			level = min(level, Warning)
		}
		tried := together(len(g.addrs), func(k int) []Finding {
			ctx, cancel := context.WithTimeout(ctx, d.Probe)
			defer cancel()
			f := Finding{Check: "telegram", Text: fmt.Sprintf("%v %s%v, %v", g, how, w, g.addrs[k])}
			connected, answered, t := talk(ctx, w, g.ids[0], g.addrs[k])
			if t != nil {
				f.Name, f.Level, f.Cure = t.name, level, t.cure
				f.Text += ": " + t.what
				return one(f)
			}
			f.Took = connected + answered
			f.Text += fmt.Sprintf(": connected in %v, answered in %v", short(connected), short(answered))
			return one(f)
		})
		good := slices.IndexFunc(tried, func(f Finding) bool { return f.Level == OK })
		if good < 0 {
			return tried[:1]
		}
		found := one(tried[good])
		for _, f := range tried { // another address serves
			if f.Level != OK {
				f.Level = Warning
				found = append(found, f)
			}
		}
		return found
	})
}

func short(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// directly looks at the datacenters themselves.
func (d *doctor) directly(ctx context.Context, ways []way) []Finding {
	over := make(map[int][]netip.AddrPort, len(d.set.DC))
	for id, addrs := range d.set.DC {
		over[int(id)] = addrs
	}
	family := map[config.Prefer]direct.Family{
		config.PreferV4: direct.PreferV4, config.PreferV6: direct.PreferV6, config.OnlyV4: direct.OnlyV4, config.OnlyV6: direct.OnlyV6,
	}[d.set.Prefer]
	table := direct.NewTable(over, family, int(d.set.DefaultDC))
	var ids []codec.DC
	for _, id := range table.IDs() {
		ids = append(ids, codec.DC(id))
	}
	worst := Fault
	if d.set.Middle() {
		worst = Warning // links come first
	}
	return d.reachAll(ctx, "directly", ways, groups(ids, func(id codec.DC) []netip.AddrPort { return table.Addrs(int(id)) }), worst, d.question)
}

// links fetches what links need, and opens one to each middle proxy.
func (d *doctor) links(ctx context.Context, ways []way) []Finding {
	book, found := d.book(ctx)
	if book == nil {
		return found
	}
	ways = slices.DeleteFunc(slices.Clone(ways), func(w way) bool { return w.proxy != nil && w.proxy.Kind != egress.SOCKS5 }) // HTTP carries none
	var all []group
	for _, f := range d.set.MiddleFamilies() {
		list := book.List(f)
		all = append(all, groups(list.DCs(), func(id codec.DC) []netip.AddrPort {
			_, addrs := list.Lookup(id)
			return addrs
		})...)
	}
	return append(found, d.reachAll(ctx, "by a link", ways, all, Fault, func(ctx context.Context, w way, dc codec.DC, to netip.AddrPort) (time.Duration, time.Duration, *trouble) {
		return d.link(ctx, w, book, to)
	})...)
}

// source is one of the things that a book is made of.
type source struct {
	kind       refresh.Kind
	flag, from string
	take       func(book *dcmap.Snapshot, body, kept []byte) error
}

// book fetches secret, lists and our address as the engine would; nil when links cannot be made of what there is.
func (d *doctor) book(ctx context.Context) (*dcmap.Snapshot, []Finding) {
	sources := []source{
		{refresh.Secret, "--telegram-secret", d.set.TelegramSecret, takeSecret},
		{refresh.ConfigV4, "--telegram-config", d.set.TelegramConfig, takeV4},
	}
	if d.set.MiddleV6 {
		sources = append(sources, source{refresh.ConfigV6, "--telegram-config-v6", d.set.TelegramConfigV6, takeV6})
	}
	if len(d.set.PublicLookup) > 0 && !d.set.PublicV4.IsValid() {
		sources = append(sources, source{refresh.OwnV4, "--public-ip-lookup", d.set.PublicLookup[0], takeOwn})
	}
	books := make([]dcmap.Snapshot, len(sources))
	found := together(len(sources), func(i int) []Finding { return one(d.fetch(ctx, sources[i], &books[i])) })
	book := &dcmap.Snapshot{Own: [2]dcmap.Own{dcmap.V4: {Given: d.set.PublicV4}, dcmap.V6: {Given: d.set.PublicV6}}}
	for _, b := range books {
		if b.Secret != nil {
			book.Secret = b.Secret
		}
		if b.V4 != nil {
			book.V4 = b.V4
		}
		if b.V6 != nil {
			book.V6 = b.V6
		}
		if b.Own[dcmap.V4].Found.IsValid() {
			book.Own[dcmap.V4].Found = b.Own[dcmap.V4].Found
		}
	}
	if book.Secret == nil || book.V4 == nil && book.V6 == nil {
		return nil, found
	}
	return book, found
}

// fetch gets one source into book; what a former process kept serves when it fails.
func (d *doctor) fetch(ctx context.Context, s source, book *dcmap.Snapshot) Finding {
	ctx, cancel := context.WithTimeout(ctx, d.Probe)
	defer cancel()
	f := Finding{Check: "telegram"}
	start := d.Now()
	kept, saved, keptErr := refresh.Load(d.set.StateDir, s.kind, s.from)
	body, err := refresh.Fetch(ctx, s.kind, s.from, d.HTTP)
	f.Took = d.Now().Sub(start)
	f.Name = "telegram_unreachable"
	what := "cannot be had"
	if err == nil {
		if err = s.take(book, body, kept); err == nil {
			f.Name, f.Text = "", fmt.Sprintf("%s was fetched from where %s says", s.kind, s.flag)
			return f
		}
		f.Name, what = "telegram_invalid", "is not what it should be"
	}
	*book = dcmap.Snapshot{}
	f.Text = fmt.Sprintf("%s %s, from where %s says: %s", s.kind, what, s.flag, bare(err))
	f.Cure = "see whether a firewall or the provider blocks it; where core.telegram.org is blocked, point " + s.flag + " at a mirror, or at a file that is brought from elsewhere"
	if keptErr == nil && s.take(book, kept, nil) == nil {
		age := d.Now().Sub(saved)
		f.Level = Warning
		f.Text += fmt.Sprintf("; the one that is kept is %v old", age.Round(time.Minute))
		if age > freshTime {
			f.Text += ", addresses and secret may have changed since"
		}
		return f
	}
	f.Level = Fault
	if s.kind == refresh.OwnV4 {
		f.Level, f.Cure = Warning, "write --public-ip, or name another service"
	}
	return f
}

func takeSecret(book *dcmap.Snapshot, body, _ []byte) (err error) {
	if book.Secret, err = dcmap.ParseSecret(body); err == nil {
		book.Selector = book.Secret.Selector()
	}
	return err
}

func takeV4(book *dcmap.Snapshot, body, kept []byte) (err error) {
	book.V4, err = takeList(body, kept, dcmap.V4)
	return err
}

func takeV6(book *dcmap.Snapshot, body, kept []byte) (err error) {
	book.V6, err = takeList(body, kept, dcmap.V6)
	return err
}

// takeList parses a list, which must be plausible beside the one that is kept.
func takeList(body, kept []byte, f dcmap.Family) (*dcmap.List, error) {
	list, err := dcmap.Parse(body, f)
	if err != nil || kept == nil {
		return list, err
	}
	old, _ := dcmap.Parse(kept, f) // a damaged one counts as none
	return list, new(dcmap.Guard).Check(old, list)
}

func takeOwn(book *dcmap.Snapshot, body, _ []byte) error {
	a, err := netip.ParseAddr(strings.TrimSpace(string(body)))
	book.Own[dcmap.V4].Found = a.Unmap()
	return err
}
