#!/usr/bin/env bash
# Measures Epoxy in settings that epoxy-bench compare does not know: with a front, with limits, beside strangers; or an older build.
# Prints medians as a Markdown table, and writes bin/figures/summary.json with every round's values.
#
#   WHO='front control down mute' CASES=strangers bench/figures.sh 5
#   WHO='direct front' CASES=handshake bench/figures.sh 5
#   WHO='direct rules' CASES='small handshake' bench/figures.sh 9
#   WHO='before direct' BEFORE=/path/of/an/older/epoxy bench/figures.sh 5
#   make figures FROM=bin/figures/summary.json AS=strangers/crowd.json     keeps it; strangers/front.json, limits.json
#
# rules is direct with every kind of limit set, none of which refuses anybody, and metrics asked for every second. front is direct with an nginx behind it for strangers, once it is measured; in down nobody listens there, in mute nginx
# is stopped and answers nobody, and in control the strangers go straight to nginx, so the proxy has no part in what the
# machine makes of them. On a busy machine `NICE=-15 setsid -w bench/figures.sh` puts all of it before the others.
#
# The proxy has CPU 0 to itself; the fake Telegram and the apps share CPU 1. Everything is on 127.0.0.1. Each
# proxy is started anew for each case. haproxy is Debian's package; without it its columns are empty. The reports
# of epoxy-bench are kept as JSON in bin/figures/.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
cases=${CASES:-down up small handshake idle}
declare -A idle=([haproxy]=${IDLE:-9000} [direct]=${IDLE:-9000} [middle]=${IDLE_MIDDLE:-18000})
out=bin/figures
key=7f0c5a3e9d1b48e26a4f8c0d2e6b9a13
domain=www.example.com
secret=ee$key$(printf %s "$domain" | od -An -tx1 | tr -d ' \n')
tg=127.0.0.1:17443 middle=127.0.0.1:17543 lists=127.0.0.1:17544 proxy=127.0.0.1:17001
site=127.0.0.1:17444 nobody=127.0.0.1:17445 admin=127.0.0.1:17002
tag=00112233445566778899aabbccddeeff
who=(${WHO:-haproxy direct middle})
[ -z "${NICE:-}" ] || echo "$NICE" >/proc/self/autogroup
rm -rf "$out" && mkdir -p "$out"
cp bin/epoxy bin/epoxy-bench "$out"/ # a build beside this run changes nothing
pids=()
stop() { # PID...
  local p
  for p in "$@"; do kill "$p" 2>/dev/null || true; done
  for p in "$@"; do wait "$p" 2>/dev/null || true; done
}
trap 'stop "${pids[@]}"' EXIT

taskset -c 1 "$out"/epoxy-bench telegram --listen "$tg" --middle "$middle" --config-listen "$lists" >"$out"/telegram.log 2>&1 &
pids+=($!)

listens() { # HOST:PORT: returns when somebody listens there
  for _ in $(seq 100); do
    (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null && return
    sleep 0.05
  done
  echo "figures: nobody listens at $1" >&2
  exit 1
}
listens "$lists"

nginx=0
case " ${who[*]} " in *" front "* | *" control "* | *" mute "*)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$out"/key.pem -out "$out"/cert.pem -days 2 -subj "/CN=$domain" 2>/dev/null
  mkdir "$out"/html && echo '<!doctype html><title>a page</title>' >"$out"/html/index.html
  here=$(pwd)/$out
  cat >"$out"/nginx.conf <<CFG
daemon off; master_process off; pid $here/nginx.pid; error_log $here/nginx.log crit; worker_rlimit_nofile 20000;
events { worker_connections 8192; }
http {
  access_log off;
  client_body_temp_path $here/a; proxy_temp_path $here/b; fastcgi_temp_path $here/c; uwsgi_temp_path $here/d; scgi_temp_path $here/e;
  server { listen $site ssl http2 backlog=4096; ssl_certificate $here/cert.pem; ssl_certificate_key $here/key.pem; root $here/html; }
}
CFG
  taskset -c 1 nginx -p "$here" -c "$here"/nginx.conf -e stderr >"$out"/nginx.out 2>&1 &
  nginx=$!
  pids+=("$nginx")
  listens "$site" ;;
esac

measured() { # returns when Epoxy has measured its front
  for _ in $(seq 300); do
    curl -s "http://$admin/metrics" | grep -q '^epoxy_front_measured{.*} 1' && return
    sleep 0.1
  done
  echo "figures: the front is not measured" >&2
  exit 1
}

epoxy=(--listen "$proxy" --secret "$key" --domain "$domain" --upstream direct --dc "2=$tg" --state-dir "$out"/state)
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
    direct)
      taskset -c 0 "$out"/epoxy run "${epoxy[@]}" --allow classic,secure,tls --admin off >"$out"/epoxy.log 2>&1 & ;;
    before)
      taskset -c 0 "$BEFORE" run "${epoxy[@]}" --allow classic,secure,tls --admin off >"$out"/epoxy.log 2>&1 & ;;
    front | control | mute)
      taskset -c 0 "$out"/epoxy run "${epoxy[@]}" --allow tls --front "$site" --admin "$admin" >"$out"/epoxy.log 2>&1 & ;;
    down)
      taskset -c 0 "$out"/epoxy run "${epoxy[@]}" --allow tls --front "$nobody" --admin off >"$out"/epoxy.log 2>&1 & ;;
    rules)
      echo 203.0.113.0/24 >"$out"/bad.netset
      taskset -c 0 "$out"/epoxy run --listen "$proxy" --domain "$domain" --upstream direct --dc "2=$tg" --state-dir "$out"/state \
        --secret "$key?quota=60T&max-clients=100000&max-addresses=1000&rate-up=100G&rate-down=100G" --allow classic,secure,tls \
        --policy 'max_connections port,client_ip 100000' --policy 'max_connections secret 100000' --policy 'not_in_table client_ip blocked' \
        --list "bad block-drop $out/bad.netset" --accept-rate 100000 --accept-rate-network 100000 --admin "$admin" >"$out"/epoxy.log 2>&1 & ;;
    middle)
      taskset -c 0 "$out"/epoxy run --listen "$proxy" --secret "$key" --domain "$domain" --allow classic,secure,tls \
        --tag "$tag" --telegram-secret "http://$lists/getProxySecret" --telegram-config "http://$lists/getProxyConfig" \
        --public-ip 127.0.0.1 --admin off --state-dir "$out"/state >"$out"/epoxy.log 2>&1 & ;;
  esac
  pid=$!
  pids+=("$pid")
  listens "$proxy"
  case $1 in
    front | control | mute) measured ;;
    rules) while kill -0 "$pid" 2>/dev/null; do curl -s -o /dev/null "http://$admin/metrics" || true; sleep 1; done & pids+=($!) ;;
  esac
}

# run CASE PROXY ROUND ARGS...: one report
run() {
  local name=$1 who=$2 round=$3 as
  shift 3
  as=(--secret "$secret")
  [ "$who" = haproxy ] && as=(--protocol direct)
  start "$who"
  [ "$who" = mute ] && kill -STOP "$nginx"
  taskset -c 1 "$out"/epoxy-bench load "$@" --server "$proxy" "${as[@]}" --pid "$pid" --json >"$out/$name.$who.$round.json"
  stop "$pid"
  [ "$who" = mute ] && kill -CONT "$nginx"
  return 0
}

command -v haproxy >/dev/null || who=("${who[@]/haproxy/}")
for round in $(seq "$rounds"); do
  for w in ${who[@]}; do
    for c in $cases; do
      case $c in
        down | up) run "$c" "$w" "$round" bulk --clients 32 --bytes 60MB --window 512Ki --direction "$c" ;;
        small) run small "$w" "$round" small --clients 64 --messages 200000 --duration 5m ;;
        handshake) run handshake "$w" "$round" handshake --total 10000 --clients 64 ;;
        idle) run idle "$w" "$round" idle --clients "${idle[$w]}" --settle 65s ;;
        strangers)
          at=()
          [ "$w" = control ] && at=(--at "$site")
          run strangers "$w" "$round" strangers --slow 200 --probes 2000 --duration "${SECONDS_EACH:-8}s" "${at[@]}" ;;
      esac
    done
    echo "round $round, $w: done" >&2
  done
done

# The proxies in the order that was asked for, whatever the order of their files.
order=${who[*]}
"$out"/epoxy-bench gather "$out" --order "${order// /,}" --json "$out"/summary.json
