#!/usr/bin/env bash
# slurm-stop.sh DIR: ends the jobs and daemons that slurm-start.sh DIR started. Quiet where there are none.
set -euo pipefail

dir=$(realpath -m "${1:?a folder is needed: slurm-stop.sh FOLDER}")
export SLURM_CONF=$dir/slurm.conf

alive() { # PIDFILE: true where its process is there
  [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}

# Jobs first: their processes outlive slurmd.
if alive "$dir/slurmctld.pid"; then
  timeout 10 scancel --quiet --partition=main,urgent --full --signal=KILL 2>/dev/null || true
  timeout 10 scancel --quiet --partition=main,urgent 2>/dev/null || true
  for _ in $(seq 50); do
    [ -z "$(timeout 5 squeue -h -t running,completing 2>/dev/null)" ] && break
    sleep 0.2
  done
fi
for daemon in slurmd slurmctld munged; do
  pidfile=$dir/$daemon.pid
  alive "$pidfile" && kill "$(cat "$pidfile")"
  for _ in $(seq 50); do
    alive "$pidfile" || break
    sleep 0.1
  done
  if alive "$pidfile"; then
    kill -KILL "$(cat "$pidfile")"
  fi
  rm -f "$pidfile"
done
