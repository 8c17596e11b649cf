"""Speed and memory of training and generation on this machine: prints a table, writes tests/benches/results/NAME.json.

  DEVICE=cpu|cuda  PRECISION=float32|bfloat16  THREADS=N  COUNT=256  NAME=cpu
  CASES="tiny:32:0.4 small:64:0.4"        preset, size in px, kimg
  WAYS="auto/on off/on auto/off"          CUDA graphs / fused kernels of a GPU, as far as there is one
  OUT=tests/benches/results  BIN=target/release

Ratios within one run can be trusted; absolute times depend on what else the machine does.
"""

import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path

os.chdir(Path(__file__).parents[2])
DEFAULTS = {
    "DEVICE": "cpu",
    "PRECISION": "float32",
    "THREADS": "1",
    "CASES": "tiny:32:0.4 small:32:0.4 tiny:64:0.4 small:64:0.4",
    "WAYS": "auto/on",
    "COUNT": "256",
    "OUT": "tests/benches/results",
    "BIN": "target/release",
}
E = DEFAULTS | os.environ


def run(program, *arguments, fused="on"):
    """Returns the JSON result of a program and its wall time in seconds."""
    start = time.perf_counter()
    command = [f"{E['BIN']}/{program}", *map(str, arguments), "-q"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=os.environ | {"LAPSEGAN_FUSED": fused})
    return json.loads(done.stdout), time.perf_counter() - start


def device_name():
    if E["DEVICE"] != "cpu":
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def bench(work, preset, size, kimg, graphs, fused):
    name = f"{preset}-{size}-{graphs}-{fused}"
    common = ["--device", E["DEVICE"], "--threads", E["THREADS"]]
    slow = ["--allow-slow-bfloat16"] if E["PRECISION"] == "bfloat16" else []
    settings = [f"training.tick_kimg={kimg / 4}", f"model.precision={E['PRECISION']}", f"training.graphs={graphs}"]
    settings = [word for setting in settings for word in ("--set", setting)]
    data = ["--data", work / f"{size}.ome.zarr", "--output", work / name, "--preset", preset, "--kimg", kimg]
    run("train", *data, *slow, *settings, *common, fused=fused)
    ticks = [json.loads(line) for line in (work / name / "stats.jsonl").read_text().splitlines()]
    record = json.loads((work / name / "run.json").read_text())
    few, many = int(E["COUNT"]) // 4, int(E["COUNT"])
    generate = ["--checkpoint", work / name, "--label-route", "none", "--precision", E["PRECISION"]]
    generate += [*slow, "--set", f"graphs={graphs}", *common]
    # The difference of two counts leaves out start and loading.
    _, short = run("generate", *generate, "--output", work / f"a-{name}.ome.zarr", "--count", few, fused=fused)
    _, long = run("generate", *generate, "--output", work / f"b-{name}.ome.zarr", "--count", many, fused=fused)
    return {
        "preset": preset,
        "size_px": size,
        "graphs": graphs,
        "fused": fused,
        "batch": record["config"]["training"]["batch"],
        # The first ticks warm up; graphs of lazy terms are recorded at their third step.
        "train_s_per_kimg": min(t["s_per_kimg"] for t in ticks[1:]),
        "generate_sequences_per_s": (many - few) / max(long - short, 1e-9),
        "peak_memory_mib": record["peak_memory_mib"],
        "gpu_memory_mib": record.get("gpu_memory_mib"),
    }


def measure(work):
    """Returns the results for every case in every way, from phantoms below the folder `work`."""
    results = []
    cases = [case.split(":") for case in E["CASES"].split()]
    for size in sorted({int(size) for _, size, _ in cases}):
        few = ["--positions", 12, "--frames-per-position", 12, "--stride", 1]
        run("prepare", "phantom", *few, "--size", size, "--output", work / f"{size}.ome.zarr")
    for preset, size, kimg in cases:
        for way in E["WAYS"].split():
            results.append(bench(work, preset, int(size), float(kimg), *way.split("/")))
    return results


def main():
    with tempfile.TemporaryDirectory() as work:
        results = measure(Path(work))
    print(f"{device_name()}, {E['DEVICE']}, {E['THREADS']} thread(s), {E['PRECISION']}\n")
    print(
        f"{'preset':9}{'px':>4}{'graphs':>8}{'fused':>7}{'batch':>7}{'train s/kimg':>14}{'generate seq/s':>16}"
        f"{'peak MiB':>10}{'GPU MiB':>9}{'s/kimg, first = 1':>20}"
    )
    for r in results:
        ratio = r["train_s_per_kimg"] / results[0]["train_s_per_kimg"]
        print(
            f"{r['preset']:9}{r['size_px']:4}{r['graphs']:>8}{r['fused']:>7}{r['batch']:7}{r['train_s_per_kimg']:14.2f}"
            f"{r['generate_sequences_per_s']:16.1f}{r['peak_memory_mib']:10}{r['gpu_memory_mib'] or '-':>9}{ratio:20.2f}"
        )
    report = {"device": device_name(), "threads": int(E["THREADS"]), "precision": E["PRECISION"], "results": results}
    path = Path(E["OUT"]) / f"{E.get('NAME', E['DEVICE'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
