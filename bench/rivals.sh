#!/usr/bin/env bash
# Compares proxies that have Telegram's addresses built in. It goes into a network of its own, in which this machine has these
# addresses and the fake Telegram answers at port 443 of each; nothing leaves the machine. What follows are arguments of
# epoxy-bench compare; the results are in bin/rivals.
#
#   make build && sudo bench/rivals.sh --runs 5 --proxy 'name=mine mode=direct addr=127.0.0.1:17001 secret=ee... run=mine --listen {listen} ee...'
#   make figures FROM=bin/rivals/compare.json AS=rivals/mine.json     keeps it
#
# Without arguments it shows the way with Epoxy itself as the rival, once, with little of everything.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" != --inside ]; then
  flags=-n
  [ "$(id -u)" = 0 ] || flags=-rn # a user namespace, where the kernel grants one
  exec unshare "$flags" "$0" --inside "$@"
fi
shift
ip link set lo up
# Datacenters 1 to 5, and the second address of 2 and the one of 203.
for at in 149.154.175.50 149.154.167.51 95.161.76.100 149.154.175.100 149.154.167.91 149.154.171.5 91.105.192.100 \
  149.154.167.50 149.154.175.53 149.154.167.99; do
  ip addr add "$at/32" dev lo
done
if [ $# -eq 0 ]; then
  key=7f0c5a3e9d1b48e26a4f8c0d2e6b9a13 domain=www.example.com
  secret=ee$key$(printf %s "$domain" | od -An -tx1 | tr -d ' \n')
  state=$(mktemp -d)
  trap 'rm -rf "$state"' EXIT
  set -- --runs 1 --cases handshake,small --scale 0.02 --epoxy-modes direct \
    --proxy "name=rival mode=direct addr=127.0.0.1:17001 secret=$secret run=bin/epoxy run --listen {listen} --secret $key --domain $domain --upstream direct --admin off --state-dir $state"
fi
bin/epoxy-bench compare --out bin/rivals --telegram 149.154.167.51:443 "$@"
