"""Speed and memory of training and generation on this machine: prints a table, writes tests/benches/results/NAME.json.

  DEVICE=cpu|cuda  PRECISION=float32|bfloat16  THREADS=N  SIZES="32 64"  KIMG=0.4  COUNT=256  NAME=cpu
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
    "SIZES": "32 64",
    "KIMG": "0.4",
    "COUNT": "256",
    "OUT": "tests/benches/results",
    "BIN": "target/release",
}
E = DEFAULTS | os.environ


def run(program, *arguments):
    """Returns the JSON result of a program and its wall time in seconds."""
    start = time.perf_counter()
    done = subprocess.run([f"{E['BIN']}/{program}", *map(str, arguments), "-q"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout), time.perf_counter() - start


def device_name():
    if E["DEVICE"] != "cpu":
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def bench(work, size, preset):
    data, folder = work / f"{size}.ome.zarr", work / f"{preset}-{size}"
    common = ["--device", E["DEVICE"], "--threads", E["THREADS"]]
    slow = ["--allow-slow-bfloat16"] if E["PRECISION"] == "bfloat16" else []
    tick = [*slow, "--set", f"training.tick_kimg={float(E['KIMG']) / 4}", "--set", f"model.precision={E['PRECISION']}"]
    run("train", "--data", data, "--output", folder, "--preset", preset, "--kimg", E["KIMG"], *tick, *common)
    ticks = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    few, many = int(E["COUNT"]) // 4, int(E["COUNT"])
    generate = [*slow, "--checkpoint", folder, "--label-route", "none", "--precision", E["PRECISION"], *common]
    # The difference of two counts leaves out start and loading.
    _, short = run("generate", *generate, "--output", work / f"a{preset}{size}.ome.zarr", "--count", few)
    _, long = run("generate", *generate, "--output", work / f"b{preset}{size}.ome.zarr", "--count", many)
    return {
        "preset": preset,
        "size_px": size,
        "batch": record["config"]["training"]["batch"],
        # The first tick warms up.
        "train_s_per_kimg": min(t["s_per_kimg"] for t in ticks[1:]),
        "generate_sequences_per_s": (many - few) / max(long - short, 1e-9),
        "peak_memory_mib": record["peak_memory_mib"],
    }


def measure(work):
    """Returns the results for every size and preset, from phantoms below the folder `work`."""
    results = []
    for size in E["SIZES"].split():
        few = ["--positions", 12, "--frames-per-position", 12, "--stride", 1]
        run("prepare", "phantom", *few, "--size", size, "--output", work / f"{size}.ome.zarr")
        results += [bench(work, int(size), preset) for preset in ("tiny", "small")]
    return results


def main():
    with tempfile.TemporaryDirectory() as work:
        results = measure(Path(work))
    print(f"{device_name()}, {E['DEVICE']}, {E['THREADS']} thread(s), {E['PRECISION']}\n")
    print(f"{'preset':8}{'px':>5}{'batch':>7}{'train s/kimg':>14}{'generate seq/s':>16}{'peak MiB':>10}{'s/kimg, first = 1':>20}")
    for r in results:
        ratio = r["train_s_per_kimg"] / results[0]["train_s_per_kimg"]
        print(
            f"{r['preset']:8}{r['size_px']:5}{r['batch']:7}{r['train_s_per_kimg']:14.2f}"
            f"{r['generate_sequences_per_s']:16.1f}{r['peak_memory_mib']:10}{ratio:20.2f}"
        )
    report = {"device": device_name(), "threads": int(E["THREADS"]), "precision": E["PRECISION"], "results": results}
    path = Path(E["OUT"]) / f"{E.get('NAME', E['DEVICE'])}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
