#!/usr/bin/env bash
# The workflow on this machine, without a scheduler and a container, in about four minutes on two idle cores.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"

say 'lint and snakefmt'
new_run test
passes in_run test --lint
passes snakefmt --check "$workflow/workflow"

say 'dry run; a wrong setting'
passes in_run test --dry-run
says 'sample unlabelled has no labels: segment-benchmark is left out for it'
fails in_run test --dry-run --config device=gpu
says "'gpu' is not one of ['auto', 'cpu', 'cuda']"

say 'bad samplesheets, by the program and by the schema'
while IFS='|' read -r sheet message by_schema; do
  new_run bad "$repo/tests/workflows/bad/$sheet.csv"
  fails prepare check bad/config/samples.csv
  fails in_run bad --dry-run
  says "$message"
  [ -z "$by_schema" ] || PATH=${PATH//"$LAPSEGAN_BIN:"/} fails in_run bad --dry-run
  says "${by_schema:-$message}"
  [ ! -e bad/results ] || fail "$sheet.csv left something behind"
done <"$repo/tests/workflows/bad/messages.txt"

say 'what is benchmarked, with and without the program'
cat >kinds.csv <<'CSV'
pixel_size,sample, kind,path,name
0.42,movie,channel, test-data/recording/gfp ,gfp
,movie,labels,test-data/recording/cells@inner,cells
,names,plate,names,
,objects,plate,objects,
,other,plate,other,
,bare,plate,bare,
CSV
new_run kinds kinds.csv
for plate in 'names:"cells"' 'objects:{"name":"cells","kind":"objects"}' 'other:{"name":"trap","kind":"structure"}' bare:; do
  mkdir "kinds/config/${plate%%:*}"
  echo "{\"attributes\":{\"lapsegan\":{\"labels\":[${plate#*:}]}}}" >"kinds/config/${plate%%:*}/zarr.json"
done
for path in "$PATH" "${PATH//"$LAPSEGAN_BIN:"/}"; do
  PATH=$path passes in_run kinds --dry-run --printshellcmds --config label=nuclei
  found=$(sed -n 's|.*output: results/\(.*\)/benchmark/report.html.*|\1|p' "$log" | sort -u | xargs)
  [ "$found" = 'movie names objects' ] || fail "benchmarks of: $found"
  says '--pixel-size 0.42'
  says 'test-data/recording/cells@inner'
  says '--label nuclei'
done

say 'the test pipeline'
passes local_run test
whole_results test
[ ! -e test/results/unlabelled/benchmark ] || fail 'a benchmark without labels'
says 'left out: no labels' test/results/summary.tsv

say 'a second run, or one after an equal plate was made again, finds nothing to do'
passes local_run test
says 'Nothing to be done'
# A plate made again with equal bytes has a new time stamp and an equal digest.
passes local_run test --forcerun prepare --until prepare
passes local_run test --dry-run
says 'Nothing to be done'

say 'report'
passes local_run test --report "$PWD/report.html"
says 'segment' report.html
says 'Sequences of the real plate of phantom' report.html

say 'MultiQC'
if command -v multiqc >/dev/null; then
  passes local_run test --config multiqc=True
  for sample in phantom unlabelled; do says "${sample}_synthetic" test/results/multiqc.html; done
else
  echo 'skipped: MultiQC is not on PATH'
fi

say 'use as a module (dry run)'
new_run module
{ echo lapsegan: && sed 's/^/  /' test/config/config.yaml; } >module/config/config.yaml
passes snakemake --snakefile "$tests/module/Snakefile" --directory module --dry-run
says 'rule lapsegan_train'

say 'a GPU asked for and none there, then no longer asked for'
phantom_run nogpu
CUDA_VISIBLE_DEVICES='' fails local_run nogpu "$model" --config device=cuda
says 'error: --device cuda: not available'
passes local_run nogpu "$model"

descendant() { # PID NAME: its first descendant with this command name; nothing where there is none
  local child
  for child in $(ps -o pid= --ppid "$1"); do
    if [ "$(ps -o comm= -p "$child")" = "$2" ]; then
      echo "$child"
      return
    fi
    descendant "$child" "$2"
  done | head -n 1
}

say 'train, killed: a rerun goes on'
phantom_run killed 's/kimg: 0.1/kimg: 0.4/; s/^train:/train:\n  retries: 0/'
started killed local_run killed "$model"
kill -KILL "$(descendant "$engine" train)"
! wait "$engine" || fail 'the killed training did not fail'
[ ! -e "killed/$model" ] || fail 'a killed training left a model'
local_run killed "$model" >"$log" 2>&1 &
engine=$!
finishes killed
same_bytes killed

say 'train, SIGTERM: tried again by itself'
phantom_run stopped 's/kimg: 0.1/kimg: 0.4/'
started stopped local_run stopped "$model"
kill -TERM "$(descendant "$engine" train)"
finishes stopped
says 'Trying to restart job'
same_bytes stopped

say 'generate, killed while writing: tried again by itself'
phantom_run written 's/count: 16/count: 2000/'
plate=results/phantom/synthetic/1-of-2.ome.zarr
passes local_run written --notemp "$plate"
mv "written/$plate" whole.ome.zarr
local_run written --notemp "$plate" >"$log" 2>&1 &
engine=$!
# The plate grows under another name.
writing() { [ -n "$(find written/results/phantom/synthetic -mindepth 2 -name zarr.json -print -quit)" ]; }
wait_for 60 writing
kill -KILL "$(descendant "$engine" generate)"
wait "$engine" || fail 'generate was not tried again'
says 'Trying to restart job'
same_plate whole.ome.zarr "written/$plate"

say 'a full work disk, then a rerun'
phantom_run full
if small_disk full/results 3m; then
  fails local_run full "$model"
  says 'No space left on device'
  mount -o remount,size=100m full/results
  passes local_run full "$model"
else
  echo 'skipped: a full disk can only be made by root'
fi
