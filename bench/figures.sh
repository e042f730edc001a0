#!/usr/bin/env bash
# Measures Epoxy beside haproxy in TCP mode on the same work, in turn, and prints medians as Markdown tables.
#
#   bench/figures.sh [ROUNDS]        5 rounds take about 15 minutes
#
# The proxy has CPU 0 to itself; the fake Telegram and the apps share CPU 1. Everything is on 127.0.0.1. Each
# proxy is started anew for each case. haproxy is Debian's package; without it its columns are empty. The reports
# of epoxy-bench are kept as JSON in bin/figures/.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
clients=${IDLE:-9000}
out=bin/figures
key=7f0c5a3e9d1b48e26a4f8c0d2e6b9a13
domain=www.example.com
secret=ee$key$(printf %s "$domain" | od -An -tx1 | tr -d ' \n')
tg=127.0.0.1:17443 proxy=127.0.0.1:17001
rm -rf "$out" && mkdir -p "$out"
cp bin/epoxy bin/epoxy-bench "$out"/ # a build beside this run changes nothing
pids=()
stop() { # PID...
  local p
  for p in "$@"; do kill "$p" 2>/dev/null || true; done
  for p in "$@"; do wait "$p" 2>/dev/null || true; done
}
trap 'stop "${pids[@]}"' EXIT

taskset -c 1 "$out"/epoxy-bench telegram --listen "$tg" >"$out"/telegram.log 2>&1 &
pids+=($!)

start() { # NAME: starts the proxy, sets pid
  case $1 in
    haproxy)
      cat >"$out"/haproxy.cfg <<CFG
global
  nbthread 1
  maxconn 9500
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen proxy
  bind $proxy
  server telegram $tg
CFG
      taskset -c 0 haproxy -f "$out"/haproxy.cfg >"$out"/haproxy.log 2>&1 & ;;
    epoxy)
      taskset -c 0 "$out"/epoxy run --listen "$proxy" --secret "$key" --domain "$domain" --allow classic,secure,tls \
        --upstream direct --dc "2=$tg" --admin off --state-dir "$out"/state >"$out"/epoxy.log 2>&1 & ;;
  esac
  pid=$!
  pids+=("$pid")
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/${proxy%:*}/${proxy#*:}") 2>/dev/null && return
    sleep 0.05
  done
  echo "figures: $1 does not listen" >&2
  exit 1
}

# run CASE PROXY ROUND ARGS...: one report
run() {
  local name=$1 who=$2 round=$3 as
  shift 3
  as=(--secret "$secret")
  [ "$who" = haproxy ] && as=(--protocol direct)
  start "$who"
  taskset -c 1 "$out"/epoxy-bench load "$@" --server "$proxy" "${as[@]}" --pid "$pid" --json >"$out/$name.$who.$round.json"
  stop "$pid"
}

who=(epoxy)
command -v haproxy >/dev/null && who=(haproxy epoxy)
for round in $(seq "$rounds"); do
  for w in "${who[@]}"; do
    run down "$w" "$round" bulk --clients 32 --bytes 60MB --direction down
    run up "$w" "$round" bulk --clients 32 --bytes 60MB --direction up
    run small "$w" "$round" small --clients 64 --messages 200000 --duration 5m
    run handshake "$w" "$round" handshake --total 10000 --clients 64
    run idle "$w" "$round" idle --clients "$clients" --settle 65s
    run stall "$w" "$round" stall --clients 1 --bytes 2GB --duration 8s --timeout 120s
    echo "round $round, $w: done" >&2
  done
done

# median FIELD FILES...: the middle of the last value of a number in each report
median() {
  local field=$1
  shift
  for f in "$@"; do
    grep -o "\"$field\": [0-9.]*" "$f" | tail -n 1 | awk '{print $2}'
  done | sort -n | awk '{v[NR]=$1} END {if (NR) printf "%.4g (%.4g-%.4g)", v[int((NR+1)/2)], v[1], v[NR]; else printf "-"}'
}
row() { # TEXT CASE FIELD
  printf '| %s |' "$1"
  for w in haproxy epoxy; do printf ' %s |' "$(median "$3" $(ls "$out/$2.$w".*.json 2>/dev/null))"; done
  echo
}
echo "$(uname -sr), $(awk -F': ' '/model name/ {print $2; exit}' /proc/cpuinfo), $(go version | awk '{print $3}'), commit $(git rev-parse --short HEAD), medians (min-max) of $rounds"
echo
echo '| CPU seconds of the proxy | haproxy, TCP mode | Epoxy, fake-TLS |'
echo '|---|---|---|'
row 'download, per GB' down per_gb
row 'upload, per GB' up per_gb
row 'round trips of 200 B, per million' small per_million_messages
row 'handshake and one round trip, per 10,000' handshake per_10k_handshakes
