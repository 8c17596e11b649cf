#!/usr/bin/env bash
# run.sh [--strict] [LEG...]: the tests that need a cluster, a container engine or a workflow engine; all legs, or these.
# A leg is a script: 0 passed, 77 skipped (it prints why), anything else failed. --strict counts a skip as a failure.
#
#   LAPSEGAN_CACHE   what was fetched and built stays here, default ./.cache; the legs' logs are in hpc-logs
#   LAPSEGAN_BIN     folder of the five programs, default target/release
#
# Legs find there: Slurm (SLURM_CONF) where it starts; on PATH the programs, nextflow, apptainer; LAPSEGAN_SIF, the image
# that the leg apptainer built; LAPSEGAN_REPO; LAPSEGAN_STATE for daemons; an empty working folder, which is removed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
own=(slurm preemption apptainer docker) # the image comes before the workflows, which use it

fail() { echo "error: $1" >&2; exit 1; }
script_of() { # LEG
  local engine=${1%%-*} rest=${1#*-} path
  for path in "$here/legs/$1.sh" "$repo/workflows/$engine"/{tests,.test}/"hpc-$rest.sh"; do
    if [ -f "$path" ]; then
      echo "$path"
      return
    fi
  done
}
all_legs() {
  printf '%s\n' "${own[@]}"
  find "$repo/workflows" -path '*/.snakemake' -prune -o -path '*test*/hpc-*.sh' -print |
    sed -E 's|.*/workflows/([^/]+)/.*/hpc-(.*)\.sh$|\1-\2|' | sort
}

strict=0
legs=()
for argument; do
  case $argument in
    --strict) strict=1 ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; echo "Legs: $(all_legs | paste -sd ' ')"; exit 0 ;;
    *) legs+=("$argument") ;;
  esac
done
[ "${#legs[@]}" -gt 0 ] || mapfile -t legs < <(all_legs)
for leg in "${legs[@]}"; do
  [ -n "$(script_of "$leg")" ] || fail "there is no leg $leg; there are: $(all_legs | paste -sd ' ')"
done

export LAPSEGAN_REPO=$repo
# shellcheck source-path=SCRIPTDIR source=image-sources.sh
source "$here/image-sources.sh"
LAPSEGAN_CACHE=$(realpath -m "${LAPSEGAN_CACHE:-$repo/.cache}")
LAPSEGAN_BIN=$(realpath -m "${LAPSEGAN_BIN:-$repo/target/release}")
export LAPSEGAN_CACHE LAPSEGAN_BIN
for program in prepare train generate evaluate segment-benchmark; do
  [ -x "$LAPSEGAN_BIN/$program" ] || fail "no $program in $LAPSEGAN_BIN; run make build first, or set LAPSEGAN_BIN"
done
logs=$LAPSEGAN_CACHE/hpc-logs
mkdir -p "$logs"
export PATH=$LAPSEGAN_BIN:$PATH
command -v apptainer >/dev/null || export PATH=$here/bin:$PATH

state=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-hpc.XXXXXX")
export LAPSEGAN_STATE=$state
chmod 755 "$state" # legs run programs as other users, too
running=''
cleanup() {
  if [ -n "$running" ] && kill -TERM "$running" 2>/dev/null; then
    wait "$running" || true
  fi
  bash "$here/slurm-stop.sh" "$state/slurm" || true
  bash "$here/docker-stop.sh" "$state/docker" || true
  rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What several legs share is started once; a leg that does without is not held up by its absence.
missing_nextflow='' missing_slurm=''
if printf '%s\n' "${legs[@]}" | grep -q '^nextflow-'; then
  if lines=$(bash "$here/nextflow/install.sh" "$LAPSEGAN_CACHE"); then
    eval "$lines"
  else
    missing_nextflow=${lines:-skipped: Nextflow cannot be installed}
  fi
fi
if printf '%s\n' "${legs[@]}" | grep -qvxE 'apptainer|docker'; then
  if bash "$here/slurm-start.sh" "$state/slurm" 2>"$logs/slurm-start.log"; then
    # shellcheck source=/dev/null
    source "$state/slurm/env.sh"
  else
    missing_slurm="skipped: $(sed -n 's/^error: //p' "$logs/slurm-start.log" | tail -n 1)"
  fi
fi

run_leg() { # LEG: runs it in a folder of its own, its output in its log
  local leg=$1
  case $leg in
    nextflow-*) [ -z "$missing_nextflow" ] || { echo "$missing_nextflow"; return 77; } ;;
  esac
  case $leg in
    *slurm* | *preemption*) [ -z "$missing_slurm" ] || { echo "$missing_slurm"; return 77; } ;;
  esac
  mkdir -p "$state/legs/$leg"
  # In the background, so that a signal to this script is not kept waiting for the end of the leg.
  (cd "$state/legs/$leg" && exec timeout --kill-after=20 3000 bash "$(script_of "$leg")") &
  running=$!
  local status=0
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

table=()
failed=0 skipped=0
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
  rm -rf "${state:?}/legs/$leg"
done

printf '\n%-22s %-8s %7s\n' leg result time
printf '%s\n' "${table[@]}"
printf '%d legs, %d failed, %d skipped\n' "${#legs[@]}" "$failed" "$skipped"
[ "$failed" = 0 ] && { [ "$strict" = 0 ] || [ "$skipped" = 0 ]; }
