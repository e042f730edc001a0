package main

import (
	"io"
	"log/slog"

	"epoxy/engine/config"
	"epoxy/engine/logs"
)

// logHandler writes log lines as s wants them, at the levels of the switch. No handler sees a whole secret: their type prints itself masked.
func logHandler(w io.Writer, s *config.Settings) (slog.Handler, *logs.Switch) {
	levels := logs.New(s.LogLevel, s.LogParts)
	options := &slog.HandlerOptions{Level: slog.LevelDebug} // the switch decides
	var h slog.Handler = slog.NewTextHandler(w, options)
	if s.LogFormat == config.LogJSON {
		h = slog.NewJSONHandler(w, options)
	}
	return levels.Handler(h), levels
}
