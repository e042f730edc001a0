// Package day is an operator's day as a test: the built program, its commands and signals, and its clients. It starts from the
// example file and looks at everything from outside.
package day
