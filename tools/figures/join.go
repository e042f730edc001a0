package main

import (
	"encoding/json"
	"errors"
	"slices"

	"epoxy/bench/compare"
)

var errJoin = errors.New("is of another machine, commit, number of rounds or size than the part before, or has a case of it again")

// join adds a part of a comparison to those before it that have its name, and returns all of it; what is alone stays as it is.
func join(parts map[string]*compare.Result, name string, text []byte) ([]byte, error) {
	r := new(compare.Result)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, err
	}
	all := parts[name]
	if all == nil {
		parts[name] = r
		return text, nil
	}
	if len(all.Cases) == 0 || all.Machine != r.Machine || all.Runs != r.Runs || all.Sizes != r.Sizes || all.CPUs[0] != r.CPUs[0] {
		return nil, errJoin
	}
	for _, c := range r.Cases {
		if slices.ContainsFunc(all.Cases, func(o compare.Outcome) bool { return o.Name == c.Name }) {
			return nil, errJoin
		}
	}
	all.Cases = append(all.Cases, r.Cases...)
	all.Failed = append(all.Failed, r.Failed...)
	return json.MarshalIndent(all, "", "  ")
}
