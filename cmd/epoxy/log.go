package main

import (
	"io"
	"log/slog"

	"epoxy/engine/config"
)

// logHandler writes log lines as s wants them. No handler sees a whole secret: their type prints itself masked.
func logHandler(w io.Writer, s *config.Settings) slog.Handler {
	options := &slog.HandlerOptions{Level: s.LogLevel}
	switch s.LogFormat {
	case config.LogJSON:
		return slog.NewJSONHandler(w, options)
	case config.LogText:
	}
	return slog.NewTextHandler(w, options)
}
