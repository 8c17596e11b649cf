"""Does `auto` hold on recordings that it was not tuned on? Trains with nothing set but data, length and seed, on three
phantoms and four real recordings, and keeps for every run: excess SWD left, spread and variety beside real, time.

  recipe.py [SET...]   phantom sparse low gfp fluor yfp nuclei; default: all that are there
  recipe.py --table    prints the table of what has been measured
  DATA=FOLDER (of the real recordings; their sets are skipped, with a line, where it lacks them)  SEEDS="0 1 2"  KIMG=60
  ARGS="" (more of train's flags)  WAY=auto (their name in the results)  WORK=FOLDER (sets and runs, kept)  THREADS=1
  OUT=tests/benches/results  BIN=target/release

Runs that the results have are not repeated, so a call that was ended goes on, and two may work on different seeds. A
run of 60 kimg takes about 16 minutes of one core at 32 px. Needs numpy, tifffile and imagecodecs.
"""

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import tifffile

DEFAULTS = {"DATA": "", "SEEDS": "0 1 2", "KIMG": "60", "ARGS": "", "WAY": "auto", "WORK": "recipe-work", "THREADS": "1"}
E = DEFAULTS | {"OUT": "tests/benches/results", "BIN": "target/release"} | os.environ
WORK, DATA, RESULTS = Path(E["WORK"]), Path(E["DATA"] or "absent"), Path(E["OUT"]) / "recipe.json"
SIZE = ["--size", 32]


def run(program, *arguments):
    subprocess.run([f"{E['BIN']}/{program}", *map(str, arguments), "-q"], check=True, stdout=subprocess.DEVNULL)


def prepare(plate, channels, labels, *more):
    inputs = [flag for name, folder in channels.items() for flag in ("--channel", f"{name}={folder}")]
    inputs += [flag for name, folder in labels.items() for flag in ("--labels", f"{name}={folder}")]
    run("prepare", *inputs, *more, "--output", plate)


def phantom(plate):
    run("prepare", "phantom", "--output", plate)


def tiff_phantom():
    """Simulates 80 traps over 12 frames as TIFF, for sets that change its pixels."""
    folder = WORK / "phantom-tiff"
    if not folder.exists():
        size = ["--positions", 80, "--frames-per-position", 12, "--seed", 3]
        run("prepare", "phantom", *size, "--tiff", folder, "--output", WORK / "phantom-80.ome.zarr")
    return folder


def changed(plate, name, change):
    """A phantom whose images are `change(channel, image, cells, position, random)`."""
    source, folder = tiff_phantom(), WORK / f"{name}-tiff"
    random = np.random.default_rng(0)
    for channel in ("brightfield", "gfp"):
        for file in sorted((source / channel).rglob("*.tif*")):
            inside = file.relative_to(source / channel)
            cells = read((source / "cells" / inside).with_suffix(".png"))
            target = folder / channel / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            image = change(channel, tifffile.imread(file).astype(float), cells, inside.parts[0], random)
            tifffile.imwrite(target, np.clip(np.rint(image), 0, 65535).astype(np.uint16))
    images = {channel: folder / channel for channel in ("brightfield", "gfp")}
    prepare(plate, images, {"cells": source / "cells"}, "--structure", f"structure={source / 'structure'}")


def sparse(plate):
    """One cell in 20 has a fluorescent spot of 1 px sigma; of the rest only the background is seen."""

    def spots(channel, image, cells, position, random):
        if channel == "brightfield":
            return image
        found = np.full(cells.shape, float(np.median(image))) + random.normal(0, 3, cells.shape)
        rows, columns = np.indices(cells.shape)
        for cell in np.unique(cells[cells > 0]):
            # By name, so that a cell keeps its spot from frame to frame.
            if zlib.crc32(f"{position} {cell}".encode()) < 2**32 / 20:
                row, column = (axis[cells == cell].mean() for axis in (rows, columns))
                found += 2000 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2)
        return found

    changed(plate, "sparse", spots)


def low(plate):
    """A thirtieth of the contrast, under camera noise of 3 grey levels."""
    flat = lambda _, image, *rest: image.mean() + 0.03 * (image - image.mean()) + rest[-1].normal(0, 3, image.shape)
    changed(plate, "low", flat)


def movie(plate, name, channels, labels):
    folder = DATA / name
    prepare(plate, {c: folder / c for c in channels}, {label: folder / label for label in labels}, *SIZE)


def gfp(plate):
    movie(plate, "yeast-phase-gfp-movie", ["phase", "gfp"], ["cells"])


def fluor(plate):
    movie(plate, "yeast-phase-fluor-movie", ["phase", "cdc"], ["cells"])


def yfp(plate):
    """Three frames of one position are cut into 4 x 4 positions of 192 px, so that a part can be held out."""
    folder, cut = DATA / "yeast-brightfield-yfp", WORK / "yfp-tiff"
    for kind in ("bf", "yfp", "cells"):
        for file in sorted((folder / kind).iterdir()):
            image = read(file)
            for row, column in np.ndindex(4, 4):
                target = cut / kind / f"p{row}{column}" / f"{file.stem}.tif"
                target.parent.mkdir(parents=True, exist_ok=True)
                tifffile.imwrite(target, image[192 * row : 192 * (row + 1), 192 * column : 192 * (column + 1)])
    prepare(plate, {"bf": cut / "bf", "yfp": cut / "yfp"}, {"cells": cut / "cells"}, *SIZE)


def nuclei(plate):
    """Single images: T = 1, one channel, each a position of its own."""
    folder = WORK / "nuclei-png"
    for kind in ("images", "masks"):
        for file in sorted((DATA / "nuclei-dsb2018").glob(f"*/{kind}/*.png")):
            target = folder / kind / f"{file.parts[-3]}-{file.stem}" / "t000.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
    prepare(plate, {"nuclei": folder / "images"}, {"masks": folder / "masks"}, "--frames", 1, *SIZE)


def read(file):
    return tifffile.imread(file) if file.suffix.startswith(".tif") else png(file)


def png(file):
    import imagecodecs

    return imagecodecs.imread(file)


SETS = {"phantom": phantom, "sparse": sparse, "low": low, "gfp": gfp, "fluor": fluor, "yfp": yfp, "nuclei": nuclei}
FOLDERS = {"gfp": "yeast-phase-gfp-movie", "fluor": "yeast-phase-fluor-movie", "yfp": "yeast-brightfield-yfp"}
FOLDERS["nuclei"] = "nuclei-dsb2018"


def results():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else []


def keep(row):
    """Adds a row; other calls may add theirs meanwhile."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with open(RESULTS.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = sorted([*results(), row], key=lambda r: (r["set"], r["way"], r["kimg"], r["seed"]))
        new = RESULTS.with_suffix(".new")
        new.write_text("[\n" + ",\n".join(" " + json.dumps(r) for r in rows) + "\n]\n")
        new.rename(RESULTS)


def processor():
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].split(":")[1].strip() if names else "unknown"


def measure(name, seed):
    """Trains and evaluates one run, which goes on where it was ended."""
    plate, folder = WORK / f"{name}.ome.zarr", WORK / f"{name}-{E['WAY']}-{E['KIMG']}-{seed}"
    threads, run_folder = ["--threads", E["THREADS"]], folder / "run"
    folder.mkdir(parents=True, exist_ok=True)
    goal = ["--kimg", E["KIMG"], "--seed", seed, "--resume", *shlex.split(E["ARGS"])]
    run("train", "--data", plate, "--output", run_folder, *goal, *threads)
    checkpoints = sorted((run_folder / "checkpoints").glob("kimg_*.safetensors"))
    for plates, checkpoint in (("untrained", checkpoints[0]), ("synthetic", checkpoints[-1])):
        out = ["--output", folder / f"{plates}.ome.zarr", "--overwrite", "--label-route", "none"]
        run("generate", "--checkpoint", checkpoint, "--count", 512, "--seed", 1, *out, *threads)
    ends = ["--untrained", folder / "untrained.ome.zarr", "--output", folder / "evaluation", "--overwrite"]
    run("evaluate", "--real", plate, "--synthetic", folder / "synthetic.ome.zarr", *ends, *threads)
    channels = json.loads((folder / "evaluation" / "metrics.json").read_text())["channels"]
    ticks = [json.loads(line) for line in (run_folder / "stats.jsonl").read_text().splitlines()]
    last, kimg = ticks[-1], [0] + [tick["kimg"] for tick in ticks]
    # Of the trainings alone, and of all calls where it was ended.
    hours = sum(tick["s_per_kimg"] * (tick["kimg"] - before) for tick, before in zip(ticks, kimg)) / 3600
    row = {"set": name, "way": E["WAY"], "seed": seed, "kimg": float(E["KIMG"]), "hours": round(hours, 2)}
    textures = {c["name"]: [m for m in c["metrics"] if m["key"] == "swd_x1e3"] for c in channels}
    found = {name: metrics[0].get("relative_excess") for name, metrics in textures.items() if metrics}
    row["excess"] = {channel: value and round(value, 3) for channel, value in found.items()}
    for statistic in ("spread", "variety"):
        row[statistic] = {k.split(" ", 1)[1]: round(v, 3) for k, v in last.items() if k.startswith(f"{statistic} ")}
    keep(row | {"device": f"{processor()}, {E['THREADS']} thread"})


def table():
    groups = {}
    for row in results():
        for channel, excess in row["excess"].items():
            key = (row["set"], row["way"], row["kimg"], channel)
            numbers = (excess, row["spread"].get(channel), row["variety"].get(channel), row["hours"])
            groups.setdefault(key, []).append(numbers)
    print("| data | way | kimg | channel | seeds | excess left | spread | variety | hours |\n|---|---|---|---|---|---|---|---|---|")
    for (name, way, kimg, channel), rows in groups.items():
        columns = [[n for n in column if n is not None] for column in zip(*rows)]
        texts = [f"{np.median(c):.2f} ({min(c):.2f} to {max(c):.2f})" if c else "" for c in columns[:3]]
        print(f"| {name} | {way} | {kimg:g} | {channel} | {len(rows)} | {' | '.join(texts)} | {np.mean(columns[3]):.2f} |")


def main():
    if "--table" in sys.argv:
        return table()
    WORK.mkdir(parents=True, exist_ok=True)
    unknown = [name for name in sys.argv[1:] if name not in SETS]
    if unknown:
        sys.exit(f"{', '.join(unknown)}: expected some of {', '.join(SETS)}")
    for name in sys.argv[1:] or SETS:
        if name in FOLDERS and not (DATA / FOLDERS[name]).is_dir():
            print(f"{name}: skipped, no {FOLDERS[name]} in DATA={E['DATA']!r}")
            continue
        with open(WORK / "sets.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (WORK / f"{name}.ome.zarr").exists():
                SETS[name](WORK / f"{name}.ome.zarr")
        for seed in map(int, E["SEEDS"].split()):
            key = (name, E["WAY"], seed, float(E["KIMG"]))
            if key not in {(r["set"], r["way"], r["seed"], r["kimg"]) for r in results()}:
                measure(name, seed)
                print(*key, flush=True)


if __name__ == "__main__":
    main()
