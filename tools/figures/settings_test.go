package main

// Sizes of the work, limits that the code or a test keeps, and advice.
var performanceSettings = []string{
	"60 MB each, in windows of 512 KiB", "round trips of 200 B by 64 clients", "silent for 65 s", "in the last 20 s of the silence",
	"24 readers ask for 16.8 MB each", "in steps of 10 ms", "p50, p99, p99.9", "after 30 s of silence", "hard limit of 1 MiB",
	"45 s, in which Epoxy drops", "speaks for 10 s beside the others", "costs over 25 % (and 4 MiB", "about 24 KiB", "links die after 2 to 10 s",
	"changes every 3 s", "at most 20 % and 16 MB above", "a full table of 64 MiB", "200 B with pauses of 16 ms", "16 KiB at a time", "200 times. It fails",
	"from 95 % on new clients are refused",
}

var readmeSettings = []string{
	"It takes about 40 seconds", "a random 30 to 120 seconds", "within 30 s. Let something keep it", "complains above 5 s", "wait for 3 s and are closed",
	"go links of TLS 1.3 with certificates", "clients are held for 3 s", "that hangs for 30 s", "It needs 15 s at most", "16 ms grain of timers", "in 64 bytes, so fewer bytes", "Go 1.26 or newer", "looks like TLS 1.3", "License 2.0",
}
