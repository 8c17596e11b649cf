"""Recordings that other programs write, read by prepare; and plates that prepare exports, read by other programs.

    python formats.py PREPARE

Every recording is made of known arrays; sums of all planes must be equal in the plate. Every export is opened by the
library it is for and compared with the plate.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import tifffile
import zarr

PREPARE = sys.argv[1]
SCRATCH = tempfile.TemporaryDirectory(prefix="lapsegan-interop-")
ROOT = pathlib.Path(SCRATCH.name)
T, C, SIDE = 9, 2, 32
RNG = np.random.default_rng(7)
MOVIE = RNG.integers(200, 4000, (T, C, SIDE, SIDE)).astype(np.uint16)
IDS = np.zeros((T, SIDE, SIDE), np.uint16)
IDS[:, 4:12, 4:12] = 1
IDS[:, 20:28, 8:20] = 7


def prepare(*arguments):
    run = subprocess.run([PREPARE, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, (arguments, run.stderr)
    return json.loads(run.stdout)


def frames(plate, labels=()):
    """Returns all frames of a plate of single-frame sequences, sorted by their bytes."""
    root = zarr.open_group(plate, mode="r")
    found = []
    for well in root.attrs["ome"]["plate"]["wells"]:
        image = root[well["path"] + "/0"]
        found.append((image["0"][:][0].tobytes(), *(image[f"labels/{name}/0"][:][0, 0].tobytes() for name in labels)))
    return sorted(found)


def expect(name, *arguments, movie=MOVIE, um=None, seconds=None, labels=None):
    """Prepares an input and compares its frames with those it was made of."""
    plate = ROOT / f"{name}.plate.ome.zarr"
    made = prepare(*arguments, "--frames", 1, "--block", 1000, "--output", plate)
    names = list(labels or {})
    wanted = sorted(
        (movie[t].tobytes(), *(labels[n][t].astype(np.uint16).tobytes() for n in names)) for t in range(len(movie))
    )
    assert frames(plate, names) == wanted, f"{name}: other pixels"
    if um is not None:
        assert abs(made["pixel_size_um"] - um) < 1e-6 * um, (name, made["pixel_size_um"])
    if seconds is not None:
        assert abs(made["frame_interval_s"] - seconds) < 1e-6 * seconds, (name, made["frame_interval_s"])
    print(f"  read  {name}")


def tiffs():
    um = 0.11
    imagej = dict(imagej=True, resolution=(1 / um, 1 / um))
    meta = {"axes": "TCYX", "unit": "um", "finterval": 300.0}
    path = ROOT / "imagej.tif"
    tifffile.imwrite(path, MOVIE, metadata=meta, **imagej)
    expect("imagej", path, um=um, seconds=300)
    tifffile.imwrite(ROOT / "big.tif", MOVIE, byteorder=">", metadata=meta, **imagej)
    expect("imagej-big-endian", ROOT / "big.tif", um=um, seconds=300)
    # As old ImageJ writes it: the micro sign in Latin-1, which is no UTF-8.
    latin = (ROOT / "imagej.tif").read_bytes().replace(b"unit=um", b"unit=\xb5m")
    (ROOT / "latin.tif").write_bytes(latin)
    expect("imagej-latin-1", ROOT / "latin.tif", um=um, seconds=300)
    stack = np.stack([MOVIE, MOVIE + 1000, MOVIE + 17], 1)  # T Z C Y X
    tifffile.imwrite(ROOT / "z.tif", stack, imagej=True, metadata={"axes": "TZCYX"})
    expect("imagej-z-1", ROOT / "z.tif", "--z", 1, movie=MOVIE + 1000)
    expect("imagej-z-max", ROOT / "z.tif", "--z", "max", movie=MOVIE + 1000)
    size = {"PhysicalSizeX": um, "PhysicalSizeXUnit": "\u00b5m", "PhysicalSizeY": um, "PhysicalSizeYUnit": "\u00b5m"}
    ome = {"axes": "TCYX", "TimeIncrement": 5.0, "TimeIncrementUnit": "min", "Channel": {"Name": ["BF", "GFP"]}, **size}
    for name, options in {
        "plain": {},
        "deflate": {"compression": "zlib", "predictor": True},
        "lzw": {"compression": "lzw"},
        "zstd": {"compression": "zstd"},
        "tiles": {"tile": (16, 16)},
        "bigtiff": {"bigtiff": True},
    }.items():
        path = ROOT / f"ome-{name}.ome.tif"
        tifffile.imwrite(path, MOVIE, ome=True, metadata=ome, **options)
        expect(f"ome-tiff-{name}", path, um=um, seconds=300)
    by_channel = MOVIE.transpose(1, 0, 2, 3)
    tifffile.imwrite(ROOT / "ctyx.ome.tif", by_channel, ome=True, metadata={"axes": "CTYX"})
    expect("ome-tiff-ctyx", ROOT / "ctyx.ome.tif")
    pyramid = ROOT / "pyramid.ome.tif"
    with tifffile.TiffWriter(pyramid, ome=True) as writer:
        writer.write(MOVIE, subifds=1, metadata={"axes": "TCYX"})
        writer.write(MOVIE[:, :, ::2, ::2], subfiletype=1)
    expect("ome-tiff-pyramid", pyramid)
    with tifffile.TiffWriter(ROOT / "plain.tif") as writer:
        for frame in MOVIE[:, 0]:
            writer.write(frame, contiguous=False, metadata=None)
    expect("plain-pages", ROOT / "plain.tif", movie=MOVIE[:, :1])
    (ROOT / "packed").mkdir()
    for t in range(T):
        tifffile.imwrite(ROOT / f"packed/t{t}.tif", MOVIE[t, 0] & 4095, bitspersample=12, metadata=None)
    expect("packed-12-bit", ROOT / "packed", movie=MOVIE[:, :1] & 4095)
    tifffile.imwrite(ROOT / "int32.tif", MOVIE[:, 0].astype(np.int32) - 500, metadata=None, photometric="minisblack")
    low = (MOVIE[:, :1].astype(np.int32) - 500).min()
    expect("int32-stack", ROOT / "int32.tif", movie=(MOVIE[:, :1].astype(np.int32) - 500 - min(low, 0)).astype(np.uint16))


def zarrs():
    from ome_zarr.format import FormatV04, FormatV05
    from ome_zarr.writer import write_image, write_labels

    for version, form, zarr_format in [("0.4", FormatV04(), 2), ("0.5", FormatV05(), 3)]:
        path = ROOT / f"ome-zarr-py-{version}.ome.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
        axes = [
            {"name": "t", "type": "time", "unit": "minute"},
            {"name": "c", "type": "channel"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "micrometer"},
        ]
        names = [axis["name"] for axis in axes]
        write_image(MOVIE, group, axes=names, fmt=form)
        write_labels(IDS[:, None].astype(np.uint32), group, name="cells", axes=names, fmt=form)
        # Units and sizes are what the library leaves to its caller.
        holder = dict(group.attrs) if version == "0.4" else dict(group.attrs["ome"])
        multiscales = holder["multiscales"]
        multiscales[0]["axes"] = axes
        for dataset in multiscales[0]["datasets"]:
            step = dataset["coordinateTransformations"][0]
            step["scale"] = [a * b for a, b in zip(step["scale"], [5.0, 1.0, 0.11, 0.11])]
        if version == "0.4":
            group.attrs["multiscales"] = multiscales
        else:
            group.attrs["ome"] = {**holder, "multiscales": multiscales}
        expect(f"ome-zarr-py-{version}", path, um=0.11, seconds=300, labels={"cells": IDS})
    # As bioformats2raw lays it out: a collection with five axes, z of 1.
    path = ROOT / "bf2raw.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    five = MOVIE[:, :, None]
    write_image(five, root.create_group("0"), axes=list("tczyx"), fmt=FormatV04())
    expect("bioformats2raw-layout", path)


def exports():
    from pycocotools.coco import COCO
    from traccuracy.loaders import load_ctc_data

    plate = ROOT / "source.ome.zarr"
    prepare("phantom", "--positions", 4, "--frames-per-position", 9, "--output", plate)
    root = zarr.open_group(plate, mode="r")
    wells = [well["path"] for well in root.attrs["ome"]["plate"]["wells"]]
    images = [root[f"{well}/0/0"][:] for well in wells]
    cells = [root[f"{well}/0/labels/cells/0"][:][:, 0] for well in wells]
    scale = root[f"{wells[0]}/0"].attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]

    def export(form, *more):
        out = ROOT / f"export-{form}"
        prepare("export", plate, "--format", form, "--output", out, *more)
        print(f"  wrote {form}")
        return out

    out = export("tiff")
    for n, image in enumerate(images):
        frame = tifffile.imread(out / f"gfp/seq{n:04}/t002.tif")
        assert (frame == image[2, 1]).all()
    with tifffile.TiffFile(out / "gfp/seq0000/t000.tif") as file:
        assert file.is_imagej and file.imagej_metadata["unit"] == "um", file.imagej_metadata
    out = export("ome-tiff")
    for n, (image, ids) in enumerate(zip(images, cells)):
        with tifffile.TiffFile(out / f"images/seq{n:04}.ome.tif") as file:
            series = file.series[0]
            assert series.axes == "TCYX" and (series.asarray() == image).all()
            pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
            assert abs(pixels["PhysicalSizeX"] - scale[3]) < 1e-9 and pixels["TimeIncrement"] == scale[0]
            assert [c["Name"] for c in pixels["Channel"]] == ["brightfield", "gfp"]
        assert (tifffile.imread(out / f"cells/seq{n:04}.ome.tif") == ids).all()

    out = export("ome-zarr-0.4")
    again = zarr.open_group(out, mode="r")
    for n, well in enumerate(w["path"] for w in again.attrs["plate"]["wells"]):
        assert (again[f"{well}/0/0"][:] == images[n]).all() and (again[f"{well}/0/labels/cells/0"][:][:, 0] == cells[n]).all()
        attributes = dict(again[f"{well}/0"].attrs)
        assert attributes["multiscales"][0]["version"] == "0.4" and len(attributes["omero"]["channels"]) == 2
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(str(out / wells[0] / "0")))())
    assert (np.asarray(nodes[0].data[0]) == images[0]).all()

    out = export("ozx")
    with zarr.storage.ZipStore(out / "plate.ozx", mode="r") as store:
        again = zarr.open_group(store, mode="r")
        for n, well in enumerate(w["path"] for w in again.attrs["ome"]["plate"]["wells"]):
            assert (again[f"{well}/0/0"][:] == images[n]).all()
            assert (again[f"{well}/0/labels/cells/0"][:][:, 0] == cells[n]).all()
    with zipfile.ZipFile(out / "plate.ozx") as archive:
        entries = archive.infolist()
        assert entries[0].filename == "zarr.json" and all(e.compress_type == zipfile.ZIP_STORED for e in entries)
        is_json = [e.filename.endswith("zarr.json") for e in entries]
        assert is_json == sorted(is_json, reverse=True), "metadata come first"
        assert json.loads(archive.comment)["ome"]["zipFile"]["centralDirectory"]["jsonFirst"] is True

    out = export("ctc", "--channel", "gfp")
    for n in range(len(wells)):
        truth = out / f"{n + 1:02}_GT/TRA"
        graph = load_ctc_data(str(truth), str(truth / "man_track.txt"), run_checks=True)
        assert graph is not None
        frame = tifffile.imread(out / f"{n + 1:02}/t001.tif")
        assert (frame == images[n][1, 1]).all()

    out = export("coco", "--channel", "gfp")
    seen = 0
    for split in ["train", "val", "test"]:
        path = out / f"annotations/instances_{split}.json"
        if not path.exists():
            continue
        coco = COCO(str(path))
        for image in coco.dataset["images"]:
            number, t = int(image["file_name"][3:7]), int(image["file_name"][9:12])
            drawn = np.zeros(cells[0].shape[1:], np.uint16)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]])):
                mask = coco.annToMask(annotation).astype(bool)
                assert mask.sum() == annotation["area"]
                x, y, w, h = annotation["bbox"]
                rows, columns = np.where(mask)
                assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (y, x, y + h, x + w)
                drawn[mask] = annotation["track_id"]
            assert (drawn == cells[number][t]).all(), image
            seen += 1
    assert seen == sum(len(ids) for ids in cells)

    out = export("nnunet")
    dataset = json.loads((out / "Dataset001_LapseGAN/dataset.json").read_text())
    for mask in (out / "Dataset001_LapseGAN/labelsTr").iterdir():
        assert set(np.unique(tifffile.imread(mask))) <= {0, 1, 2}
        assert (out / f"Dataset001_LapseGAN/imagesTr/{mask.stem}_0000.tif").exists()
    assert dataset["channel_names"] == {"0": "brightfield", "1": "gfp"}
    for form in ["cellpose", "stardist"]:
        out = export(form, "--channel", "gfp")
        masks = list(out.glob("*/*_masks.tif")) or list(out.glob("*/masks/*.tif"))
        for mask in masks:
            number, t = int(mask.name[3:7]), int(mask.name[9:12])
            assert (tifffile.imread(mask) == cells[number][t]).all()
            image = mask.with_name(mask.name.replace("_masks", "")) if form == "cellpose" else mask.parent.parent / "images" / mask.name
            assert (tifffile.imread(image) == images[number][t, 1]).all()
        assert len(masks) == sum(len(ids) for ids in cells)


def plates():
    """Our own plate, opened by libraries that are for plates and for arrays."""
    import ngio
    import tensorstore

    plate = ROOT / "source.ome.zarr"
    root = zarr.open_group(plate, mode="r")
    wells = [well["path"] for well in root.attrs["ome"]["plate"]["wells"]]
    assert ngio.open_ome_zarr_plate(plate).wells_paths() == wells
    for well in wells:
        pixels = root[f"{well}/0/0"][:]
        container = ngio.open_ome_zarr_container(plate / well / "0")
        image = container.get_image()
        assert image.channel_labels == ["brightfield", "gfp"] and container.list_labels() == ["cells", "structure"]
        scale = root[f"{well}/0"].attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
        assert [image.pixel_size.t, image.pixel_size.y, image.pixel_size.x] == [scale[0], scale[2], scale[3]]
        assert (image.get_as_numpy() == pixels).all()
        assert (container.get_label("cells").get_as_numpy() == root[f"{well}/0/labels/cells/0"][:]).all()
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(plate / well / "0/0")}}
        array = tensorstore.open(spec, read=True).result()
        assert array.domain.labels == ("t", "c", "y", "x") and (array.read().result() == pixels).all()
    print(f"  ngio and tensorstore opened {len(wells)} sequences")


tiffs()
zarrs()
exports()
plates()
print("all inputs were read, and all exports opened, with equal pixels")
