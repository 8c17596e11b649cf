"""Exports loaded and trained on by the tools they are made for, from scratch and without a network: Cellpose 3, StarDist.

    python segmenters.py PREPARE

A few epochs only: that a tool takes the folder, sees every object and learns from it is what is shown.
"""

import contextlib
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np
import tifffile
import zarr

PREPARE = sys.argv[1]
SCRATCH = tempfile.TemporaryDirectory(prefix="lapsegan-segmenters-")
ROOT = pathlib.Path(SCRATCH.name)
PLATE = ROOT / "plate.ome.zarr"


def no_network(*_, **__):
    raise OSError("the network is off")


socket.socket.connect = no_network


def prepare(*arguments):
    run = subprocess.run([PREPARE, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, (arguments, run.stderr)
    return json.loads(run.stdout)


def export(name):
    folder = ROOT / name
    made = prepare("export", PLATE, "--format", name, "--channel", "brightfield", "--output", folder)
    return folder, made["frames"]


def objects():
    """The number of objects in all frames of the plate."""
    root = zarr.open_group(PLATE, mode="r")
    wells = [well["path"] for well in root.attrs["ome"]["plate"]["wells"]]
    return sum(count(frame) for well in wells for frame in root[f"{well}/0/labels/cells/0"][:].reshape(-1, 64, 64))


def count(ids):
    return len(np.setdiff1d(np.unique(ids), [0]))


def cellpose():
    from cellpose import io as files
    from cellpose import models, train

    folder, frames = export("cellpose")
    images, masks, _, test_images, test_masks, _ = files.load_train_test_data(
        str(folder / "train"), str(folder / "test"), mask_filter="_masks"
    )
    seen = sum(map(count, [*masks, *test_masks]))
    assert len(images) + len(test_images) == frames, (len(images), len(test_images), frames)
    assert seen == objects(), (seen, objects())
    model = models.CellposeModel(gpu=False, pretrained_model=None)
    _, losses, _ = train.train_seg(
        model.net, images, masks, channels=[0, 0], n_epochs=6, batch_size=8, min_train_masks=1, save_path=ROOT
    )
    assert losses[-1] < losses[0], losses
    print(f"  Cellpose 3 loaded {frames} frames with {seen} objects; loss {losses[0]:.2f} to {losses[-1]:.2f}")


def stardist():
    from csbdeep.utils import normalize
    from stardist.models import Config2D, StarDist2D

    folder, frames = export("stardist")
    def stack(split, part):
        return [tifffile.imread(path) for path in sorted((folder / split / part).glob("*.tif"))]

    images, masks = stack("train", "images"), stack("train", "masks")
    test_images, test_masks = stack("test", "images"), stack("test", "masks")
    seen = sum(map(count, [*masks, *test_masks]))
    assert len(images) + len(test_images) == frames and seen == objects(), (len(images), frames, seen, objects())
    config = Config2D(n_rays=16, grid=(2, 2), n_channel_in=1, train_patch_size=(64, 64), train_batch_size=4)
    config.train_epochs, config.train_steps_per_epoch, config.train_tensorboard = 3, 10, False
    model = StarDist2D(config, name="model", basedir=str(ROOT))
    with contextlib.redirect_stdout(io.StringIO()):
        losses = model.train(
            [normalize(image, 1, 99.8) for image in images], masks,
            validation_data=([normalize(image, 1, 99.8) for image in test_images], test_masks),
        ).history["loss"]
    assert losses[-1] < losses[0], losses
    print(f"  StarDist loaded {frames} frames with {seen} objects; loss {losses[0]:.2f} to {losses[-1]:.2f}")


prepare("phantom", "--positions", 8, "--frames-per-position", 6, "--size", 64, "--output", PLATE)
cellpose()
stardist()
