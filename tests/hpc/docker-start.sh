#!/usr/bin/env bash
# docker-start.sh DIR [DATA]: a Docker daemon by hand, as root, with its state in DIR and its images in DATA, or in
# DIR/data; `. DIR/env.sh` selects it. It makes no networks and changes no firewall: containers have the host's or none.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$here/packages.sh"
fail() { echo "error: $1" >&2; exit 1; }
dir=$(realpath -m "${1:?a folder is needed: docker-start.sh FOLDER}")
data=$(realpath -m "${2:-$dir/data}")

[ "$(id -u)" = 0 ] || fail "Docker's daemon must be started by root here"
need_command dockerd docker.io || fail "Docker is missing (Debian, Ubuntu: apt-get install docker.io)"
mkdir -p "$dir" "$data" 2>/dev/null || fail "cannot write $dir"
# The address of a socket may have 107 characters.
socket=$dir/sock
[ "${#socket}" -le 107 ] || fail "the path of $dir is too long for a socket"
printf 'export DOCKER_HOST=%q\n' "unix://$socket" >"$dir/env.sh"
export DOCKER_HOST=unix://$socket

answers() { timeout 5 docker info >/dev/null 2>&1; }
if answers; then
  exit 0
fi
bash "$here/docker-stop.sh" "$dir"
# A virtual machine's root may not lower its own chance to be killed, hence oom-score-adjust.
dockerd --data-root "$data" --exec-root "$dir/exec" --pidfile "$dir/pid" --host "$DOCKER_HOST" \
  --iptables=false --ip6tables=false --bridge=none --oom-score-adjust=0 >"$dir/log" 2>&1 &
daemon=$!
for _ in $(seq 150); do
  answers && exit 0
  kill -0 "$daemon" 2>/dev/null || break
  sleep 0.2
done
fail "dockerd did not start: $(grep -m1 -iE 'failed|error' "$dir/log" || tail -n 1 "$dir/log")"
