#!/usr/bin/env python3
"""Copies the licence texts of libtorch and of the libraries of NVIDIA beside it.

keep-licenses.py FROM TO: FROM is a folder of wheels, or a Python environment that they are installed in; each package
gets a folder NAME-VERSION of its own in TO.
"""
import csv
import io
import pathlib
import re
import sys
import zipfile

TEXT = re.compile(r"(licen[cs]e|notice|copying|eula)[^/]*$", re.IGNORECASE)


def packages(source):
    """Yields root and .dist-info folder of torch and of each package of NVIDIA."""
    wheels = sorted(source.glob("*.whl"))
    for root in [zipfile.Path(wheel) for wheel in wheels] or [source]:
        for info in sorted(root.iterdir(), key=lambda path: path.name):
            if re.match(r"(torch|nvidia_.*)-[^-]+\.dist-info$", info.name):
                yield root, info


def texts(root, info):
    """Returns the licence files of a package: those of its metadata, else those beside its libraries."""
    record = csv.reader(io.StringIO(info.joinpath("RECORD").read_text(encoding="utf-8")))
    names = [row[0] for row in record if row and TEXT.search(row[0])]
    of_metadata = [name for name in names if name.startswith(info.name + "/")]
    return [root.joinpath(name) for name in of_metadata or names]


def main(source, target):
    for root, info in packages(source):
        folder = target / info.name.removesuffix(".dist-info")
        found = texts(root, info)
        if not found:
            print(f"warning: {info.name} holds no licence text", file=sys.stderr)
        for text in found:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / text.name).write_bytes(text.read_bytes())


main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
