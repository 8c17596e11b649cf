#!/usr/bin/env python3
"""Lists the Rust crates that are linked into the programs, with their licences and the texts of them.

cargo metadata --locked --format-version 1 | list-crates.py >rust-crates.txt

Crates of tests, of build scripts and of procedural macros run where the programs are built and are left out.
"""
import json
import pathlib
import re
import sys

TEXT = re.compile(r"(licen[cs]e|notice|copying|copyright)([-._].*)?$", re.IGNORECASE)
CODE = {".rs", ".c", ".h", ".py", ".html"}


def linked(metadata):
    """Returns the packages that the programs of the workspace are linked with, by name and version."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    members = set(metadata["workspace_members"])
    seen, waiting = set(members), list(members)
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            name = dependency["pkg"]
            kinds = [kind for target in packages[name]["targets"] for kind in target["kind"]]
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and "proc-macro" not in kinds and name not in seen:
                seen.add(name)
                waiting.append(name)
    return sorted((packages[name] for name in seen - members), key=lambda p: (p["name"], p["version"]))


def texts(package):
    """Returns the licence files of a package, those of the C code inside of it too."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = [path for path in folder.rglob("*") if TEXT.fullmatch(path.name) and path.suffix not in CODE]
    return [path.relative_to(folder) for path in sorted(found) if path.is_file()]


def main():
    packages = linked(json.load(sys.stdin))
    if not packages:
        sys.exit("error: no crates in the metadata; expected the output of cargo metadata on stdin")
    print("Rust crates linked into the programs, with their licences as their authors declare them.")
    print("The texts that the crates ship follow below; where two crates ship the same text, it stands once.\n")
    users = {}
    for package in packages:
        crate = f"{package['name']} {package['version']}"
        found = texts(package)
        folder = pathlib.Path(package["manifest_path"]).parent
        for name in found:
            text = folder.joinpath(name).read_text(encoding="utf-8", errors="replace").strip()
            users.setdefault(text, []).append(f"{crate}: {name}")
        licence = package["license"] or "see its text below"
        note = "" if found else "  (ships no text)"
        print(f"{crate:36} {licence}{note}  {package['repository'] or ''}".rstrip())
    for text, names in users.items():
        print("\n" + "=" * 80, *names, "=" * 80, "", text, sep="\n")


main()
