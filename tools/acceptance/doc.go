// Package acceptance holds the list of acceptance cases that Epoxy claims to cover, and a test that
// fails when no test of the repository names a claimed one.
package acceptance
