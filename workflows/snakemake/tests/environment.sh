#!/usr/bin/env bash
# Sourced by the tests: Snakemake from the cache and the five programs of $LAPSEGAN_BIN on PATH, a work folder that goes
# away, and a few assertions. A test that cannot run here says `skipped: ...` and exits with 77.

workflow=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
repo=$(cd "$workflow/../.." && pwd)

skip() { echo "skipped: $1"; exit 77; }
fail() { # MESSAGE [LOG]: the end of the log is shown
  echo "failed: $1" >&2
  [ -z "${2:-}" ] || tail -n 40 "$2" >&2
  exit 1
}
passed() { echo "ok: $1 (${SECONDS}s)"; }
contains() { # FILE TEXT
  grep -qF -- "$2" "$1" || fail "no '$2' in the output" "$1"
}

snakemake_from_cache() {
  local packages="snakemake==9.27.1 snakemake-executor-plugin-slurm==2.8.0 snakefmt==2.1.0 pygments"
  local venv=${LAPSEGAN_CACHE:-$repo/.cache}/snakemake
  mkdir -p "$(dirname "$venv")"
  # Two tests may start at once.
  exec 9>"$venv.lock"
  flock 9
  if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$packages" ]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || skip "Snakemake 9 needs Python 3.11"
    rm -rf "$venv"
    # shellcheck disable=SC2086 # a list of packages
    { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet $packages; } >"$venv.log" 2>&1 ||
      skip "Snakemake cannot be installed: $(tail -n 1 "$venv.log")"
    echo "$packages" >"$venv/.complete"
  fi
  exec 9>&-
  PATH=$venv/bin:$PATH
}

programs_on_path() {
  [ -z "${LAPSEGAN_BIN:-}" ] || PATH=$(cd "$LAPSEGAN_BIN" && pwd):$PATH
  local program
  for program in prepare train generate evaluate segment-benchmark; do
    command -v "$program" >/dev/null || skip "$program is not on PATH; set LAPSEGAN_BIN to the folder of the five programs"
    "$program" --version >/dev/null || skip "$program does not start"
  done
}

work_folder() { # sets $work
  work=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-snakemake.XXXXXX")
  trap leave EXIT
}
leave() {
  local status=$?
  if [ -d "$work/slurm-state" ]; then
    bash "$repo/tests/hpc/slurm-stop.sh" "$work/slurm-state" || true
  fi
  if mountpoint -q "$work/full/results" 2>/dev/null; then
    umount "$work/full/results"
  fi
  # A failed run stays for a look.
  if [ "$status" = 0 ] || [ "$status" = 77 ]; then
    rm -rf "$work"
  else
    echo "kept: $work" >&2
  fi
}

new_run() { # NAME [SAMPLESHEET]: a folder with the test's config
  mkdir -p "$work/$1/config"
  cp "$workflow/.test/config/config.yaml" "$work/$1/config/"
  cp "${2:-$workflow/.test/config/samples.csv}" "$work/$1/config/samples.csv"
  # Its paths are relative to the sheet.
  sed -i "s#\(\.\./\)*test-data/#$repo/test-data/#" "$work/$1/config/samples.csv"
}
phantom_only() { # writes a samplesheet, prints its name
  printf 'sample,kind,name,path,pixel_size,frame_interval\nphantom,phantom,,,,\n' >"$work/phantom.csv"
  echo "$work/phantom.csv"
}
in_run() { # NAME ARGUMENTS...: Snakemake in that folder
  local name=$1
  shift
  snakemake --snakefile "$workflow/workflow/Snakefile" --directory "$work/$name" "$@"
}

# The first descendant of a process with this command name; nothing where there is none.
descendant() { # PID NAME
  local child
  for child in $(ps -o pid= --ppid "$1"); do
    if [ "$(ps -o comm= -p "$child")" = "$2" ]; then
      echo "$child"
      return
    fi
    descendant "$child" "$2"
  done | head -n 1
}
wait_for() { # SECONDS COMMAND...: until it is true
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}
mid_checkpoint() { # NAME: true once train of the phantom has a checkpoint that is not the first
  [ "$(find "$work/$1/results/phantom/run/checkpoints" -name 'kimg_*.json' ! -name 'kimg_000000.000.json' | wc -l)" -gt 0 ]
}
first_checkpoint() { # NAME: tells the file that only a fresh start writes again
  stat -c '%i %Y' "$work/$1/results/phantom/run/checkpoints/kimg_000000.000.json"
}
same_model() { # NAME NAME
  cmp "$work/$1/results/phantom/model.safetensors" "$work/$2/results/phantom/model.safetensors" ||
    fail "the model of '$2' differs from that of '$1'"
}

# A Slurm that is found by SLURM_CONF alone: the executor's job step drops the variable, so the commands set it again.
slurm_on_path() {
  if ! { command -v sinfo && timeout 10 sinfo -h; } >/dev/null 2>&1; then
    bash "$repo/tests/hpc/slurm-start.sh" "$work/slurm-state" >"$work/slurm-start.log" 2>&1 ||
      skip "no Slurm answers, and none starts: $(tail -n 1 "$work/slurm-start.log")"
    # shellcheck source=/dev/null
    source "$work/slurm-state/env.sh"
  fi
  [ -n "${SLURM_CONF:-}" ] || return 0
  mkdir -p "$work/slurm"
  local command
  for command in sbatch srun squeue sinfo scancel scontrol; do
    printf '#!/bin/sh\nSLURM_CONF=%q exec %q "$@"\n' "$SLURM_CONF" "$(command -v $command)" >"$work/slurm/$command"
    chmod +x "$work/slurm/$command"
  done
  PATH=$work/slurm:$PATH
}
in_slurm() { # NAME ARGUMENTS...: Snakemake in that folder, every job through Slurm, nothing waited for longer than here needed
  local name=$1
  shift
  in_run "$name" --profile "$workflow/profiles/slurm" --slurm-no-account --slurm-status-command squeue \
    --slurm-init-seconds-before-status-checks 1 --seconds-between-status-checks 1 --latency-wait 10 "$@"
}
gpu_requests_arrived() { # NAME: every job on a GPU was given one
  local log seen
  for log in "$work/$1"/logs/train/*.log "$work/$1"/logs/generate/*/*-of-*.log "$work/$1"/logs/segment_benchmark/*/*-of-*.log; do
    seen=$(sed -n 's/^CUDA_VISIBLE_DEVICES=//p' "$log" | tail -n 1)
    [[ "$seen" =~ ^[0-9]+$ ]] || fail "CUDA_VISIBLE_DEVICES='$seen' in $log"
    echo "$seen"
  done >"$work/gpus"
  scontrol --oneliner show jobs | grep 'Comment=rule_train_' >"$work/jobs"
  ! grep -v gres:gpu:1 "$work/jobs" || fail "a training did not ask for one GPU"
}
