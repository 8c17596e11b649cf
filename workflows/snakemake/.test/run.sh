#!/usr/bin/env bash
# run.sh [FOLDER] [ARGUMENTS OF SNAKEMAKE...]: the test pipeline on this machine, in FOLDER (a new one by default).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../tests/environment.sh
source "$here/../tests/environment.sh"
snakemake_from_cache
programs_on_path

folder=${1:-$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-test.XXXXXX")}
shift $(($# > 0))
mkdir -p "$folder/config"
cp "$here/config/config.yaml" "$folder/config/"
snakemake --snakefile "$here/../workflow/Snakefile" --directory "$folder" --profile "$here/../profiles/local" --cores 2 \
  --config "samples=$here/config/samples.csv" "$@"
echo "results: $folder/results"
