#!/usr/bin/env bash
# Exports loaded and trained on, from scratch and without a network, by the segmenters they are made for: Cellpose 3 and
# StarDist. Four minutes on two cores, beside the packages; part of `make interop`, not of `make test`.
#
#   LAPSEGAN_BIN   folder of the five programs, default target/release
#   LAPSEGAN_VENV  Python environment, default .venv/segmenters; made where it is not there
#
# Ends with 77 where Python or the package index is not there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=environment.sh
source "$here/environment.sh"
venv=${LAPSEGAN_VENV:-$repo/.venv/segmenters}
environment "$venv" requirements-segmenters.txt python3 || {
  echo "skipped: Python 3.11 is not there, or the packages of requirements-segmenters.txt cannot be installed"
  exit 77
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$venv/bin/python" -W ignore "$here/segmenters.py" "${LAPSEGAN_BIN:-$repo/target/release}/prepare" 2>"$log" || {
  cat "$log"
  exit 1
}
