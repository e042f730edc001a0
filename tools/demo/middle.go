package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// adTag is the tag of the promoted channel that Epoxy sends along.
const adTag = "0123456789abcdef00112233aabbccdd"

// linked starts a fake middle proxy with further flags and an Epoxy whose clients go over links to it, lets play play, and
// adds a row for what the middle proxy saw.
func (o options) linked(ctx context.Context, rows *table, flags []string, play func(epoxy *program)) error {
	middle, err := freePort()
	if err != nil {
		return err
	}
	config, err := freePort()
	if err != nil {
		return err
	}
	args := append([]string{"telegram", "--middle", middle, "--config-listen", config}, flags...)
	tg, err := start(o.bench(), o.verbose, args...)
	if err != nil {
		return err
	}
	defer rows.stop(tg)
	if err := tg.await(ctx, func(ctx context.Context) error { return connects(ctx, config) }); err != nil {
		return err
	}
	o.middle = "http://" + config
	epoxy, err := startEpoxy(ctx, o)
	if err != nil {
		return err
	}
	defer rows.stop(epoxy)
	play(epoxy)
	rows.run("middle proxy", "ad tag", wayMiddle, func() (string, error) { return tagSeen(ctx, o.middle) })
	return nil
}

var errTag = errors.New("the middle proxy did not see the ad tag on every stream")

// tagSeen asks a fake middle proxy whether every stream had the ad tag.
func tagSeen(ctx context.Context, url string) (string, error) {
	seen, err := get(ctx, url+"/seen")
	if err != nil {
		return "", err
	}
	tagged, untagged := -1, -1
	for line := range strings.Lines(seen) {
		_, _ = fmt.Sscanf(line, "streams of tag "+adTag+": %d", &tagged) // other lines do not match
		_, _ = fmt.Sscanf(line, "streams without tag: %d", &untagged)
	}
	if tagged < 1 || untagged != 0 {
		return "", fmt.Errorf("%w: %d with it, %d without any", errTag, tagged, untagged)
	}
	return fmt.Sprintf("all %d streams carried it", tagged), nil
}
