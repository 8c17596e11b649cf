"""Opens every image of a plate with ome-zarr-py and checks axes, channels, labels and pixels."""

import json
import pathlib
import sys

from ome_zarr.io import parse_url
from ome_zarr.reader import Label, Reader

plate = pathlib.Path(sys.argv[1])
attributes = json.loads((plate / "zarr.json").read_text())["attributes"]
meta = attributes["lapsegan"]
wells = attributes["ome"]["plate"]["wells"]
shape = (meta["frames"], len(meta["channels"]), meta["height"], meta["width"])
for well in wells:
    image = plate / well["path"] / "0"
    nodes = list(Reader(parse_url(str(image)))())
    pixels = nodes[0].data[0]
    assert pixels.shape == shape, (image, pixels.shape, shape)
    assert str(pixels.dtype) == "uint16", pixels.dtype
    assert pixels.max().compute() > 0, image
    axes = [axis["name"] for axis in nodes[0].metadata["axes"]]
    assert axes == ["t", "c", "y", "x"], axes
    names = nodes[0].metadata.get("channel_names") or nodes[0].metadata.get("name")
    assert names == [channel["name"] for channel in meta["channels"]], names
    for label in meta["labels"]:
        found = list(Reader(parse_url(str(image / "labels" / label["name"])))())
        ids = next(node.data[0] for node in found if node.load(Label))
        assert ids.shape == (shape[0], 1, *shape[2:]), (label["name"], ids.shape)
        ids.compute()
print(f"ome-zarr-py opened {len(wells)} sequences with {len(meta['labels'])} label images each")
