// Package archtest keeps the rules of the house as tests: import floors, a sentence per package,
// file sizes, formatting, a tidy go.mod and a top level without surprises.
package archtest
