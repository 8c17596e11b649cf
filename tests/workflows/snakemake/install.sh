#!/usr/bin/env bash
# Puts Snakemake into a Python environment in LAPSEGAN_CACHE. Prints the lines of shell that select it.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
packages="snakemake==9.27.1 snakemake-executor-plugin-slurm==2.8.0 snakefmt==2.1.0 pygments"
venv=${LAPSEGAN_CACHE:-$repo/.cache}/snakemake
if [ "$(cat "$venv/.complete" 2>/dev/null)" != "$packages" ]; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || skip "Snakemake 9 needs Python 3.11"
  rm -rf "$venv"
  # shellcheck disable=SC2086 # a list of packages
  { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet $packages; } >"$venv.log" 2>&1 ||
    skip "Snakemake cannot be installed: $(tail -n 1 "$venv.log")"
  echo "$packages" >"$venv/.complete"
fi
printf 'export PATH=%q:$PATH\n' "$venv/bin"
