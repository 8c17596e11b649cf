"""Prints what a demo folder holds as a short table: demo_summary.py DEMO_FOLDER."""

import json
import sys
from pathlib import Path


def read(path):
    return json.loads(path.read_text()) if path.is_file() else None


def metrics(folder):
    """Returns {channel: sliced Wasserstein record} of an evaluation, the joint channel set left out."""
    report = read(folder / "metrics.json")
    if report is None:
        return {}
    return {
        channel["name"]: next(m for m in channel["metrics"] if m["key"] == "swd_x1e3")
        for channel in report["channels"]
        if any(m["key"] == "swd_x1e3" for m in channel["metrics"]) and channel["name"] != "all channels"
    }


def row(*cells):
    print("  " + "".join(str(c).ljust(w) for c, w in zip(cells, (26, 12, 12, 12, 12, 12, 12))).rstrip())


def realism(out, title, evaluation, kimg):
    print(f"\nRealism, {title}: sliced Wasserstein distance x 1000, lower is better")
    row("channel", "kimg", "untrained", "trained", "floor", "mean image", "excess left")
    for name, m in metrics(out / evaluation).items():
        row(
            name,
            f"{kimg:.0f}",
            f"{m['untrained']:.0f}",
            f"{m['value']:.0f}",
            f"{m['floor']:.0f}",
            f"{m['baseline']:.0f}",
            f"{m['relative_excess']:.2f}",
        )


def segmentation(out, title, benchmark):
    scores = read(out / benchmark / "scores.json")
    if scores is None:
        return
    print(f"\nSegmentation of held-out real sequences, {title}: AP averaged over IoU 0.50-0.95")
    row("trained on", "mean AP", "AP at 0.50", "95 % interval of mean AP")
    for arm, record in scores["arms"].items():
        ap, ap50 = (record["estimates"][key] for key in ("mean_ap", "ap50"))
        interval = ap["interval"]
        shown = "none: too few groups" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
        row(arm, f"{ap['value']:.3f}", f"{ap50['value']:.3f}", shown)
    for line in scores["verdict"]["text"]:
        print(f"  {line}")


def main(out):
    real = read(out / "real.ome.zarr" / "run.json")
    run = read(out / "run" / "run.json")
    print(f"\nData     {out / 'real.ome.zarr'}: {run['result']['train_sequences']} training sequences")
    if real and real["result"].get("single_movie"):
        print("         one movie: nothing here is evidence for a new one")
    kimg, seconds = run["result"]["kimg"], sum_of_seconds(out / "run" / "stats.jsonl")
    print(f"Training {kimg:.1f} kimg in {seconds:.0f} s on {run['threads']} CPU threads ({seconds / kimg:.1f} s/kimg)")
    realism(out, "trained in this demo", "evaluation", kimg)
    print(
        "  'excess left' is (trained - floor) / (untrained - floor). Minutes on a CPU buy the main shapes, brightness and\n"
        "  grain; longer training buys detail and variety. 'mean image' is the training mean with noise of the right size."
    )
    segmentation(out, "trained in this demo", "benchmark")
    if (out / "shipped-evaluation").is_dir():
        shipped = read(out / "shipped.ome.zarr" / "run.json")
        realism(out, "checkpoint in test-data", "shipped-evaluation", shipped["result"]["kimg"])
        segmentation(out, "checkpoint in test-data", "shipped-benchmark")
    print("\nLook at")
    for name in (
        "synthetic.ome.zarr/contact_sheet.png",
        "evaluation/report.html",
        "benchmark/report.html",
        "shipped.ome.zarr/contact_sheet.png",
        "shipped-evaluation/report.html",
        "shipped-benchmark/report.html",
    ):
        if (out / name).is_file():
            print(f"  {out / name}")


def sum_of_seconds(stats):
    """Returns the time in the loop, over all parts of an interrupted run."""
    last = total = 0.0
    for line in stats.read_text().splitlines():
        tick = json.loads(line)
        total += tick["s_per_kimg"] * (tick["kimg"] - last)
        last = tick["kimg"]
    return total


if __name__ == "__main__":
    main(Path(sys.argv[1]))
