#!/bin/sh
# Profiles bin/epoxy, directly and over middle proxies, under the load of bin/epoxy-bench for PGO_SECONDS (default 60) and
# writes the profile that the compiler reads (default cmd/epoxy/default.pgo). Everything stays on 127.0.0.1.
set -eu
out=${1:-cmd/epoxy/default.pgo}
dc=127.0.0.1:14431 proxy=127.0.0.1:14432 admin=127.0.0.1:14433
middle=127.0.0.1:14434 lists=127.0.0.1:14435 proxy2=127.0.0.1:14436 admin2=127.0.0.1:14437
key=0f1e2d3c4b5a69788796a5b4c3d2e1f0
tls=ee${key}66726f6e742e6578616d706c65 # front.example
state=$(mktemp -d)
pids=
trap 'kill $pids 2>/dev/null || true; wait; rm -rf "$state"' EXIT
trap 'exit 1' INT TERM

bin/epoxy-bench telegram --listen $dc --middle $middle --config-listen $lists >"$state/telegram.log" & pids=$!
common="--secret $key --domain front.example --allow classic,secure,tls --drain 0s"
bin/epoxy run --listen $proxy $common --upstream direct --dc 2=$dc --state-dir "$state/1" --admin $admin >"$state/epoxy.log" 2>&1 &
pids="$pids $!"
bin/epoxy run --listen $proxy2 $common --tag 00112233445566778899aabbccddeeff --public-ip 127.0.0.1 \
	--telegram-secret http://$lists/getProxySecret --telegram-config http://$lists/getProxyConfig \
	--state-dir "$state/2" --admin $admin2 >"$state/epoxy2.log" 2>&1 &
pids="$pids $!"

load() { # SERVER ARGS...
	server=$1
	shift
	bin/epoxy-bench load "$@" --server "$server" >/dev/null 2>&1
}
for server in $proxy $proxy2; do
	tries=0
	until load $server handshake --total 1 --clients 1 --secret $tls; do
		tries=$((tries + 1))
		if [ $tries -ge 50 ]; then cat "$state"/epoxy*.log >&2; exit 1; fi
		sleep 0.1
	done
done

# What a proxy does all day: mostly small packets, then bulk both ways, then handshakes; mostly fake-TLS.
for server in $proxy $proxy2; do
	while :; do
		load $server small --duration 4s --secret $tls || sleep 0.1
		load $server bulk --clients 8 --bytes 60M --window 512Ki --direction both --secret $tls || sleep 0.1
		load $server handshake --total 2000 --secret $tls || sleep 0.1
		load $server small --duration 1s --secret dd$key || sleep 0.1
		load $server bulk --clients 8 --bytes 20M --window 512Ki --direction both --secret dd$key || sleep 0.1
	done &
	pids="$pids $!"
done

PPROF_TMPDIR=$state go tool pprof -proto -seconds "${PGO_SECONDS:-60}" -output "$out" "http://$admin/debug/pprof/profile" \
	"http://$admin2/debug/pprof/profile" >/dev/null
echo "wrote $out"
