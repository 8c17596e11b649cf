"""Tabulates the evaluations that learning.sh made: learning.py WORK_FOLDER JSON KIMG..."""

import json
import sys
from pathlib import Path

work, out, points = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
curve = []
for kimg in points:
    report = json.loads((work / f"evaluation-{kimg}" / "metrics.json").read_text())
    for channel in report["channels"]:
        swd = next(m for m in channel["metrics"] if m["key"] == "swd_x1e3")
        keys = ("value", "floor", "untrained", "baseline", "relative_excess")
        curve.append({"kimg": float(kimg), "channel": channel["name"], **{k: round(swd[k], 3) for k in keys}})
print(f"{'kimg':>6}  {'channel':14}{'SWD x 1000':>12}{'floor':>8}{'untrained':>11}{'mean image':>12}{'excess left':>13}")
for p in curve:
    print(
        f"{p['kimg']:6.1f}  {p['channel']:14}{p['value']:12.1f}{p['floor']:8.1f}{p['untrained']:11.1f}"
        f"{p['baseline']:12.1f}{p['relative_excess']:13.2f}"
    )
out.write_text(json.dumps(curve, indent=1) + "\n")
print(f"\n{out}")
