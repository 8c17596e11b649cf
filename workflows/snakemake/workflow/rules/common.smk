# What several rules ask for.
import json
import shlex
from pathlib import Path

from snakemake.logging import logger


wildcard_constraints:
    sample=r"[A-Za-z0-9_-]+",
    shard=r"\d+-of-\d+",


SAMPLES = read_samples(config["samples"])


def rows(wildcards):
    return SAMPLES[wildcards.sample]["rows"]


def has_objects(sample):
    """Returns whether a sample has labels of objects; a plate of format 1 gives names only, without what they show."""
    if sample["kind"] == "phantom":
        return True
    if sample["kind"] == "recording":
        return any(row["kind"] == "labels" for row in sample["rows"])
    try:
        root = json.loads(Path(sample["rows"][0]["resolved"], "zarr.json").read_text())
        labels = root["attributes"]["lapsegan"]["labels"]
    except (OSError, ValueError, KeyError):
        return False  # evaluate or train will say what is wrong with the plate
    return any(type(each) is str or each["kind"] == "objects" for each in labels)


def benchmarked():
    """Returns the samples that have something to segment."""
    return [name for name, sample in SAMPLES.items() if has_objects(sample)]


if workflow.is_main_process:
    for name in SAMPLES.keys() - set(benchmarked()):
        logger.warning(
            f"sample {name} has no labels: segment-benchmark is left out for it"
        )


def recording(wildcards):
    """Returns the folders, stacks and stores a plate is made of."""
    return sorted({row["resolved"] for row in rows(wildcards) if row["resolved"]})


def prepare_arguments(wildcards):
    """Returns `phantom ...`, or the channels and labels in the order of the samplesheet."""
    sample = SAMPLES[wildcards.sample]
    if sample["kind"] == "phantom":
        return f"phantom {config['prepare']['phantom']}"
    words = []
    for row in sample["rows"]:
        part = f"@{row['part']}" if row["part"] else ""
        words += [f"--{row['kind']}", f"{row['name']}={row['resolved']}{part}"]
    for column in ("pixel_size", "frame_interval"):
        if sample[column]:
            words += [f"--{column.replace('_', '-')}", str(sample[column])]
    return f"{shlex.join(words)} {config['prepare']['args']}"


def real_plate(wildcards):
    """Returns the dataset plate of a sample: made here, or the one in the samplesheet."""
    if SAMPLES[wildcards.sample]["kind"] == "plate":
        return rows(wildcards)[0]["resolved"]
    return f"results/{wildcards.sample}/{wildcards.sample}_real.ome.zarr"


def real_digest(wildcards):
    """Returns the digest of that plate; a plate of the samplesheet has none."""
    if SAMPLES[wildcards.sample]["kind"] == "plate":
        return []
    return f"results/{wildcards.sample}/real.digest.json"


def shards(program):
    n = config[program]["shards"]
    return [f"{i}-of-{n}" for i in range(1, n + 1)]


def threads_of(program):
    return config["resources"][program]["threads"]


def growing(program, resource):
    """Returns a resource that grows with each attempt, for jobs that ran out of it."""
    return lambda wildcards, attempt: config["resources"][program][resource] * attempt


def gpu_if_wanted():
    return config["gpu"]


def time_budget(wildcards, resources):
    """Returns minutes after which train stops by itself with a checkpoint, before the scheduler would end it."""
    return max(1, resources.runtime - max(1, resources.runtime // 20))


def label_option():
    """Returns the flag that names the label image to segment, where one is named."""
    return f"--label {shlex.quote(config['label'])}" if config["label"] else ""


def write_summary(input, output, params, log):
    """Writes one line per sample: what it is, and what the segmentation benchmark says."""
    scores = {Path(path).parent.parent.name: Path(path) for path in input.scores}
    with open(output[0], "w") as table, open(log[0], "w") as messages:
        table.write("sample\tkind\tsegment_benchmark\n")
        for sample, kind in params.kinds.items():
            result = "left out: no labels"
            if sample in scores:
                verdict = json.loads(scores[sample].read_text())["verdict"]
                result = " ".join(verdict["text"])
            table.write(f"{sample}\t{kind}\t{result}\n")
            messages.write(f"{sample}: {result}\n")
