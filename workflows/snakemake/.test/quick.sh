#!/usr/bin/env bash
# All that can be tested without a scheduler and a container, in about four minutes on two idle cores.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../tests/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/../tests/environment.sh"

snakemake_from_cache
programs_on_path
work_folder
cd "$workflow"
log=$work/log
local_run() { # NAME ARGUMENTS...: on two cores, by the shipped profile; fails as Snakemake does
  local name=$1
  shift
  in_run "$name" --profile profiles/local --cores 2 "$@" >"$log" 2>&1
}

new_run test
in_run test --lint >"$log" 2>&1 || fail "lint" "$log"
snakefmt --check workflow >"$log" 2>&1 || fail "snakefmt; \`snakefmt workflow\` puts it right" "$log"
passed "lint and snakefmt"

in_run test --dry-run >"$log" 2>&1 || fail "dry run" "$log"
contains "$log" "sample unlabelled has no labels: segment-benchmark is left out for it"
in_run test --dry-run --config device=gpu >"$log" 2>&1 && fail "device=gpu was accepted" "$log"
contains "$log" "'gpu' is not one of ['auto', 'cpu', 'cuda']"
passed "dry run; a wrong setting is refused"

while IFS='|' read -r sheet message; do
  new_run bad ".test/bad/$sheet.csv"
  ! in_run bad --dry-run >"$log" 2>&1 || fail "$sheet.csv was accepted" "$log"
  contains "$log" "$message"
  [ ! -e "$work/bad/results" ] || fail "$sheet.csv left something behind"
  ! prepare check "$work/bad/config/samples.csv" >"$log" 2>&1 || fail "prepare check accepts $sheet.csv" "$log"
done <<'SHEETS'
alone|line 3: a plate or phantom must be the only row of sample a
columns|line 1: columns are sample,kind,name,folder,pixel_size,frame_interval, expected sample,kind,name,path,pixel_size,frame_interval
duplicate|line 3: channel gfp is given twice for sample a
empty|no samples
fields|line 2: 7 fields, expected 6
id|line 2: sample: 'a b' does not match
interval|line 3: frame_interval differs within sample a: [300.0, 600.0]
kind|line 2: kind: 'movie' is not one of
labels-only|sample a has labels but no channel
missing|test-data/recording/no-such-folder
no-path|line 2: path: '' should be non-empty
number|line 2: pixel_size: 'small' does not match
SHEETS
passed "bad samplesheets are refused, by Snakemake and by prepare check"

local_run test || fail "the test pipeline" "$log"
for result in {phantom,unlabelled}/evaluation/report.html phantom/benchmark/report.html; do
  [ -s "$work/test/results/$result" ] || fail "$result is missing" "$log"
done
[ ! -e "$work/test/results/unlabelled/benchmark" ] || fail "a benchmark without labels"
contains "$work/test/results/summary.tsv" "left out: no labels"
passed "the test pipeline"

local_run test || fail "the second run" "$log"
contains "$log" "Nothing to be done"
# A plate made again with equal bytes has a new time stamp and an equal digest.
local_run test --forcerun prepare --until prepare || fail "prepare again" "$log"
local_run test --dry-run || fail "the third run" "$log"
contains "$log" "Nothing to be done"
passed "a second run, or one after an equal plate was made again, finds nothing to do"

local_run test --report "$work/report.html" || fail "report" "$log"
for part in "segment" "Sequences of the real plate of phantom"; do
  grep -qF "$part" "$work/report.html" || fail "the report does not show '$part'"
done
passed "report"

if command -v multiqc >/dev/null; then
  local_run test --config multiqc=True || fail "multiqc" "$log"
  for sample in phantom unlabelled; do
    grep -qF "${sample}_synthetic" "$work/test/results/multiqc.html" || fail "MultiQC's report does not show $sample"
  done
  passed "MultiQC"
else
  echo "skipped: MultiQC is not on PATH"
fi

new_run module
{ echo lapsegan: && sed 's/^/  /' .test/config/config.yaml; } >"$work/module/config/config.yaml"
snakemake --snakefile .test/module/Snakefile --directory "$work/module" --dry-run >"$log" 2>&1 || fail "use as a module" "$log"
contains "$log" "rule lapsegan_train"
passed "use as a module (dry run)"

# A GPU asked for where none is: said, not retried in vain for long, and completed once it is no longer asked for.
sheet=$(phantom_only)
model=results/phantom/model.safetensors
new_run nogpu "$sheet"
! CUDA_VISIBLE_DEVICES='' local_run nogpu "$model" --config device=cuda || fail "device=cuda was not refused" "$log"
contains "$log" "error: --device cuda: not available"
local_run nogpu "$model" || fail "after the GPU was no longer asked for" "$log"
passed "a GPU asked for and none there: said, and a rerun completes"

# Killed trainings. The undisturbed one first.
longer() { # NAME RETRIES
  new_run "$1" "$sheet"
  sed -i "s/kimg: 0.1/kimg: 0.4/; s/^train:/train:\n  retries: $2/" "$work/$1/config/config.yaml"
}
killed_run() { # NAME SIGNAL: Snakemake's exit status
  in_run "$1" --profile profiles/local --cores 2 "$model" >"$log" 2>&1 &
  local engine=$!
  wait_for 120 mid_checkpoint "$1" || fail "no checkpoint" "$log"
  kill "-$2" "$(descendant "$engine" train)"
  wait "$engine"
}
longer undisturbed 0
local_run undisturbed "$model" || fail "the undisturbed training" "$log"
longer killed 0
! killed_run killed KILL || fail "the killed training did not fail" "$log"
[ ! -e "$work/killed/$model" ] || fail "a killed training left a model"
local_run killed "$model" || fail "the rerun of the killed training" "$log"
same_model undisturbed killed
passed "train, killed: a rerun goes on from the checkpoint and ends with the same bytes"
longer stopped 3
killed_run stopped TERM || fail "the stopped training did not finish" "$log"
contains "$log" "Trying to restart job"
same_model undisturbed stopped
passed "train, SIGTERM: tried again by itself, same bytes"

# Killed in the middle of writing a plate.
new_run written "$sheet"
local_run written "$model" || fail "train" "$log"
part=results/phantom/synthetic/1-of-2.ome.zarr
sed -i 's/count: 16/count: 2000/' "$work/written/config/config.yaml"
written_run() { in_run written --profile profiles/local --cores 2 "$@" >"$log" 2>&1; }
written_run --notemp "$part" || fail "generate" "$log"
mv "$work/written/$part" "$work/whole.ome.zarr"
written_run --notemp "$part" &
engine=$!
# The plate grows under another name.
writing() { [ -n "$(find "$work/written/results/phantom/synthetic" -mindepth 2 -name zarr.json -print -quit)" ]; }
wait_for 60 writing || fail "generate does not write" "$log"
kill -KILL "$(descendant "$engine" generate)"
wait "$engine" || fail "generate was not tried again" "$log"
contains "$log" "Trying to restart job"
diff -r --exclude run.json --exclude .snakemake_timestamp "$work/whole.ome.zarr" "$work/written/$part" >"$log" || fail "another plate" "$log"
passed "generate, killed while writing: tried again by itself, same bytes"

# A full work disk.
mkdir -p "$work/full/results"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=3m none "$work/full/results" 2>/dev/null; then
  new_run full "$sheet"
  ! local_run full "$model" || fail "a full disk was not noticed" "$log"
  contains "$log" "No space left on device"
  mount -o remount,size=100m "$work/full/results"
  local_run full "$model" || fail "the rerun after the full disk" "$log"
  passed "a full disk: said, and a rerun completes"
else
  echo "skipped: a full disk can only be made by root"
fi
