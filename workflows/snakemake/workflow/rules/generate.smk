rule generate_shard:
    input:
        model="results/{sample}/model.safetensors",
        description="results/{sample}/model.json",
    output:
        temp(directory("results/{sample}/synthetic/{shard}.ome.zarr")),
    log:
        "logs/generate/{sample}/{shard}.log",
    benchmark:
        "benchmarks/generate/{sample}/{shard}.tsv"
    retries: 2
    threads: threads_of("generate")
    resources:
        mem_mb=growing("generate", "mem_mb"),
        runtime=growing("generate", "runtime"),
        gpu=gpu_if_wanted(),
    params:
        shard=lambda wildcards: wildcards.shard.replace("-of-", "/"),
        sequences=config["generate"]["count"],
        device=config["device"],
        seed=config["seed"],
        args=config["generate"]["args"],
    shell:
        '(echo "CUDA_VISIBLE_DEVICES=${{CUDA_VISIBLE_DEVICES-}}"'
        " && generate --checkpoint {input.model:q} --output {output:q} --count {params.sequences} --shard {params.shard}"
        " --seed {params.seed} --device {params.device} --threads {threads} {params.args}) > {log:q} 2>&1"


rule generate:
    input:
        expand(
            "results/{{sample}}/synthetic/{shard}.ome.zarr",
            shard=shards("generate"),
        ),
    output:
        # MultiQC shows a plate by its file name, so the sample is part of it.
        plate=directory("results/{sample}/{sample}_synthetic.ome.zarr"),
        digest="results/{sample}/synthetic.digest.json",
        sheet=report(
            "results/{sample}/synthetic.png",
            caption="../report/synthetic.rst",
            category="Sequences",
            labels={"sample": "{sample}", "picture": "synthetic"},
        ),
    log:
        "logs/generate/{sample}/merge.log",
    benchmark:
        "benchmarks/generate/{sample}/merge.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=growing("prepare", "mem_mb"),
        runtime=growing("prepare", "runtime"),
    shell:
        "(generate merge --output {output.plate:q} --digest {output.digest:q} {input:q}"
        " && cp {output.plate:q}/contact_sheet.png {output.sheet:q}) > {log:q} 2>&1"
