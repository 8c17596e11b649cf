"""Runs the programs and tabulates their times; called by bench.sh, which sets the environment."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path

E = os.environ
WORK, BIN = Path(E["WORK"]), E["BIN"]


def run(program, *arguments):
    """Returns the JSON result of a program and its wall time in seconds."""
    start = time.perf_counter()
    done = subprocess.run([f"{BIN}/{program}", *map(str, arguments), "-q"], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout), time.perf_counter() - start


def device_name():
    if E["DEVICE"] != "cpu":
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def bench(size, preset):
    data, folder = WORK / f"{size}.ome.zarr", WORK / f"{preset}-{size}"
    common = ["--device", E["DEVICE"], "--threads", E["THREADS"]]
    tick = ["--set", f"training.tick_kimg={float(E['KIMG']) / 4}", "--set", f"model.precision={E['PRECISION']}"]
    run("train", "--data", data, "--output", folder, "--preset", preset, "--kimg", E["KIMG"], *tick, *common)
    ticks = [json.loads(line) for line in (folder / "stats.jsonl").read_text().splitlines()]
    record = json.loads((folder / "run.json").read_text())
    few, many = int(E["COUNT"]) // 4, int(E["COUNT"])
    generate = ["--checkpoint", folder, "--label-route", "none", "--precision", E["PRECISION"], *common]
    # The difference of two counts leaves out start and loading.
    _, short = run("generate", *generate, "--output", WORK / f"a{preset}{size}.ome.zarr", "--count", few)
    _, long = run("generate", *generate, "--output", WORK / f"b{preset}{size}.ome.zarr", "--count", many)
    return {
        "preset": preset,
        "size_px": size,
        "batch": record["config"]["training"]["batch"],
        # The first tick warms up.
        "train_s_per_kimg": min(t["s_per_kimg"] for t in ticks[1:]),
        "generate_sequences_per_s": (many - few) / max(long - short, 1e-9),
        "peak_memory_mib": record["peak_memory_mib"],
    }


def main():
    results = [bench(int(size), preset) for size in E["SIZES"].split() for preset in ("tiny", "small")]
    print(f"{device_name()}, {E['DEVICE']}, {E['THREADS']} thread(s), {E['PRECISION']}\n")
    print(f"{'preset':8}{'px':>5}{'batch':>7}{'train s/kimg':>14}{'generate seq/s':>16}{'peak MiB':>10}{'s/kimg, first = 1':>20}")
    for r in results:
        ratio = r["train_s_per_kimg"] / results[0]["train_s_per_kimg"]
        print(
            f"{r['preset']:8}{r['size_px']:5}{r['batch']:7}{r['train_s_per_kimg']:14.2f}"
            f"{r['generate_sequences_per_s']:16.1f}{r['peak_memory_mib']:10}{ratio:20.2f}"
        )
    report = {"device": device_name(), "threads": int(E["THREADS"]), "precision": E["PRECISION"], "results": results}
    path = Path(E["OUT"]) / f"{E['NAME']}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
