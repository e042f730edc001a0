// Package browser holds the test of strangers that matter most: a real browser opens the front's page through Epoxy's port.
package browser
