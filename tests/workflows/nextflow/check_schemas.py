"""Holds the schemas against what they describe: check_schemas.py WORKFLOWS CONFIG.

CONFIG is what `nextflow config -flat` prints. `prepare` must be on PATH: the columns of the samplesheet are its.
"""

import ast
import csv
import json
import subprocess
import sys
from pathlib import Path

from jsonschema import Draft202012Validator as Validator

workflows, config = Path(sys.argv[1]), Path(sys.argv[2])
pipeline = workflows / "nextflow"
parameters = json.loads((pipeline / "nextflow_schema.json").read_text())
rules = {name: rule for group in parameters["$defs"].values() for name, rule in group["properties"].items()}
sheet_schema = json.loads((pipeline / rules["input"]["schema"]).read_text())
for schema in (parameters, sheet_schema):
    Validator.check_schema(schema)

# Parameters: the schema knows them all, with their defaults.
words = {"null": None, "true": True, "false": False}
lines = [line[len("params.") :] for line in config.read_text().splitlines() if line.startswith("params.")]
pairs = [line.strip().split(" = ", 1) for line in lines]
given = {name: words[value] if value in words else ast.literal_eval(value) for name, value in pairs}
assert given.keys() == rules.keys(), given.keys() ^ rules.keys()
for name, value in given.items():
    assert rules[name].get("default") == value, (name, value)
given["input"] = "samplesheet.csv"
Validator(parameters).validate({name: value for name, value in given.items() if value is not None})

# Samplesheet: the columns of `prepare check`, and its examples.
columns = sheet_schema["items"]["properties"]
Path("columns.csv").write_text("unknown\n")
said = subprocess.run(["prepare", "check", "columns.csv"], capture_output=True, text=True).stderr
assert f"expected one of {', '.join(columns)}\n" in said, said
for example in (pipeline / "assets/samplesheet.csv", workflows.parent / "test-data/samplesheet.csv"):
    with open(example) as file:
        rows = list(csv.DictReader(file))
    Validator(sheet_schema).validate(rows)
assert not Validator(sheet_schema).is_valid([dict(rows[0], path="", kind="plate")]), "a plate without a path passed"
