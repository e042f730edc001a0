package main

import "context"

func benchRows(ctx context.Context, rows *table, bin, state, secret string, verbose bool) error {
	return nil
}
