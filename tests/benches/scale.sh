#!/usr/bin/env bash
# What many sequences cost: measured in one job and in 8, by arithmetic beyond; and do parts give the bytes of the whole?
# scale.sh [COUNT]; one thread. Writes tests/benches/results/scale.json and prints the table of workflows/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
bin=$PWD/target/release
count=${1:-1024} shards=8 steps=${STEPS:-40}
work=$(mktemp -d "${TMPDIR:-/tmp}/lapsegan-scale.XXXXXX")
trap 'rm -rf "$work"' EXIT
checkpoint=test-data/phantom-tiny.safetensors
seconds() { # NAME COMMAND...: wall seconds into $work/NAME.s
  local name=$1 start
  shift
  start=$(date +%s.%N)
  "$@" >"$work/$name.json"
  python3 -c "import sys; print(float(sys.argv[2]) - float(sys.argv[1]))" "$start" "$(date +%s.%N)" >"$work/$name.s"
}
generate() { "$bin/generate" --checkpoint "$checkpoint" --threads 1 -q "$@"; }

seconds whole generate --count "$count" --output "$work/whole.ome.zarr" --digest "$work/whole.digest"
parts=()
for i in $(seq "$shards"); do
  seconds "part-$i" generate --count "$count" --shard "$i/$shards" --output "$work/part-$i.ome.zarr"
  parts+=("$work/part-$i.ome.zarr")
done
seconds merge "$bin/generate" merge -q --output "$work/merged.ome.zarr" --digest "$work/merged.digest" "${parts[@]}"
seconds delete rm -r "${parts[@]}"

"$bin/prepare" phantom -q --positions 24 --output "$work/real.ome.zarr" >/dev/null
benchmark() { "$bin/segment-benchmark" "$@" -q >/dev/null; }
# The numbers do not matter here, only that they are equal.
run=(run --allow-leakage --real "$work/real.ome.zarr" --synthetic "$work/whole.ome.zarr" --synthetic-sequences 64 --steps "$steps" --threads 1)
seconds cells-whole benchmark "${run[@]}" --output "$work/one"
cells=()
for i in $(seq "$shards"); do
  seconds "cell-$i" benchmark "${run[@]}" --shard "$i/$shards" --output "$work/cell-$i"
  cells+=("$work/cell-$i")
done
seconds gather benchmark gather --output "$work/gathered" "${cells[@]}"

python3 - "$work" "$count" "$shards" <<'PYTHON'
import filecmp, json, os, sys
work, count, shards = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = lambda name: float(open(f"{work}/{name}.s").read())
digest = lambda name: json.load(open(f"{work}/{name}.digest"))["sha256"]
plate = f"{work}/whole.ome.zarr"
files = folders = size = 0
for base, inner, names in os.walk(plate):
    folders += len(inner)
    files += len(names)
    size += sum(os.stat(os.path.join(base, n)).st_blocks * 512 for n in names)
part = sum(s(f"part-{i}") for i in range(1, shards + 1))
start = (part - s("whole")) / (shards - 1)  # what one more job costs: start-up, thresholds, its contact sheet
cost = (s("whole") - start) / count
result = dict(
    sequences=count, whole_s=s("whole"), parts_s=part, merge_s=s("merge"), delete_parts_s=s("delete"),
    s_per_sequence=cost, s_per_job=start, files_per_sequence=files / count, folders_per_sequence=folders / count,
    kib_on_disk_per_sequence=size / count / 1024, same_bytes=digest("whole") == digest("merged"),
    benchmark_whole_s=s("cells-whole"), benchmark_parts_s=sum(s(f"cell-{i}") for i in range(1, shards + 1)),
    gather_s=s("gather"), same_scores=filecmp.cmp(f"{work}/one/scores.json", f"{work}/gathered/scores.json", False))
json.dump(result, open("tests/benches/results/scale.json", "w"), indent=2)
print(json.dumps(result, indent=2))
print("| sequences | jobs of ten minutes | files | folders | on disk | core hours | merge |")
print("|---|---|---|---|---|---|---|")
for n in (10**4, 10**6):
    hours = n * cost / 3600
    jobs = max(1, round(hours * 6))
    print(f"| {n:,} | {jobs} | {n * files / count:,.0f} | {n * folders / count:,.0f} | {n * size / count / 2**30:.1f} GiB "
          f"| {hours + jobs * start / 3600:.2f} | {n * s('merge') / count / 60:.1f} min |")
assert result["same_bytes"] and result["same_scores"], "parts differ from the whole"
PYTHON
