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
quick=(nextflow-quick snakemake-quick)
# The image comes before the workflows, which use it.
hpc=(slurm preemption apptainer docker {nextflow,snakemake}-{apptainer,preemption,slurm})

script_of() { # LEG
  case $1 in
    nextflow-* | snakemake-*) echo "$here/${1/-//}.sh" ;;
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
running=''
cleanup() {
  if [ -n "$running" ] && kill -TERM "$running" 2>/dev/null; then
    wait "$running" || true
  fi
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
  # In the background, so that a signal to this script is not kept waiting for the end of the leg.
  (cd "$state/legs/$leg" && exec timeout --kill-after=20 3000 bash "$(script_of "$leg")") &
  running=$!
  wait "$running" || status=$?
  running=''
  return "$status"
}

image_is_whole=1
offer_image() { # sets LAPSEGAN_SIF where the image is of these sources and its tests did not fail
  local sif=$LAPSEGAN_CACHE/lapsegan.sif
  unset LAPSEGAN_SIF
  if [ "$image_is_whole" = 1 ] && [ -e "$sif" ] && [ "$(cat "$sif.sources" 2>/dev/null)" = "$(sources_digest)" ]; then
    export LAPSEGAN_SIF=$sif
  fi
}

table=() failed=0 skipped=0
for leg in "${legs[@]}"; do
  offer_image
  printf '%s ... ' "$leg" >&2
  started=$SECONDS status=0
  run_leg "$leg" >"$logs/$leg.log" 2>&1 || status=$?
  note=$(grep -E '^(note|skipped): ' "$logs/$leg.log" | sed 's/^note: //' | paste -sd ';' | sed 's/;/; /g' || true)
  case $status in
    0) result=passed ;;
    77) result=skipped skipped=$((skipped + 1)) ;;
    *)
      result=failed failed=$((failed + 1)) note="exit $status, see $logs/$leg.log"
      [ "$leg" != apptainer ] || image_is_whole=0
      printf '\n' >&2
      tail -n 40 "$logs/$leg.log" | sed 's/^/  | /' >&2
      ;;
  esac
  printf '%s\n' "$result" >&2
  table+=("$(printf '%-22s %-8s %5d s  %s' "$leg" "$result" "$((SECONDS - started))" "$note")")
  [ -n "${KEEP:-}" ] || rm -rf "${state:?}/legs/$leg"
done

printf '\n%-22s %-8s %7s\n' leg result time
printf '%s\n' "${table[@]}"
printf '%d legs, %d failed, %d skipped\n' "${#legs[@]}" "$failed" "$skipped"
[ "$failed" = 0 ] && { [ "$strict" = 0 ] || [ "$skipped" = 0 ]; }
