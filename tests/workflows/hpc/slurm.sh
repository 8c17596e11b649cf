#!/usr/bin/env bash
# slurm.sh start|stop FOLDER: a Slurm of one machine, by hand, as root, with all its state in the folder;
# `. FOLDER/env.sh` selects it. Nothing under /etc is read or written.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$here/../common.sh"
dir=$(realpath -m "${2:?slurm.sh start|stop FOLDER}")
export SLURM_CONF=$dir/slurm.conf

answers() { timeout 5 sinfo -h -n localhost -o %T 2>/dev/null | grep -qE '^(idle|mixed|alloc)'; }

stop() { # ends the jobs and the daemons; quiet where there are none
  # Jobs first: their processes outlive slurmd.
  if alive "$(cat "$dir/slurmctld.pid" 2>/dev/null)"; then
    timeout 10 scancel --quiet --partition=main,urgent --full --signal=KILL 2>/dev/null || true
    timeout 10 scancel --quiet --partition=main,urgent 2>/dev/null || true
    for _ in $(seq 50); do
      [ -z "$(timeout 5 squeue -h -t running,completing 2>/dev/null)" ] && break
      sleep 0.2
    done
  fi
  local daemon
  for daemon in slurmd slurmctld munged; do
    end_daemon "$dir/$daemon.pid"
  done
}

configure() { # writes slurm.conf, gres.conf, env.sh and the key
  # Free ports and an own munge key let several of these run beside each other, or beside a real Slurm.
  read -r port_control port_node < <(python3 -c '
import socket
taken = [socket.socket() for _ in range(2)]
for s in taken:
    s.bind(("", 0))
print(*(s.getsockname()[1] for s in taken))')
  # Two jobs must fit beside each other even on one processor; the tests wait more than they compute.
  local cpus=$(($(nproc) > 2 ? $(nproc) : 2)) memory
  memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)
  sed "s|@DIR@|$dir|; s/@HOST@/$(hostname -s)/; s/@PORT_CONTROL@/$port_control/; s/@PORT_NODE@/$port_node/
    s/@CPUS@/$cpus/; s/@MEMORY@/$memory/" "$here/slurm.conf" >"$dir/slurm.conf"
  # Slurm wants a device file per GPU, and is content with any: these are two of /dev/null.
  for gpu in 0 1; do
    [ -c "$dir/gpu$gpu" ] || mknod -m 666 "$dir/gpu$gpu" c 1 3 || fail "cannot make a device file in $dir"
  done
  printf 'AutoDetect=off\nNodeName=localhost Name=gpu Type=pretended File=%s/gpu[0-1]\n' "$dir" >"$dir/gres.conf"
  printf 'export SLURM_CONF=%q\n' "$dir/slurm.conf" >"$dir/env.sh"
  [ -s "$dir/munge.key" ] || (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
}

start() {
  [ "$(id -u)" = 0 ] || fail "Slurm's daemons must be started by root here"
  need_command slurmctld slurm-wlm slurmctld slurmd slurm-client munge >/dev/null ||
    fail "Slurm is missing (Debian, Ubuntu: apt-get install slurm-wlm munge)"
  mkdir -p "$dir/state" "$dir/spool" 2>/dev/null || fail "cannot write $dir"
  if [ -s "$dir/slurmctld.pid" ] && answers; then
    return
  fi
  stop
  configure
  local log=$dir/start.log
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
    --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" >"$log" 2>&1 || fail "munged did not start: $(tail -n 1 "$log")"
  slurmctld >>"$log" 2>&1 || fail "slurmctld did not start: $(tail -n 1 "$log")"
  slurmd -N localhost >>"$log" 2>&1 || fail "slurmd did not start: $(tail -n 1 "$log")"
  for _ in $(seq 100); do
    answers && return
    sleep 0.2
  done
  fail "the node did not become idle; see $dir/slurm*.log: $(grep -hm1 -E 'error|fatal' "$dir"/slurm*.log || true)"
}

"$1"
