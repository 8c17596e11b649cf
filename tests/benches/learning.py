"""Does `tiny` learn the phantom? Trains, evaluates every checkpoint, and keeps the curve:
tests/benches/results/learning.json, sliced Wasserstein distance against kimg.

  KIMG=20  EVERY=5 (kimg between points)  THREADS=1  SEED=0  OUT=tests/benches/results  BIN=target/release

6 minutes of training and half a minute per point on one core. The phantom is one of a seed that no recipe was chosen on.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

os.chdir(Path(__file__).parents[2])
DEFAULTS = {"KIMG": "20", "EVERY": "5", "THREADS": "1", "SEED": "0", "OUT": "tests/benches/results", "BIN": "target/release"}
E = DEFAULTS | os.environ
KEYS = ("value", "floor", "untrained", "baseline", "relative_excess")


def run(program, *arguments):
    subprocess.run([f"{E['BIN']}/{program}", *map(str, arguments), "-q"], check=True, stdout=subprocess.DEVNULL)


def point(work, kimg):
    """Trains up to `kimg` and returns the distances of every channel."""
    real, plate, evaluation = work / "real.ome.zarr", work / f"{kimg}.ome.zarr", work / f"evaluation-{kimg}"
    threads = ["--threads", E["THREADS"]]
    # A run that goes on has the same bytes as one that was never stopped.
    goal = ["--preset", "tiny", "--kimg", kimg, "--seed", E["SEED"], "--resume"]
    run("train", "--data", real, "--output", work / "run", *goal, *threads)
    run("generate", "--checkpoint", work / "run", "--output", plate, "--count", 384, "--label-route", "none", *threads)
    ends = ["--untrained", work / "0.ome.zarr", "--output", evaluation]
    run("evaluate", "--real", real, "--synthetic", plate, *ends, *threads)
    channels = json.loads((evaluation / "metrics.json").read_text())["channels"]
    found = {c["name"]: m for c in channels for m in c["metrics"] if m["key"] == "swd_x1e3"}
    return [{"kimg": float(kimg), "channel": name, **{k: round(swd[k], 3) for k in KEYS}} for name, swd in found.items()]


def main():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run("prepare", "phantom", "--seed", 11, "--output", work / "real.ome.zarr")
        curve = [p for kimg in range(0, int(E["KIMG"]) + 1, int(E["EVERY"])) for p in point(work, kimg)]
    print(f"{'kimg':>6}  {'channel':14}{'SWD x 1000':>12}{'floor':>8}{'untrained':>11}{'mean image':>12}{'excess left':>13}")
    for p in curve:
        print(
            f"{p['kimg']:6.1f}  {p['channel']:14}{p['value']:12.1f}{p['floor']:8.1f}{p['untrained']:11.1f}"
            f"{p['baseline']:12.1f}{p['relative_excess']:13.2f}"
        )
    out = Path(E["OUT"]) / "learning.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(curve, indent=1) + "\n")
    print(f"\n{out}")


if __name__ == "__main__":
    main()
