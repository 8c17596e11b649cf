#!/usr/bin/env bash
# The workflows on this machine, without a cluster: lints, schemas, stubs, dry runs, bad samplesheets, a run of each engine,
# kills. workflows.sh [ENGINE...]; LAPSEGAN_BIN and LAPSEGAN_CACHE as in tests/hpc/run.sh. A missing engine is skipped.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export LAPSEGAN_BIN=${LAPSEGAN_BIN:-$repo/target/release} LAPSEGAN_CACHE=${LAPSEGAN_CACHE:-$repo/.cache}
mkdir -p "$LAPSEGAN_CACHE"

nextflow_quick() {
  local lines
  lines=$(bash "$repo/tests/hpc/nextflow/install.sh" "$LAPSEGAN_CACHE") || { echo "$lines"; return 77; }
  eval "$lines"
  if ! command -v check-jsonschema >/dev/null; then
    local venv=$LAPSEGAN_CACHE/check-jsonschema
    # Without it the schemas alone are left out, and the script says so.
    [ -x "$venv/bin/check-jsonschema" ] ||
      { python3 -m venv "$venv" && "$venv/bin/pip" install -q check-jsonschema==0.37.2; } || true
    PATH=$PATH:$venv/bin
  fi
  PATH=$LAPSEGAN_BIN:$PATH bash "$repo/workflows/nextflow/tests/quick.sh"
}
snakemake_quick() { bash "$repo/workflows/snakemake/.test/quick.sh"; }

failed=0 skipped=0 table=()
[ $# -gt 0 ] || set -- nextflow snakemake
for engine; do
  started=$SECONDS status=0
  log=$LAPSEGAN_CACHE/$engine-quick.log
  printf '%s ... ' "$engine" >&2
  ("${engine}_quick") >"$log" 2>&1 || status=$?
  notes=$(grep '^skipped: ' "$log" | paste -sd ';' || true)
  case $status in
    0) result=passed ;;
    77) result=skipped skipped=$((skipped + 1)) ;;
    *)
      result=failed failed=$((failed + 1)) notes="see $log"
      tail -n 40 "$log" | sed 's/^/  | /' >&2
      ;;
  esac
  echo "$result" >&2
  table+=("$(printf '%-10s %-8s %4d s  %s' "$engine" "$result" "$((SECONDS - started))" "$notes")")
done
printf '%s\n' "${table[@]}"
printf '%d workflows, %d failed, %d skipped\n' "${#table[@]}" "$failed" "$skipped"
[ "$failed" = 0 ]
