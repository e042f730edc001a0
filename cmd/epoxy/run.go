package main

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/spf13/cobra"

	"epoxy/codec/secret"
	"epoxy/engine/admin"
	"epoxy/engine/config"
	"epoxy/engine/logs"
	"epoxy/engine/stats"
)

func (a *app) run() *cobra.Command {
	s := config.Default()
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Serve clients until SIGTERM",
		Long: `Run serves clients until SIGTERM or SIGINT, then lets sessions finish for --drain; a second signal exits at once. SIGHUP
reads flags, variables and file again and changes what changed under live clients, as epoxy reload does.

Without --secret it makes one, keeps it in --state-dir and uses it again at the next start. Links go to standard
output, log lines to standard error. The operator's door (--admin) has /metrics, /stats, /healthz, /readyz,
/debug/pprof/ and what epoxy status and the other commands ask for.

Every flag has a variable and a key in the file of --config: --max-clients is EPOXY_MAX_CLIENTS and max_clients. A flag
wins over its variable, that over the file; lists in a variable have commas or line ends between. Secrets are better in
the file or in EPOXY_SECRET than on a command line, which other users can read. Without --config no file is read.`,
		Example: `  epoxy run                                          first start, on port 1443, with a secret of its own
  epoxy run --listen :443 --domain www.example.com   fake-TLS on the port where it belongs
  epoxy run --listen :443 --secret alice=3f2a... --secret bob=ee9c... --domain www.example.com
  epoxy run --listen 0.0.0.0:443 --listen [::]:443 --allow tls --public-host proxy.example.net
  epoxy run --config /etc/epoxy/epoxy.toml
  epoxy run --upstream back --back back.example.net:8443 --back-cert epoxy-front.pem
  EPOXY_LISTEN=:443 EPOXY_SECRET=3f2a... epoxy run`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := a.settings(cmd, s)
			if err != nil {
				return err
			}
			return a.serve(s, a.typed(cmd), warnings)
		},
	}
	cmd.Flags().SortFlags = false
	config.Register(cmd.Flags(), s)
	return cmd
}

// serve runs the proxy of s, which args made, until a signal or the engine ends it.
func (a *app) serve(s *config.Settings, args []string, warnings []warning) error {
	handler, levels := logHandler(a.errs, s)
	log := slog.New(handler)
	for _, w := range warnings {
		log.Warn(w.text, slog.String(w.key, w.value))
	}
	id, err := a.identity(s)
	if err != nil {
		return err
	}
	if err := claim(s.StateDir, id); err != nil {
		return err
	}
	made, err := a.ensureSecret(s)
	if err != nil {
		return err
	}
	for _, n := range s.Secrets {
		if secret.IsPublicDefault(n.Secret.Key) {
			log.Warn("this secret stands in public examples; anybody can guess it", slog.String("secret", n.Name))
		}
	}
	e, err := a.engine(s, log)
	if err != nil {
		return err
	}
	if err := a.settle(s, e, id, log); err != nil {
		e.Stop()
		return err
	}
	o := a.operator(args, s, e, log, levels)
	door, err := a.openDoor(s, e, o, log)
	if err != nil {
		e.Stop()
		return err
	}
	defer door.close()
	if err := e.Start(); err != nil {
		return err
	}
	door.serve(log)
	log.Info("serving", slog.Any("listen", e.Addrs()), slog.String("admin", door.addr()), slog.Int("clients_limit", e.Limit()),
		slog.Any("poller", s.Poller), slog.String("version", a.build.Version))
	if len(s.Listen) > 0 {
		a.greet(s, e.Addrs(), made, log)
	}
	o.notify.ready("serving")
	defer a.watch(o.notify, e)()
	return o.wait()
}

// settle opens the ports and what must be opened by root, and becomes id, nil for nobody else.
func (a *app) settle(s *config.Settings, e proxy, id *identity, log *slog.Logger) error {
	if id == nil {
		return nil // Start opens the ports
	}
	if err := e.Listen(); err != nil {
		return err
	}
	if err := claim(s.StateDir, id); err != nil { // what was opened there is root's
		return err
	}
	if err := drop(id, capsOf(s)); err != nil {
		return err
	}
	log.Info("root's rights are gone", slog.String("user", id.name), slog.Int("uid", id.uid), slog.Int("gid", id.gid))
	return nil
}

// greet prints the links: whole when asked, or when a secret was made just now and somebody is watching.
func (a *app) greet(s *config.Settings, addrs []string, made bool, log *slog.Logger) {
	p := a.place(s, addrs)
	if p.guess != "" {
		log.Warn(p.guess, slog.String("host", p.host))
	}
	show := shown{whole: s.ShowSecrets || made && a.terminal}
	show.qr = show.whole && a.terminal
	a.printLinks(s, p, addrs, show)
	switch {
	case show.whole:
	case made:
		fmt.Fprintf(a.out, "A secret was made and is kept in %s; `epoxy link` with the same flags prints the links whole.\n", s.StateDir)
	default:
		fmt.Fprintln(a.out, "The secrets are masked; `epoxy link` with the same flags prints the links whole.")
	}
}

// opened is the operator's door while it is open; a nil one is off.
type opened struct {
	server *admin.Server
	served sync.WaitGroup
}

// openDoor opens the door that s wants. Who comes waits until serve: before its start an engine cannot be asked.
func (a *app) openDoor(s *config.Settings, e proxy, o *operator, log *slog.Logger) (*opened, error) {
	if s.Admin.IsZero() {
		return nil, nil
	}
	exporter := stats.NewExporter(e, a.build)
	server, err := admin.New(admin.Options{
		Addr: s.Admin.String(), Healthy: e.Healthy, Ready: e.Ready, Metrics: exporter.Write, Stats: exporter.Stats, Log: logs.Of(log, logs.Admin),
		Strangers: e.Strangers, Status: a.looker(e, exporter, o), Control: o, Token: string(s.AdminToken), Mode: s.AdminMode,
	})
	if err != nil {
		return nil, fmt.Errorf("--admin %s: %w; choose another place, or off", s.Admin, err)
	}
	return &opened{server: server}, nil
}

// serve answers beside the engine until close.
func (d *opened) serve(log *slog.Logger) {
	if d == nil {
		return
	}
	d.served.Go(func() {
		if err := d.server.Serve(); err != nil {
			logs.Of(log, logs.Admin).Error("the operator's door closed", slog.Any("error", err))
		}
	})
}

func (d *opened) addr() string {
	if d == nil {
		return "off"
	}
	return d.server.Addr()
}

func (d *opened) close() {
	if d == nil {
		return
	}
	_ = d.server.Close() // the process ends anyway
	d.served.Wait()
}
