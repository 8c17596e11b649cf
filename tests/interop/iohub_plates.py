"""Our plates opened with iohub, and plates that iohub writes, read by prepare: equal sums, names and sizes.

    python iohub_plates.py PREPARE
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import zarr
from iohub import open_ome_zarr

PREPARE = sys.argv[1]
SCRATCH = tempfile.TemporaryDirectory(prefix="lapsegan-iohub-")
ROOT = pathlib.Path(SCRATCH.name)


def prepare(*arguments):
    run = subprocess.run([PREPARE, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, (arguments, run.stderr)
    return json.loads(run.stdout)


def frames(plate):
    root = zarr.open_group(plate, mode="r")
    return sorted(root[well["path"] + "/0/0"][:].tobytes() for well in root.attrs["ome"]["plate"]["wells"])


def ours():
    plate = ROOT / "ours.ome.zarr"
    made = prepare("phantom", "--positions", 3, "--frames-per-position", 6, "--output", plate)
    root = zarr.open_group(plate, mode="r")
    opened = 0
    with open_ome_zarr(plate, mode="r") as data:
        assert data.channel_names == ["brightfield", "gfp"], data.channel_names
        for name, position in data.positions():
            assert np.allclose(position.scale, [made["frame_interval_s"], 1, made["pixel_size_um"], made["pixel_size_um"]])
            assert position.data[:].sum() == root[f"{name}/0"][:].sum()
            opened += 1
    assert opened == made["sequences"], opened
    print(f"  iohub opened {opened} sequences")


def theirs(version):
    """Five axes, names of axes in capitals, several fields of view in a well."""
    path = ROOT / f"theirs-{version}.zarr"
    movie = np.random.default_rng(3).integers(200, 4000, (3, 6, 2, 1, 16, 16)).astype(np.uint16)
    with open_ome_zarr(path, layout="hcs", mode="w", channel_names=["BF", "GFP"], version=version) as data:
        for number, field in enumerate([("A", "1", "0"), ("A", "1", "1"), ("B", "2", "0")]):
            position = data.create_position(*field)
            position.create_image("0", movie[number], chunks=(1, 1, 1, 16, 16))
            position.set_scale("0", "y", 0.11)
            position.set_scale("0", "x", 0.11)
    plate = ROOT / f"read-{version}.ome.zarr"
    made = prepare(path, "--frames", 1, "--output", plate)
    assert [channel["name"] for channel in made["channels"]] == ["BF", "GFP"], made["channels"]
    assert abs(made["pixel_size_um"] - 0.11) < 1e-9, made["pixel_size_um"]
    wanted = sorted(movie[p, t, :, 0][None].tobytes() for p in range(3) for t in range(6))
    assert frames(plate) == wanted, f"iohub {version}: other pixels"
    print(f"  read  iohub {version}")


ours()
theirs("0.4")
theirs("0.5")
