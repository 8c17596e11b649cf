#!/usr/bin/env bash
# The pipeline on this machine, without Slurm and containers, in minutes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
all=(SAMPLESHEET_CHECK PREPARE_PHANTOM TRAIN GENERATE GENERATE GENERATE_MERGE EVALUATE SEGMENTBENCHMARK SEGMENTBENCHMARK
  SEGMENTBENCHMARK_GATHER MULTIQC) # MULTIQC always is a task, also where it only says that it is missing

say 'strict syntax'
# 25.04.4 fails on a file that has warnings but no errors, and `when:` is such a warning: linted without it.
cp -R "$pipeline/." lint
find lint -name '*.nf' -exec sed -i '/^    when:$/,+1d' {} +
passes nextflow lint lint "$repo/nextflow.config"
says 'had no errors'

say 'schemas'
if [ -e "$LAPSEGAN_CACHE/jsonschema/.complete" ]; then
  nextflow config "$repo" -flat >flat.txt 2>"$log" || fail 'nextflow config'
  passes "$LAPSEGAN_CACHE/jsonschema/bin/python" "$repo/tests/workflows/nextflow/check_schemas.py" "$repo/workflows" flat.txt
else
  echo 'skipped: schemas (jsonschema cannot be installed)'
fi

say 'every output is described'
find "$pipeline/modules" -name main.nf | while read -r module; do
  description=${module%main.nf}meta.yml
  there "$description"
  grep -oE 'emit: \w+' "$module" | while read -r _ output; do
    grep -qE "^  $output:" "$description" || fail "$description does not describe $output"
  done
done

say 'stub run, both parsers, and from the folder of the pipeline'
passes flow -profile test -stub
expect_tasks ${#all[@]} COMPLETED
rm -rf results work
NXF_SYNTAX_PARSER=v2 passes nextflow run "$pipeline" -profile test -stub
expect_tasks ${#all[@]} COMPLETED
rm -rf results work

say 'the test profile'
passes flow -profile test
expect_tasks ${#all[@]} COMPLETED
whole_results
for name in "${all[@]}"; do
  [ "$name" = MULTIQC ] || says "$name:" results/pipeline_info/software_mqc_versions.yml
done
if command -v multiqc >/dev/null; then
  says lapsegan_evaluate results/multiqc/multiqc_report.html
else
  says 'MultiQC was not found'
fi
passes generate --checkpoint results/models/phantom_run --count 16 --seed 0 --threads 1 --device cpu --output whole.ome.zarr
same_plate whole.ome.zarr results/synthetic/phantom_synthetic.ome.zarr

say 'again with -resume'
passes flow -profile test -resume
expect_tasks ${#all[@]} CACHED
[ "$(column status | wc -l)" = ${#all[@]} ] || fail 'a task ran again'

say 'bad samplesheets and parameters'
while IFS='|' read -r sheet message _; do
  fails flow --input "$repo/tests/workflows/bad/$sheet.csv" --outdir "bad-$sheet"
  says "$message"
  says 'hint: '
  [ "$(column process "bad-$sheet" | xargs)" = LAPSEGAN:INPUTS:SAMPLESHEET_CHECK ] || fail "$sheet.csv did not stop all tasks"
done < <(grep -E '^(columns|interval|missing)' "$repo/tests/workflows/bad/messages.txt")
fails flow --input nothere.csv --kmig 3 --preset large --label 'a b'
for message in '--kmig: no such parameter' '--preset large: expected one of' '--label a b: expected the form' \
  'nothere.csv: no such file'; do
  says "$message"
done

say 'a sample without labels, of two channels in one file, and a label that is not there'
passes prepare export results/plates/phantom.ome.zarr --format ozx --output packed
cat >samples.csv <<CSV
sample,kind,name,path
bare,channel,brightfield,packed/plate.ozx@brightfield
bare,channel,gfp,packed/plate.ozx@gfp
CSV
passes flow -profile test --input samples.csv --kimg 0.01 --generate_shards 1 --outdir bare
says 'sample bare: the sample has no labels of objects, so segment-benchmark is left out for it'
says bare bare/pipeline_info/left_out_mqc.tsv
there bare/evaluation/bare_evaluation/metrics.json
[ ! -e bare/segmentation ] || fail 'segment-benchmark ran without labels'
fails flow -profile test -resume --outdir named --label nuclei
says 'nuclei'
[ "$(column exit named | grep -cE '^(2|65)$')" -gt 0 ] || fail 'segment-benchmark was not told which label to take'

say 'a GPU asked for and none there'
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  echo 'skipped: a GPU asked for and none there (there is one)'
else
  fails flow -profile test,gpu --outdir gpu
  grep -qE '^ *error: .*(cuda|CUDA)' "$log" || fail 'the error report does not say why'
  [ "$(column exit gpu | grep -cx 69)" = 1 ] || fail 'train did not end with 69, once'
fi

say 'a training killed, and again before it began'
mkdir wrap
# The first attempt dies as by kill -9 once it has a checkpoint, the second before it starts.
cat >wrap/train <<WRAP
#!/usr/bin/env bash
real=$(command -v train)
[ "\$1" != --version ] || exec "\$real" --version
echo attempt >>"$PWD/attempts"
case \$(wc -l <"$PWD/attempts") in
  1) "\$real" "\$@" & child=\$!
     until ls phantom_run/checkpoints 2>/dev/null | grep 'json\$' | grep -qv '_000000.000.json'; do
       kill -0 \$child || exit 1
       sleep 0.02
     done
     kill -9 \$child; exit 137 ;;
  2) exit 143 ;;
esac
exec "\$real" "\$@"
WRAP
chmod +x wrap/train
short=(-profile test --train_args='--checkpoint-interval 0.005' --kimg 0.4 --skip_evaluate --skip_benchmark --skip_multiqc)
PATH=$PWD/wrap:$PATH passes flow "${short[@]}" --outdir killed
[ "$(wc -l <attempts)" = 3 ] || fail "$(wc -l <attempts) attempts, expected 3"
rm wrap/train
went_on killed 3
as_undisturbed "$(last_checkpoint killed/models/phantom_run)" killed/plates/phantom.ome.zarr 0.4

killed_when() { # CONDITION ARGUMENT...: the pipeline; then everything goes at once, as when a machine goes down
  setsid nextflow run "$repo" "${@:2}" >"$log" 2>&1 &
  local head=$!
  wait_for 200 eval "$1"
  kill -9 -- "-$head" 2>/dev/null || true
  wait "$head" 2>/dev/null || true
}

say 'all killed while a plate is written, then -resume'
# Stopped with part of its files written.
cat >wrap/generate <<WRAP
#!/usr/bin/env bash
real=$(command -v generate)
[ "\$1" != --version ] || exec "\$real" --version
"\$real" "\$@" & child=\$!
until [ -n "\$(find . -path '*.ome.zarr*' -name zarr.json)" ]; do kill -0 \$child || exit 1; done
kill -STOP \$child
touch "$PWD/written"
wait
WRAP
chmod +x wrap/generate
PATH=$PWD/wrap:$PATH killed_when 'test -e written' "${short[@]}" --seed 1 --outdir torn
rm wrap/generate
passes flow "${short[@]}" --seed 1 --outdir torn -resume
expect_tasks 3 CACHED torn
expect_tasks 3 COMPLETED torn
passes generate --checkpoint torn/models/phantom_run --count 16 --seed 1 --threads 1 --device cpu --output torn.ome.zarr
same_plate torn.ome.zarr torn/synthetic/phantom_synthetic.ome.zarr

say 'all killed while a training runs, then -resume with --checkpoint_dir'
long=(-profile test --train_args='--checkpoint-interval 0.02' --kimg 0.6 --checkpoint_dir kept --seed 2 --outdir outlived
  --skip_evaluate --skip_benchmark --skip_multiqc)
mkdir kept
killed_when 'has_checkpoint kept' "${long[@]}"
passes flow "${long[@]}" -resume
went_on outlived 1

say 'a full work disk, then -resume'
if small_disk disk 1m; then
  fails flow "${short[@]}" -w disk/work --outdir full
  grep -qiE 'no space left|disk is full' "$log" || fail 'the error report does not say why'
  mount -o remount,size=200m disk
  passes flow "${short[@]}" -w disk/work --outdir full -resume
  there full/synthetic/phantom_synthetic.digest.json
else
  echo 'skipped: a full work disk (mount is not allowed)'
fi
