#!/bin/sh
# make density [N=100000]: here where the descriptor limit allows so many clients, else in a guest kernel.
#
# The report is bin/density.json, with N bin/density-N.json.
#
#   bench/density.sh [CLIENTS [ARGUMENT of epoxy-bench density...]]
set -eu
cd "$(dirname "$0")/.."
clients=${1:-}
[ $# -eq 0 ] || shift
if [ -z "$clients" ]; then
	exec bin/epoxy-bench density --json bin/density.json "$@"
fi
limit=$(ulimit -Hn)
report=bin/density-$clients.json
if [ "$limit" = unlimited ] || [ "$((clients + 2000))" -le "$limit" ]; then
	exec bin/epoxy-bench density --clients "$clients" --json "$report" "$@"
fi
if ! command -v linux.uml >/dev/null; then
	echo "density: $clients clients take $((clients + 2000)) descriptors, this machine grants a process $limit (ulimit -Hn)," >&2
	echo "density: and there is no guest kernel to go to: apt-get install user-mode-linux" >&2
	exit 1
fi
echo "density: a process may have $limit descriptors here: going into a guest kernel, which takes its time" >&2
# 16 KiB of kernel memory for both ends of a connection and 4 KiB in the two processes, with room.
exec bench/bigbox -m "$((2048 + clients * 24 / 1024))M" -t 7200 bin/epoxy-bench density --clients "$clients" --json "$report" "$@"
