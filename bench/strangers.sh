#!/usr/bin/env bash
# Do clients notice a crowd of strangers? As figures.sh's case of that name, but the clients who are measured, the fake Telegram
# and the proxy have priority over everything else on the machine, the crowd and the web site among it, so that what is
# seen is the proxy's doing and not a queue for the CPU that the load generator and nginx share.
#
#   make build && sudo bench/strangers.sh [ROUNDS]     45 s a round; needs nginx, openssl and root
#   CONTROL=1 bench/strangers.sh                       the crowd goes straight to nginx
#   make figures FROM=bin/strangers/summary.json AS=strangers/watched.json     keeps it
#   FRONT=127.0.0.1:1 bench/strangers.sh               nobody is at the front
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-7}
out=$(pwd)/bin/strangers
bench=bin/epoxy-bench
key=7f0c5a3e9d1b48e26a4f8c0d2e6b9a13
domain=www.example.com
secret=ee$key$(printf %s "$domain" | od -An -tx1 | tr -d ' \n')
proxy=127.0.0.1:17601 tg=127.0.0.1:17643 site=127.0.0.1:17644
rm -rf "$out" && mkdir -p "$out"/html
echo '<!doctype html><title>a page</title>' >"$out"/html/index.html
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$out"/key.pem -out "$out"/cert.pem -days 2 -subj "/CN=$domain" 2>/dev/null
cat >"$out"/nginx.conf <<CFG
daemon off; master_process off; pid $out/nginx.pid; error_log $out/nginx.log crit; worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path $out/a; proxy_temp_path $out/b; fastcgi_temp_path $out/c; uwsgi_temp_path $out/d; scgi_temp_path $out/e;
  server { listen $site ssl http2 backlog=4096; ssl_certificate $out/cert.pem; ssl_certificate_key $out/key.pem; root $out/html; }
}
CFG

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT
# first FILE COMMAND...: runs COMMAND in a session of its own whose priority is above others', its pid in FILE
first() {
  local file=$1
  shift
  setsid -w bash -c 'echo -15 >/proc/self/autogroup; echo $$ >"$0"; exec "$@"' "$file" "$@"
}
listens() { # HOST:PORT
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null && return
    sleep 0.05
  done
  echo "strangers: nobody listens at $1" >&2
  exit 1
}
setsid taskset -c 1 nginx -p "$out" -c "$out"/nginx.conf -e stderr >"$out"/nginx.out 2>&1 &
pids+=($!)
first "$out"/tg.pid taskset -c 1 "$bench" telegram --listen "$tg" >"$out"/telegram.log 2>&1 &
listens "$tg"
pids+=("$(cat "$out"/tg.pid)")
at=()
[ -z "${CONTROL:-}" ] || at=(--at "$site")

for round in $(seq "$rounds"); do
  first "$out"/epoxy.pid taskset -c 0 bin/epoxy run --listen "$proxy" --secret "$key" --domain "$domain" --upstream direct --dc "2=$tg" \
    --state-dir "$out"/state --allow tls --front "${FRONT:-$site}" --admin off >"$out"/epoxy.log 2>&1 &
  listens "$proxy"
  pid=$(cat "$out"/epoxy.pid)
  pids+=("$pid")
  sleep 3 # the front is measured
  setsid taskset -c 1 "$bench" load strangers --server "$proxy" --secret "$secret" --clients 1 --duration 12s --slow 200 --probes 2000 \
    --pid "$pid" --json "${at[@]}" >"$out/probes.beside.$round.json" &
  crowd=$!
  sleep 1 # it is alone for 12 s, then the crowd comes for 12 s
  for phase in alone beside; do
    first "$out"/load.pid taskset -c 1 "$bench" load small --server "$proxy" --secret "$secret" --clients 64 --think 16ms --duration 9s --json >"$out/watched.$phase.$round.json"
    sleep 4
  done
  wait "$crowd"
  kill "$pid"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
done

"$bench" gather "$out" --order alone,beside --title 'Clients with priority over a crowd of strangers' --json "$out"/summary.json
