# The samplesheet. Its rules are those of `prepare check`. Where the programs come from a container, each row is held
# against the schema by itself, and contradictions between rows are not seen.
import csv
import json
import shutil
import subprocess
from itertools import zip_longest
from pathlib import Path

from jsonschema import Draft202012Validator
from snakemake.exceptions import WorkflowError


def read_samples(sheet):
    """Returns the samples by id, as `prepare check` prints them, or stops with all that is wrong with the sheet."""
    base = Path(sheet).parent
    samples = {}
    if shutil.which("prepare"):
        command = ["prepare", "check", "--missing-ok", "--base", base, sheet]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise WorkflowError(done.stderr)
        return {each["sample"]: each for each in json.loads(done.stdout)["samples"]}
    for row in rows_by_schema(sheet):
        kind = row["kind"] if row["kind"] in ("plate", "phantom") else "recording"
        sample = samples.setdefault(row["sample"], {"kind": kind, "rows": []})
        for column in ("pixel_size", "frame_interval"):
            sample[column] = sample.get(column) or row.get(column)
        path, at, part = (row["path"] or "").rpartition("@")
        if not at or (base / row["path"]).exists():
            path, part = row["path"], None
        sample["rows"].append(row | {"resolved": path and base / path, "part": part})
    return samples


def rows_by_schema(sheet):
    schema = Path(workflow.source_path("../../../schema/samplesheet.json")).read_text()
    validator = Draft202012Validator(json.loads(schema))
    problems, rows = [], []
    with open(sheet, newline="", encoding="utf-8-sig") as file:  # a spreadsheet's mark
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        for fields in filter(any, lines):
            rows.append(dict(zip_longest(header, map(str.strip, fields))))
            for error in validator.iter_errors(rows[-1:]):
                column = f", column {error.path[1]}" if len(error.path) > 1 else ""
                text = error.schema.get("errorMessage", error.message)
                problems.append(f"line {lines.line_num}{column}: {text}")
    if problems or not rows:
        raise WorkflowError("\n  ".join([f"{sheet}:", *(problems or ["no rows"])]))
    return rows
