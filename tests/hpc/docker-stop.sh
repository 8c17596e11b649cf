#!/usr/bin/env bash
# docker-stop.sh DIR: ends the daemon that docker-start.sh DIR started, with its containers. Quiet where there is none.
set -euo pipefail

dir=$(realpath -m "${1:?a folder is needed: docker-stop.sh FOLDER}")
alive() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

if alive; then
  kill "$(cat "$dir/pid")"
  for _ in $(seq 100); do
    alive || break
    sleep 0.1
  done
fi
if [ -d "$dir/exec/netns" ]; then
  find "$dir/exec/netns" -type f -exec umount {} \; 2>/dev/null || true
fi
