package rig

import "time"

// Ours.
const (
	stopTime  = 5 * time.Second       // from a polite signal to SIGKILL
	readyTime = 60 * time.Second      // from a proxy's start to its first client's answer
	readyStep = 50 * time.Millisecond // between two looks
	tailSize  = 2048                  // bytes of a log that an error shows
	// portFrom and portTo are below the ports that Linux gives to outgoing connections, so none of those takes one.
	portFrom, portTo = 20000, 32000
	portTries        = 200
)
