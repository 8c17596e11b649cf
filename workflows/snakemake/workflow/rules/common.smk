# What several rules ask for.
import json
import shlex
from pathlib import Path


wildcard_constraints:
    sample=r"[A-Za-z0-9_-]+",
    shard=r"\d+-of-\d+",


def recording(wildcards):
    """Returns the folders a plate is made of."""
    return [
        row["path"] for row in SAMPLES[wildcards.sample] if row["kind"] != "phantom"
    ]


def prepare_arguments(wildcards):
    """Returns `phantom ...`, or the channels and labels in the order of the samplesheet."""
    if kind(wildcards.sample) == "phantom":
        return f"phantom {config['prepare']['phantom']}"
    words = []
    for row in SAMPLES[wildcards.sample]:
        words += [f"--{row['kind']}", f"{row['name']}={row['path']}"]
    for column in ("pixel_size", "frame_interval"):
        given = {row[column] for row in SAMPLES[wildcards.sample] if row[column]}
        for value in given:
            words += [f"--{column.replace('_', '-')}", value]
    return f"{shlex.join(words)} {config['prepare']['args']}"


def real_plate(wildcards):
    """Returns the dataset plate of a sample: made here, or the one in the samplesheet."""
    if kind(wildcards.sample) == "plate":
        return SAMPLES[wildcards.sample][0]["path"]
    return f"results/{wildcards.sample}/{wildcards.sample}_real.ome.zarr"


def real_digest(wildcards):
    """Returns the digest of that plate; a plate of the samplesheet has none."""
    if kind(wildcards.sample) == "plate":
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


def write_summary(input, output, params, log):
    """Writes one line per sample: what it is, and what the segmentation benchmark says."""
    scores = {Path(path).parent.parent.name: Path(path) for path in input.scores}
    with open(output[0], "w") as table, open(log[0], "w") as messages:
        table.write("sample\tkind\tlabel\tsegment_benchmark\n")
        for sample, facts in params.samples.items():
            result = "left out: no labels"
            if sample in scores:
                verdict = json.loads(scores[sample].read_text())["verdict"]
                result = " ".join(verdict["text"])
            line = "\t".join([sample, facts["kind"], facts["label"] or "-", result])
            table.write(f"{line}\n")
            messages.write(f"{sample}: {result}\n")
