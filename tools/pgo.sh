#!/bin/sh
# Profiles bin/epoxy under the load of bin/epoxy-bench for PGO_SECONDS (default 60) and writes the profile
# that the compiler reads (default cmd/epoxy/default.pgo). Everything stays on 127.0.0.1.
set -eu
out=${1:-cmd/epoxy/default.pgo}
dc=127.0.0.1:14431 proxy=127.0.0.1:14432 admin=127.0.0.1:14433
key=0f1e2d3c4b5a69788796a5b4c3d2e1f0
tls=ee${key}66726f6e742e6578616d706c65 # front.example
state=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$state"' EXIT
trap 'exit 1' INT TERM

bin/epoxy-bench telegram --listen $dc >"$state/telegram.log" & pids=$!
bin/epoxy run --listen $proxy --secret $key --domain front.example --allow classic,secure,tls --upstream direct \
	--dc 2=$dc --state-dir "$state" --drain 0s --admin $admin >"$state/epoxy.log" 2>&1 & pids="$pids $!"

load() { bin/epoxy-bench load "$@" --server $proxy >/dev/null 2>&1; }
tries=0
until load handshake --total 1 --clients 1 --secret $tls; do
	tries=$((tries + 1))
	if [ $tries -ge 50 ]; then cat "$state/epoxy.log" >&2; exit 1; fi
	sleep 0.1
done

# What a proxy does all day: mostly small packets, then bulk both ways, then handshakes; mostly fake-TLS.
while load small --duration 4s --secret $tls && load bulk --clients 8 --bytes 60M --direction both --secret $tls &&
	load handshake --total 2000 --secret $tls && load small --duration 1s --secret dd$key &&
	load bulk --clients 8 --bytes 20M --direction both --secret dd$key; do :; done &
pids="$pids $!"

PPROF_TMPDIR=$state go tool pprof -proto -seconds "${PGO_SECONDS:-60}" -output "$out" "http://$admin/debug/pprof/profile" >/dev/null
echo "wrote $out"
