#!/usr/bin/env bash
# docker.sh start FOLDER [DATA] | stop FOLDER: a Docker daemon by hand, as root, with its state in the folder and its images
# in DATA; `. FOLDER/env.sh` selects it. It makes no networks and changes no firewall: containers have the host's or none.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$here/../common.sh"
dir=$(realpath -m "${2:?docker.sh start|stop FOLDER}")
data=$(realpath -m "${3:-$dir/data}")
export DOCKER_HOST=unix://$dir/sock

answers() { timeout 5 docker info >/dev/null 2>&1; }

stop() { # ends the daemon with its containers; quiet where there is none
  end_daemon "$dir/pid"
  if [ -d "$dir/exec/netns" ]; then
    find "$dir/exec/netns" -type f -exec umount {} \; 2>/dev/null || true
  fi
}

start() {
  [ "$(id -u)" = 0 ] || fail "Docker's daemon must be started by root here"
  need_command dockerd docker.io || fail "Docker is missing (Debian, Ubuntu: apt-get install docker.io)"
  mkdir -p "$dir" "$data" 2>/dev/null || fail "cannot write $dir"
  # The address of a socket may have 107 characters.
  [ "${#dir}" -le 102 ] || fail "the path of $dir is too long for a socket"
  printf 'export DOCKER_HOST=%q\n' "$DOCKER_HOST" >"$dir/env.sh"
  if answers; then
    return
  fi
  stop
  # A virtual machine's root may not lower its own chance to be killed, hence oom-score-adjust.
  dockerd --data-root "$data" --exec-root "$dir/exec" --pidfile "$dir/pid" --host "$DOCKER_HOST" \
    --iptables=false --ip6tables=false --bridge=none --oom-score-adjust=0 >"$dir/log" 2>&1 &
  local daemon=$!
  for _ in $(seq 150); do
    answers && return
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.2
  done
  fail "dockerd did not start: $(grep -m1 -iE 'failed|error' "$dir/log" || tail -n 1 "$dir/log")"
}

"$1"
