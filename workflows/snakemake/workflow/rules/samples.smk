# The samplesheet.
import csv
import json
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import validate

COLUMNS = ["sample", "kind", "name", "path", "pixel_size", "frame_interval"]


def read_samples(sheet):
    """Returns the rows of the samplesheet by sample id, or stops with the line that is wrong.

    The same sheets are refused as by `prepare check`, which lists all problems at once but is not there
    where programs run in a container only. A path that is missing is reported by Snakemake, as an input.
    """
    samples = {}
    if not Path(sheet).is_file():
        raise WorkflowError(
            f"samplesheet {sheet} is not there: set `samples` in the config"
        )
    # Spreadsheets put a byte order mark before the text.
    with open(sheet, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = [name.strip() for name in next(lines, [])]
        # The last two may be left out.
        if not set(COLUMNS[:4]) <= set(header) <= set(COLUMNS) or len(
            set(header)
        ) < len(header):
            raise WorkflowError(
                f"{sheet}: line 1: columns are {','.join(header)}, expected {','.join(COLUMNS)}"
            )
        for fields in lines:
            if not any(fields):
                continue
            where = f"{sheet}: line {lines.line_num}"
            if len(fields) != len(header):
                raise WorkflowError(
                    f"{where}: {len(fields)} fields, expected {len(header)}"
                )
            row = dict.fromkeys(COLUMNS, "") | {
                column: field.strip() for column, field in zip(header, fields)
            }
            check_row(row, samples.setdefault(row["sample"], []), where)
            if row["path"]:
                row["path"] = str(Path(sheet).parent / row["path"])
            samples[row["sample"]].append(row)
    for sample, rows in samples.items():
        if all(row["kind"] == "labels" for row in rows):
            raise WorkflowError(f"{sheet}: sample {sample} has labels but no channel")
    if not samples:
        raise WorkflowError(f"{sheet}: no samples")
    return samples


def check_row(row, before, where):
    """Stops if a row is wrong by itself or together with the earlier ones of its sample."""
    sample = row["sample"]
    try:
        validate(row, "../schemas/samples.schema.yaml")
    except WorkflowError as error:
        # The message ends with the whole schema; the cause is enough.
        cause = error.__cause__ or error.__context__
        column = cause.path[0] if cause and cause.path else "row"
        raise WorkflowError(
            f"{where}: {column}: {cause.message if cause else error}"
        ) from None
    if any(
        (row["kind"], row["name"]) == (other["kind"], other["name"]) for other in before
    ):
        raise WorkflowError(
            f"{where}: {row['kind']} {row['name']} is given twice for sample {sample}"
        )
    if before and {"plate", "phantom"} & {row["kind"], before[0]["kind"]}:
        raise WorkflowError(
            f"{where}: a plate or phantom must be the only row of sample {sample}"
        )
    for column in COLUMNS[4:]:
        given = {float(other[column]) for other in [*before, row] if other[column]}
        if len(given) > 1:
            raise WorkflowError(
                f"{where}: {column} differs within sample {sample}: {sorted(given)}"
            )


SAMPLES = read_samples(config["samples"])


def kind(sample):
    """Returns `recording`, `plate` or `phantom`."""
    first = SAMPLES[sample][0]["kind"]
    return first if first in ("plate", "phantom") else "recording"


def label(sample):
    """Returns the label image to learn: `cells`, else the first one; None without labels."""
    if kind(sample) == "phantom":
        names = ["cells"]
    elif kind(sample) == "plate":
        try:
            text = (Path(SAMPLES[sample][0]["path"]) / "zarr.json").read_text()
            names = json.loads(text)["attributes"]["lapsegan"]["labels"]
        except (OSError, ValueError, KeyError):
            names = []  # evaluate or train will say what is wrong with the plate
    else:
        names = [row["name"] for row in SAMPLES[sample] if row["kind"] == "labels"]
    return "cells" if "cells" in names else next(iter(names), None)


def benchmarked():
    """Returns the samples with labels."""
    return [sample for sample in SAMPLES if label(sample)]


if workflow.is_main_process:
    for sample in SAMPLES:
        if not label(sample):
            logger.warning(
                f"sample {sample} has no labels: segment-benchmark is left out for it"
            )
