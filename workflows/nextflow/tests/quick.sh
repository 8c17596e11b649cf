#!/usr/bin/env bash
# quick.sh: the pipeline on this machine, without Slurm and containers, in minutes. Exit 77: skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
programs

folder=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-nextflow.XXXXXX")
disk=''
cleanup() {
  [ -z "$disk" ] || umount "$disk" || true
  [ -n "${KEEP:-}" ] || rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder"
all=(PREPARE_PHANTOM TRAIN GENERATE GENERATE GENERATE_MERGE EVALUATE SEGMENTBENCHMARK SEGMENTBENCHMARK SEGMENTBENCHMARK_GATHER)
multiqc=1 # MULTIQC always is a task, also where it only says that it is missing

say 'strict syntax'
# 25.04.4 fails on a file that has warnings but no errors, and `when:` is such a warning: linted without it.
mkdir lint
cp -R "$pipeline/." lint
find lint -name '*.nf' -exec sed -i '/^    when:$/,+1d' {} +
nextflow lint lint "$repo/nextflow.config" >out.txt 2>&1 || fail 'nextflow lint finds errors'
grep -q 'had no errors' out.txt || fail 'nextflow lint did not end'

say 'schemas'
if command -v check-jsonschema >/dev/null; then
  check-jsonschema --check-metaschema "$pipeline/nextflow_schema.json" "$pipeline/assets/schema_input.json" >out.txt 2>&1 ||
    fail 'a schema is no schema'
  nextflow config "$repo" -flat 2>/dev/null | grep '^params\.' >flat.txt
  python3 - "$pipeline" <<'PYTHON' >out.txt 2>&1 || fail 'parameters and schema differ'
import ast, csv, json, sys
folder = sys.argv[1]
groups = json.load(open(folder + "/nextflow_schema.json"))["$defs"].values()
rules = {name: rule for group in groups for name, rule in group["properties"].items()}
given = {}
for line in open("flat.txt"):
    name, value = line.strip()[len("params."):].split(" = ", 1)
    given[name] = {"null": None, "true": True, "false": False}.get(value, None) if value in ("null", "true", "false") else ast.literal_eval(value)
assert given.keys() == rules.keys(), given.keys() ^ rules.keys()
for name, value in given.items():
    assert rules[name].get("default") == value, (name, value)
given["input"] = "samplesheet.csv"
json.dump({k: v for k, v in given.items() if v is not None}, open("params.json", "w"))
rows = list(csv.DictReader(open(folder + "/assets/samplesheet.csv")))
json.dump(rows, open("samplesheet.json", "w"))
json.dump([dict(rows[0], kind="plate")], open("bad.json", "w"))
PYTHON
  check-jsonschema --schemafile "$pipeline/nextflow_schema.json" params.json >out.txt 2>&1 || fail 'the defaults break the schema'
  check-jsonschema --schemafile "$pipeline/assets/schema_input.json" samplesheet.json >out.txt 2>&1 || fail 'the samplesheet breaks its schema'
  ! check-jsonschema --schemafile "$pipeline/assets/schema_input.json" bad.json >out.txt 2>&1 || fail 'a plate without a path passed'
else
  echo 'skipped: schemas (check-jsonschema is not on PATH)'
fi

say 'every output is described'
find "$pipeline/modules" -name main.nf | while read -r module; do
  description=${module%main.nf}meta.yml
  [ -s "$description" ] || fail "no $description"
  grep -oE 'emit: \w+' "$module" | while read -r _ output; do
    grep -qE "^  $output:" "$description" || fail "$description does not describe $output"
  done
done

say 'stub run, both parsers'
passes -profile test -stub
expect_tasks $((${#all[@]} + multiqc)) COMPLETED
rm -rf results work
whole=$repo
repo=$pipeline # the pipeline's own folder, too
NXF_SYNTAX_PARSER=v2 passes -profile test -stub
repo=$whole
expect_tasks $((${#all[@]} + multiqc)) COMPLETED
rm -rf results work

say 'the test profile'
passes -profile test
expect_tasks $((${#all[@]} + multiqc)) COMPLETED
for path in plates/phantom.ome.zarr/zarr.json plates/phantom.digest.json models/phantom_run/run.json \
  synthetic/phantom_synthetic.ome.zarr/zarr.json evaluation/phantom_evaluation/report.html \
  segmentation/phantom_benchmark/scores.json pipeline_info/{trace.txt,report.html,timeline.html,dag.html}; do
  [ -s "results/$path" ] || fail "no results/$path"
done
for name in "${all[@]}"; do
  grep -qx "$name:" results/pipeline_info/software_mqc_versions.yml || fail "no version of $name"
done
if command -v multiqc >/dev/null; then
  [ -s results/multiqc/multiqc_report.html ] || fail 'no common report'
  grep -q lapsegan_evaluate results/multiqc/multiqc_report.html || fail 'the common report lacks the metrics'
else
  says 'MultiQC was not found'
fi
generate --checkpoint results/models/phantom_run --count 16 --seed 0 --threads 1 --device cpu --output whole.ome.zarr >/dev/null 2>&1
diff -r -x run.json whole.ome.zarr results/synthetic/phantom_synthetic.ome.zarr >out.txt || fail 'two parts are not the whole'

say 'again with -resume'
passes -profile test -resume
expect_tasks $((${#all[@]} + multiqc)) CACHED
[ "$(tasks CACHED)" = "$(column status | wc -l)" ] || fail 'a task ran again'

say 'bad samplesheets'
mkdir empty frames
cat >bad.csv <<'CSV'
sample,kind,name,path,pixel_size,frame_interval
a,channel,bf,nothere,,
a,channel,bf,frames,x,600
b,phantom,,,,
b,phantom,,,,
c c,chanel,,,,
d,labels,cells,frames,,
e,plate,,frames,,
f,phantom
CSV
fails --input bad.csv
says "line 2, column 4 (path): 'nothere' is not there"
says "line 3, column 3 (name): duplicate channel 'bf'"
says "duplicate sample 'b'"
says 'hint: '
expected=$(grep -oE '^ *line [0-9]+' out.txt | sort -u | xargs)
found=$(prepare check bad.csv 2>&1 | grep -oE '^ *line [0-9]+' | sort -u | xargs || true)
[ "$expected" = "$found" ] || fail "prepare check complains of: $found; the workflow of: $expected"
printf 'sample,kind,path,pixels\na,phantom,,\n' >columns.csv
fails --input columns.csv
says 'column name is missing'
says "'pixels' is no column"
fails --input nothere.csv --kmig 3 --preset large
says '--kmig: no such parameter'
says '--preset large: expected one of'
says 'nothere.csv: no such file'
rm -f .nextflow.log*

say 'a sample without labels'
cat >unlabelled.csv <<CSV
sample,kind,name,path
bare,channel,brightfield,$repo/test-data/recording/brightfield
CSV
passes -profile test --input unlabelled.csv --kimg 0.01 --generate_shards 1 --outdir bare
says 'sample bare: the sample has no labels, so segment-benchmark is left out for it'
grep -q bare bare/pipeline_info/left_out_mqc.tsv || fail 'the results do not say what was left out'
[ -s bare/evaluation/bare_evaluation/metrics.json ] || fail 'evaluate did not run'
[ ! -e bare/segmentation ] || fail 'segment-benchmark ran without labels'

say 'a GPU asked for and none there'
if command -v nvidia-smi >/dev/null && nvidia-smi -L 2>/dev/null | grep -q GPU; then
  echo 'skipped: a GPU asked for and none there (there is one)'
else
  fails -profile test,gpu -resume --outdir gpu
  grep -qE '^error: .*(cuda|CUDA)' <(sed 's/^ *//' out.txt) || fail 'the error report does not say why'
  [ "$(column exit gpu | grep -cx 69)" = 1 ] || fail 'train did not end with 69, once'
fi

say 'a training killed, and again before it began'
mkdir wrap
# The first attempt dies as by kill -9 once it has a checkpoint, the second before it starts.
cat >wrap/train <<WRAP
#!/usr/bin/env bash
real=$(command -v train)
[ "\$1" != --version ] || exec "\$real" --version
echo attempt >>"$folder/attempts"
case \$(wc -l <"$folder/attempts") in
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
short=(--train_args='--checkpoint-interval 0.005' --kimg 0.4 --skip_evaluate --skip_benchmark --skip_multiqc)
PATH=$folder/wrap:$PATH passes -profile test "${short[@]}" --outdir killed
[ "$(wc -l <attempts)" = 3 ] || fail "$(wc -l <attempts) attempts, expected 3"
rm wrap/train
third=$(workdir killed TRAIN 3)
grep -q 'resuming at' "$third/.command.err" || fail 'the third attempt did not go on'
train --data killed/plates/phantom.ome.zarr --output undisturbed --preset tiny --kimg 0.4 --seed 0 --threads 1 --device cpu >/dev/null 2>&1
last=$(find undisturbed/checkpoints -name '*.safetensors' | sort | tail -n 1)
cmp "$last" "killed/models/phantom_run/checkpoints/$(basename "$last")" || fail 'not the bytes of an undisturbed training'

say 'all killed while a plate is written, then -resume'
# Stopped with part of its files written; then everything goes at once, as when a machine goes down.
cat >wrap/generate <<WRAP
#!/usr/bin/env bash
real=$(command -v generate)
[ "\$1" != --version ] || exec "\$real" --version
"\$real" "\$@" & child=\$!
until [ -n "\$(find . -path '*.ome.zarr*' -name zarr.json)" ]; do kill -0 \$child || exit 1; done
kill -STOP \$child
touch "$folder/written"
wait
WRAP
chmod +x wrap/generate
PATH=$folder/wrap:$PATH setsid nextflow run "$repo" -profile test "${short[@]}" --seed 1 --outdir torn >out.txt 2>&1 &
head=$!
wait_for 120 test -e written
kill -9 -- "-$head" 2>/dev/null || true
wait "$head" 2>/dev/null || true
rm wrap/generate
passes -profile test "${short[@]}" --seed 1 --outdir torn -resume
expect_tasks 2 CACHED torn
expect_tasks 3 COMPLETED torn
generate --checkpoint torn/models/phantom_run --count 16 --seed 1 --threads 1 --device cpu --output torn.ome.zarr >/dev/null 2>&1
diff -r -x run.json torn.ome.zarr torn/synthetic/phantom_synthetic.ome.zarr >out.txt || fail 'not the plate of an undisturbed run'

say 'all killed while a training runs, then -resume with --checkpoint_dir'
long=(--train_args='--checkpoint-interval 0.02' --kimg 0.6 --checkpoint_dir kept --skip_evaluate --skip_benchmark --skip_multiqc)
setsid nextflow run "$repo" -profile test "${long[@]}" --seed 2 --outdir outlived >out.txt 2>&1 &
head=$!
wait_for 200 compgen -G 'kept/phantom_*/checkpoints/kimg_000000.[!0]*.json'
kill -9 -- "-$head" 2>/dev/null || true
wait "$head" 2>/dev/null || true
passes -profile test "${long[@]}" --seed 2 --outdir outlived -resume
grep -q 'resuming at' "$(workdir outlived TRAIN 1)/.command.err" || fail 'the training did not go on'

say 'a full work disk, then -resume'
mkdir disk
if mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null; then
  disk=$folder/disk
  fails -profile test "${short[@]}" -w disk/work --outdir full
  grep -qiE 'no space left|disk is full' out.txt || fail 'the error report does not say why'
  mount -o remount,size=200m disk
  passes -profile test "${short[@]}" -w disk/work --outdir full -resume
  [ -s full/synthetic/phantom_synthetic.digest.json ] || fail 'no plate'
else
  echo 'skipped: a full work disk (mount is not allowed)'
fi

say passed
