"""Writes FOLDER/nextflow-thin.jar: nothing but a manifest that names the jars in FOLDER/lib, for Nextflow's launcher."""

import os
import sys
import zipfile

folder = sys.argv[1]
jars = " ".join(f"lib/{name}" for name in sorted(os.listdir(f"{folder}/lib")))
text = ""
for line in ("Manifest-Version: 1.0", "Main-Class: nextflow.cli.Launcher", f"Class-Path: {jars}"):
    text += line[:72] + "\r\n"  # a longer line goes on after a space
    rest = line[72:]
    while rest:
        text += " " + rest[:71] + "\r\n"
        rest = rest[71:]
with zipfile.ZipFile(f"{folder}/nextflow-thin.jar", "w") as jar:
    jar.writestr("META-INF/MANIFEST.MF", text)
