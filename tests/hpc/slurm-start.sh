#!/usr/bin/env bash
# slurm-start.sh DIR: a Slurm of one machine, by hand, as root, with all its state in DIR; `. DIR/env.sh` selects it.
# Two pretended GPUs; partition `main` is preempted by `urgent`. Nothing under /etc is read or written.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=packages.sh
source "$here/packages.sh"
fail() { echo "error: $1" >&2; exit 1; }
dir=$(realpath -m "${1:?a folder is needed: slurm-start.sh FOLDER}")

[ "$(id -u)" = 0 ] || fail "Slurm's daemons must be started by root here"
need_command slurmctld slurm-wlm slurmctld slurmd slurm-client munge >/dev/null ||
  fail "Slurm is missing (Debian, Ubuntu: apt-get install slurm-wlm munge)"
mkdir -p "$dir/state" "$dir/spool" 2>/dev/null || fail "cannot write $dir"

answers() { SLURM_CONF=$dir/slurm.conf timeout 5 sinfo -h -n localhost -o %T 2>/dev/null | grep -qE '^(idle|mixed|alloc)'; }
if [ -s "$dir/slurmctld.pid" ] && answers; then
  exit 0
fi
bash "$here/slurm-stop.sh" "$dir"

# Free ports and an own munge key let several of these run beside each other, or beside a real Slurm.
read -r port_control port_node < <(python3 -c '
import socket
taken = [socket.socket() for _ in range(2)]
for s in taken:
    s.bind(("", 0))
print(*(s.getsockname()[1] for s in taken))')
# Two jobs must fit beside each other even on one processor; the tests wait more than they compute.
cpus=$(($(nproc) > 2 ? $(nproc) : 2))
memory=$(awk '/MemTotal/ {print int($2 / 1024 * 0.8)}' /proc/meminfo)

cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=localhost
SlurmctldPort=$port_control
SlurmdPort=$port_node
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Also how long a requeued job is held back: two minutes if not told otherwise.
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
# Not the cgroup plug-ins: containers and test machines often have no cgroup of their own to give.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
# No accounting database, but one line per job that has ended.
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$dir/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
KillWait=5
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=localhost NodeHostname=$(hostname -s) Port=$port_node CPUs=$cpus RealMemory=$memory Gres=gpu:pretended:2 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=localhost MaxTime=INFINITE State=UP PriorityTier=10
CONF
# Slurm wants a device file per GPU, and is content with any: these are two of /dev/null.
for gpu in 0 1; do
  [ -c "$dir/gpu$gpu" ] || mknod -m 666 "$dir/gpu$gpu" c 1 3 || fail "cannot make a device file in $dir"
done
cat >"$dir/gres.conf" <<CONF
AutoDetect=off
NodeName=localhost Name=gpu Type=pretended File=$dir/gpu[0-1]
CONF
printf 'export SLURM_CONF=%q\n' "$dir/slurm.conf" >"$dir/env.sh"

if [ ! -s "$dir/munge.key" ]; then
  (umask 077 && head -c 128 /dev/urandom >"$dir/munge.key")
fi
export SLURM_CONF=$dir/slurm.conf
munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" \
  --log-file="$dir/munged.log" --seed-file="$dir/munged.seed" >"$dir/start.log" 2>&1 ||
  fail "munged did not start: $(tail -n 1 "$dir/start.log")"
slurmctld >>"$dir/start.log" 2>&1 || fail "slurmctld did not start: $(tail -n 1 "$dir/start.log")"
slurmd -N localhost >>"$dir/start.log" 2>&1 || fail "slurmd did not start: $(tail -n 1 "$dir/start.log")"
for _ in $(seq 100); do
  answers && exit 0
  sleep 0.2
done
fail "the node did not become idle; see $dir/slurmctld.log and $dir/slurmd.log: $(grep -hm1 -E 'error|fatal' "$dir"/slurm*.log || true)"
