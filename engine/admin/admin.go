// Package admin is the operator's door: metrics, health, profiles and the API of the commands, over HTTP.
//
// It is on loopback or a unix socket, elsewhere with a token only. It runs beside the loops, on goroutines of its own,
// and touches them only through the functions and the Control it was given.
package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// ErrNotLoopback refuses an address that others could reach while there is no token.
var ErrNotLoopback = errors.New("admin: without --admin-token it opens on loopback only: 127.0.0.1:PORT, [::1]:PORT or unix:/path")

// Options says where the door is and what is behind it. The fields before Strangers are needed.
type Options struct {
	Addr    string            // "127.0.0.1:8888", "[::1]:8888" or "unix:/path"; with Token any address; port 0 is the kernel's choice
	Healthy func() error      // nil while clients can be carried to Telegram, else why not
	Ready   func() error      // nil while clients are served, else why not
	Metrics func(w io.Writer) // one page of Prometheus text
	Stats   func(w io.Writer) // one page for monitors of the official proxy: name, tab, value
	Log     *slog.Logger

	Strangers func() any    // what strangers sent, a value for encoding/json, from any goroutine; nil when nobody remembers
	Status    func() Status // the state of the process, from any goroutine; nil answers 501
	Control   Control       // what the operator may change; nil answers 501
	Token     string        // what every page but /healthz and /readyz asks for as "Authorization: Bearer TOKEN"; empty asks nobody
	Mode      fs.FileMode   // of the unix socket's file; 0 is 0600
}

// Server is an open door.
type Server struct {
	listener net.Listener
	http     *http.Server
	addr     string
}

// New opens the door at o.Addr. Nobody is answered until Serve.
func New(o Options) (*Server, error) {
	l, err := listen(o)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: newBounded(l, maxConns), addr: l.Addr().String()}
	if l.Addr().Network() == "unix" {
		s.addr = o.Addr
	}
	s.http = &http.Server{
		Handler:           guarded(pages(o), o.Token, isLoopback(l.Addr())),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr returns where the door is, as Options.Addr takes it, with the port that the kernel chose.
func (s *Server) Addr() string { return s.addr }

// Serve answers until Close; then it returns nil.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

// Close lets requests under way finish for 2 s, then cuts them. A unix socket's file goes too.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		err = s.http.Close()
		return err
	}
	// Shutdown knows the listener only once Serve ran.
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

func listen(o Options) (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.Addr, "unix:"); ok {
		return listenUnix(path, cmp.Or(o.Mode, socketMode))
	}
	a, err := netip.ParseAddrPort(o.Addr)
	if err != nil && o.Token != "" && strings.HasPrefix(o.Addr, ":") {
		a, err = netip.ParseAddrPort("[::]" + o.Addr)
	}
	switch {
	case err != nil && o.Token != "":
		return nil, fmt.Errorf("admin: %q is no address with a port; write one like 192.0.2.1:8888", o.Addr)
	case err != nil, o.Token == "" && !a.Addr().Unmap().IsLoopback():
		return nil, fmt.Errorf("%w, not %q", ErrNotLoopback, o.Addr)
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}

// listenUnix binds path for those whom mode lets in. A file that a dead process left is taken over, a live one is not.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		c, err := net.DialTimeout("unix", path, probeTimeout)
		if err == nil {
			_ = c.Close()
			return nil, fmt.Errorf("admin: another process serves unix:%s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("admin: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	if strings.HasPrefix(path, "@") {
		return l, nil // an abstract name has no file, hence no mode
	}
	if err := os.Chmod(path, mode); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("admin: %w", err)
	}
	return l, nil
}
