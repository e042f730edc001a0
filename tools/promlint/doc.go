// Package promlint checks that a page of metrics, as the built program serves it, is good Prometheus text in the eyes of
// Prometheus' own library, which stays out of the program's go.mod.
package promlint
