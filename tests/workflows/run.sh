#!/usr/bin/env bash
# run.sh [--strict] quick|hpc|LEG...: the tests of the workflows and of what they stand on. `quick` needs neither a cluster
# nor a container, `hpc` is the rest. --strict counts a skipped leg as a failed one. A leg is a script: 0 passed, 77 skipped
# after a line `skipped: why`, anything else failed; lines `note: ...` come into the table.
#
#   LAPSEGAN_CACHE   what was fetched and built stays here, default ./.cache; the legs' logs are in workflow-logs
#   LAPSEGAN_BIN     folder of the five programs, default target/release
#   KEEP=1           leaves the working folders of the legs
#
# Legs find there: Slurm (SLURM_CONF) where it starts; on PATH the programs, the workflow engine, apptainer; LAPSEGAN_SIF,
# the image that the leg apptainer built; LAPSEGAN_STATE for daemons; an empty working folder, which is removed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"
# shellcheck source-path=SCRIPTDIR source=hpc/image-sources.sh
source "$here/hpc/image-sources.sh"
quick=(nextflow-quick snakemake-quick interop kernels)
# The image comes before the workflows, which use it.
hpc=(slurm preemption apptainer docker {nextflow,snakemake}-{apptainer,preemption,slurm})

script_of() { # LEG
  case $1 in
    nextflow-* | snakemake-*) echo "$here/${1/-//}.sh" ;;
    interop) echo "$here/../interop/formats.sh" ;;
    kernels) echo "$here/../kernels/compile.sh" ;;
    *) echo "$here/hpc/legs/$1.sh" ;;
  esac
}
strict=0 legs=()
for argument; do
  case $argument in
    --strict) strict=1 ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; echo "Legs: ${quick[*]} ${hpc[*]}"; exit 0 ;;
    quick) legs+=("${quick[@]}") ;;
    hpc) legs+=("${hpc[@]}") ;;
    *)
      [[ " ${quick[*]} ${hpc[*]} " == *" $argument "* ]] || fail "there is no leg $argument; there are: ${quick[*]} ${hpc[*]}"
      legs+=("$argument")
      ;;
  esac
done
[ "${#legs[@]}" -gt 0 ] || fail "name quick, hpc or legs: ${quick[*]} ${hpc[*]}"

LAPSEGAN_CACHE=$(realpath -m "${LAPSEGAN_CACHE:-$repo/.cache}")
LAPSEGAN_BIN=$(realpath -m "${LAPSEGAN_BIN:-$repo/target/release}")
export LAPSEGAN_CACHE LAPSEGAN_BIN
for program in prepare train generate evaluate segment-benchmark; do
  [ -x "$LAPSEGAN_BIN/$program" ] || fail "no $program in $LAPSEGAN_BIN; run make build first, or set LAPSEGAN_BIN"
done
logs=$LAPSEGAN_CACHE/workflow-logs
mkdir -p "$logs"
export PATH=$LAPSEGAN_BIN:$PATH
command -v apptainer >/dev/null || export PATH=$here/hpc/bin:$PATH

state=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-legs.XXXXXX")
export LAPSEGAN_STATE=$state
chmod 755 "$state" # legs run programs as other users, too
mkdir "$state/results"
lanes=()
cleanup() {
  local lane
  for lane in "${lanes[@]}"; do
    if kill -TERM "$lane" 2>/dev/null; then wait "$lane" || true; fi
  done
  bash "$here/hpc/slurm.sh" stop "$state/slurm" || true
  bash "$here/hpc/docker.sh" stop "$state/docker" || true
  if [ -n "${KEEP:-}" ]; then echo "kept: $state" >&2; else rm -rf "$state"; fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What several legs share is made ready once; a leg that does without is not held up by its absence.
declare -A missing
provide() { # THING COMMAND...: runs a command that prints lines of shell, or else why the thing is not there
  local lines
  if lines=$("${@:2}"); then
    eval "$lines"
  else
    missing[$1]=$(grep '^skipped: ' <<<"$lines" || echo "skipped: $1 cannot be made ready")
  fi
}
start_slurm() {
  if bash "$here/hpc/slurm.sh" start "$state/slurm" 2>"$logs/slurm-start.log"; then
    cat "$state/slurm/env.sh"
  else
    echo "skipped: $(sed -n 's/^error: //p' "$logs/slurm-start.log" | tail -n 1)"
    return 1
  fi
}
wanted=" ${legs[*]} "
[[ $wanted != *" nextflow-"* ]] || provide nextflow bash "$here/nextflow/install.sh"
[[ $wanted != *" snakemake-"* ]] || provide snakemake bash "$here/snakemake/install.sh"
[[ ! $wanted =~ slurm|preemption|-apptainer ]] || provide slurm start_slurm

run_leg() { # LEG: runs it in a folder of its own, its output in its log
  local leg=$1 status=0 thing
  for thing in "${!missing[@]}"; do
    case $thing:$leg in
      "${leg%%-*}:"* | slurm:*slurm* | slurm:*preemption* | slurm:*-apptainer) echo "${missing[$thing]}"; return 77 ;;
    esac
  done
  mkdir -p "$state/legs/$leg"
  # In the background, so that a signal is not kept waiting for the end of the leg.
  (cd "$state/legs/$leg" && exec timeout --kill-after=20 3000 bash "$(script_of "$leg")") &
  running=$!
  wait "$running" || status=$?
  running=''
  return "$status"
}

offer_image() { # sets LAPSEGAN_SIF where the image is of these sources and its tests did not fail
  local sif=$LAPSEGAN_CACHE/lapsegan.sif
  unset LAPSEGAN_SIF
  if ! grep -qs '^apptainer  *failed' "$state/results/apptainer" && [ -e "$sif" ] &&
    [ "$(cat "$sif.sources" 2>/dev/null)" = "$(sources_digest)" ]; then
    export LAPSEGAN_SIF=$sif
  fi
}

judged_leg() { # LEG: runs it; its line of the table becomes $state/results/LEG
  local leg=$1 log=$logs/$1.log started=$SECONDS status=0 result note
  offer_image
  run_leg "$leg" >"$log" 2>&1 || status=$?
  note=$(grep -E '^(note|skipped): ' "$log" | sed 's/^note: //' | paste -sd ';' | sed 's/;/; /g' || true)
  case $status in
    0) result=passed ;;
    77) result=skipped ;;
    *) result=failed note="exit $status, see $log" ;;
  esac
  printf '%-22s %-8s %5d s  %s\n' "$leg" "$result" "$((SECONDS - started))" "$note" | tee "$state/results/$leg" >&2
  [ "$result" != failed ] || tail -n 40 "$log" | sed 's/^/  | /' >&2
  [ -n "${KEEP:-}" ] || rm -rf "${state:?}/legs/$leg"
}

start_lane() { # LEG...: one after the other, beside other lanes
  [ $# -gt 0 ] || return 0
  (
    running=''
    trap 'if [ -n "$running" ] && kill -TERM "$running"; then wait "$running" || true; fi; exit 143' TERM
    for leg; do judged_leg "$leg"; done
  ) &
  lanes+=($!)
}
join_lanes() {
  local lane
  for lane in "${lanes[@]}"; do wait "$lane"; done
  lanes=()
}
chosen() { # LEG...: those of them that are wanted
  local leg
  for leg; do [[ $wanted != *" $leg "* ]] || echo "$leg"; done
}

# Much of a leg is waiting: for a scheduler, a time limit, an engine. What needs neither the same Slurm nor the same image
# goes on side by side.
mapfile -t lane < <(chosen nextflow-quick) && start_lane "${lane[@]}"
mapfile -t lane < <(chosen snakemake-quick interop kernels) && start_lane "${lane[@]}"
mapfile -t lane < <(chosen apptainer) && start_lane "${lane[@]}"
mapfile -t lane < <(chosen slurm preemption {nextflow,snakemake}-{preemption,slurm}) && start_lane "${lane[@]}"
join_lanes
# Docker takes the programs that were compiled for the image; the others need both.
mapfile -t lane < <(chosen docker) && start_lane "${lane[@]}"
mapfile -t lane < <(chosen {nextflow,snakemake}-apptainer) && start_lane "${lane[@]}"
join_lanes

table=$(cd "$state/results" && cat "${legs[@]}")
failed=$(grep -c '^[^ ]* *failed ' <<<"$table" || true)
skipped=$(grep -c '^[^ ]* *skipped ' <<<"$table" || true)
printf '\n%-22s %-8s %7s\n' leg result time
printf '%s\n' "$table"
printf '%d legs, %d failed, %d skipped\n' "${#legs[@]}" "$failed" "$skipped"
[ "$failed" = 0 ] && { [ "$strict" = 0 ] || [ "$skipped" = 0 ]; }
