#!/bin/sh
# Runs every fuzz target of every package, one after the other, FUZZTIME each (default 30s), and
# prints what each one and all of them did. A failing target does not stop the others.
set -u
time=${FUZZTIME:-30s}
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
targets=0 failed=0 execs=0

for pkg in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...); do
	list=$(go test -run '^$' -list '^Fuzz' "$pkg") || exit 1
	for target in $(echo "$list" | grep '^Fuzz'); do
		targets=$((targets + 1))
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x -timeout 0 "$pkg" >"$log" 2>&1; then
			word=ok
		elif tail -n 5 "$log" | grep -q '^ *context deadline exceeded$' && ! grep -q 'Failing input' "$log"; then
			word=ok # the end of -fuzztime inside a run, which go test counts as a failure (golang/go#75804)
		else
			word=FAIL failed=$((failed + 1))
		fi
		n=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$log" | tail -n 1)
		execs=$((execs + ${n:-0}))
		printf '%-4s %s %s: %s execs\n' "$word" "$pkg" "$target" "${n:-0}"
		test "$word" = ok || cat "$log"
	done
done
echo "fuzz: $targets targets, $execs execs, $failed failed, $time each"
test "$failed" -eq 0 && test "$targets" -gt 0
