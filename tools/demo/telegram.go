package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/gotd/td/crypto"
	"github.com/gotd/td/session"
	"github.com/gotd/td/telegram"
	"github.com/gotd/td/telegram/dcs"
	"github.com/gotd/td/tg"
	"github.com/gotd/td/tgtest"
	"github.com/gotd/td/tgtest/services/config"
	"github.com/gotd/td/transport"
)

const (
	dcID = 2
	// pings is how many encrypted round trips a row makes after its call.
	pings = 20
	// rowLimit is how long one row may take.
	rowLimit = 20 * time.Second
)

// fakeTelegram is gotd's test server as datacenter 2, behind the obfuscated transport that a proxy speaks to it.
type fakeTelegram struct {
	addr   string
	list   dcs.List
	key    telegram.PublicKey
	cancel context.CancelFunc
	done   chan error
}

func startTelegram(ctx context.Context) (*fakeTelegram, error) {
	key, err := rsa.GenerateKey(rand.Reader, crypto.RSAKeyBits)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	list := []tg.DCOption{{ID: dcID, IPAddress: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}}
	calls := tgtest.NewDispatcher()
	config.NewService(&tg.Config{DCOptions: list}, &tg.CDNConfig{}).Register(calls)
	calls.Vector(tg.UsersGetUsersRequestTypeID, &tg.User{ID: 10, AccessHash: 10, Username: "epoxy"})
	srv := tgtest.NewServer(tgtest.NewPrivateKey(key), tgtest.UnpackInvoke(calls), tgtest.ServerOptions{DC: dcID})

	ctx, cancel := context.WithCancel(ctx)
	t := &fakeTelegram{
		addr: l.Addr().String(), list: dcs.List{Options: list}, key: srv.Key(),
		cancel: cancel, done: make(chan error, 1),
	}
	go func() {
		t.done <- srv.Serve(ctx, transport.Listen(patient{transport.ObfuscatedListener(l)}))
	}()
	return t, nil
}

func (t *fakeTelegram) stop() {
	t.cancel()
	<-t.done
}

// patient is a listener that goes on after a peer that ended inside its opening; gotd's server would stop.
type patient struct{ net.Listener }

func (p patient) Accept() (net.Conn, error) {
	for {
		conn, err := p.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
	}
}

// way is how a client comes to the test server.
type way func(dial dcs.DialFunc) (dcs.Resolver, error)

// direct is the way without a proxy.
func direct(dial dcs.DialFunc) (dcs.Resolver, error) {
	return dcs.Plain(dcs.PlainOptions{Protocol: transport.Intermediate, Obfuscated: true, Dial: dial}), nil
}

// through is the way through the proxy at addr.
func through(addr string, secret []byte) way {
	return func(dial dcs.DialFunc) (dcs.Resolver, error) {
		return dcs.MTProxy(addr, secret, dcs.MTProxyOptions{Dial: dial})
	}
}

// call makes a full exchange of keys, one call and some pings by way w, and tells what it did.
func (t *fakeTelegram) call(ctx context.Context, w way) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, rowLimit)
	defer cancel()
	resolver, err := w(func(dialling context.Context, network, addr string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(dialling, network, addr)
		if err == nil { // gotd waits for a ServerHello without a limit
			context.AfterFunc(ctx, func() { _ = conn.Close() })
		}
		return conn, err
	})
	if err != nil {
		return "", err
	}
	client := telegram.NewClient(1, "demo", telegram.Options{
		PublicKeys:     []telegram.PublicKey{t.key},
		DC:             dcID,
		DCList:         t.list,
		Resolver:       resolver,
		SessionStorage: &session.StorageMemory{},
		NoUpdates:      true,
	})
	err = client.Run(ctx, func(ctx context.Context) error {
		cfg, err := client.API().HelpGetConfig(ctx)
		if err != nil {
			return fmt.Errorf("help.getConfig: %w", err)
		}
		if cfg.ThisDC != dcID {
			return fmt.Errorf("arrived at datacenter %d, not %d", cfg.ThisDC, dcID)
		}
		for range pings {
			if err := client.Ping(ctx); err != nil {
				return fmt.Errorf("ping: %w", err)
			}
		}
		return nil
	})
	return fmt.Sprintf("key exchange, help.getConfig, %d pings", pings), err
}
