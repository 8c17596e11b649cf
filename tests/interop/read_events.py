"""Reads the event file of a run folder with TensorBoard's own reader and compares it with stats.jsonl.

    python read_events.py RUN
"""

import json
import pathlib
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
ticks = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
steps = [round(1000 * tick["kimg"]) for tick in ticks]

events = EventAccumulator(str(run), size_guidance={"scalars": 0, "images": 0})
events.Reload()


def tag(name):
    for group in ("loss", "gradient_norm"):
        if name.startswith(group + "_"):
            return f"{group}/{name[len(group) + 1:]}"
    return "time/seconds_per_kimg" if name == "s_per_kimg" else f"training/{name}"


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


names = {name for tick in ticks for name in tick if name != "kimg"}
assert set(events.Tags()["scalars"]) == {tag(name) for name in names}, events.Tags()
for name in names:
    expected = [(step, single(tick[name])) for step, tick in zip(steps, ticks) if name in tick]
    found = [(event.step, event.value) for event in events.Scalars(tag(name))]
    assert found == expected, f"{tag(name)}: {found} != {expected}"

images = events.Images("samples")
assert [image.step for image in images] == steps, [image.step for image in images]
for step, image in zip(steps, images):
    png = (run / "samples" / f"kimg_{step / 1000:010.3f}.png").read_bytes()
    assert image.encoded_image_string == png, f"the image of step {step} is another one"
    assert (image.width, image.height) == struct.unpack(">II", png[16:24])
print(f"{run.name}: {len(steps)} ticks, {len(names)} scalars and an image each, as in stats.jsonl")
