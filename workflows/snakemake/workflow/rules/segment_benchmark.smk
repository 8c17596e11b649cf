rule segment_benchmark_shard:
    input:
        real=ancient(real_plate),
        real_digest=real_digest,
        synthetic=ancient("results/{sample}/{sample}_synthetic.ome.zarr"),
        synthetic_digest="results/{sample}/synthetic.digest.json",
    output:
        directory("results/{sample}/cells/{shard}"),
    log:
        "logs/segment_benchmark/{sample}/{shard}.log",
    benchmark:
        "benchmarks/segment_benchmark/{sample}/{shard}.tsv"
    retries: 2
    threads: threads_of("segment_benchmark")
    resources:
        mem_mb=growing("segment_benchmark", "mem_mb"),
        runtime=growing("segment_benchmark", "runtime"),
        gpu=gpu_if_wanted(),
    params:
        shard=lambda wildcards: wildcards.shard.replace("-of-", "/"),
        label=label_option(),
        channels=" ".join(
            f"--channel {shlex.quote(name)}"
            for name in config["segment_benchmark"]["channels"]
        ),
        real_sequences=config["segment_benchmark"]["real_sequences"],
        seeds=config["segment_benchmark"]["seeds"],
        steps=config["segment_benchmark"]["steps"],
        device=config["device"],
        seed=config["seed"],
        args=config["segment_benchmark"]["args"],
    shell:
        '(echo "CUDA_VISIBLE_DEVICES=${{CUDA_VISIBLE_DEVICES-}}"'
        " && segment-benchmark run --real {input.real:q} --synthetic {input.synthetic:q} --output {output:q}"
        " --shard {params.shard} {params.label} {params.channels} --real-sequences {params.real_sequences}"
        " --seeds {params.seeds} --steps {params.steps}"
        " --seed {params.seed} --device {params.device} --threads {threads} {params.args}) > {log:q} 2>&1"


rule segment_benchmark:
    input:
        expand(
            "results/{{sample}}/cells/{shard}",
            shard=shards("segment_benchmark"),
        ),
    output:
        html=report(
            "results/{sample}/benchmark/report.html",
            caption="../report/benchmark.rst",
            category="Segmentation benchmark",
            labels={"sample": "{sample}", "report": "does it help?"},
        ),
        scores="results/{sample}/benchmark/scores.json",
        multiqc="results/{sample}/benchmark/segmentation_mqc.json",
    log:
        "logs/segment_benchmark/{sample}/gather.log",
    benchmark:
        "benchmarks/segment_benchmark/{sample}/gather.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=growing("prepare", "mem_mb"),
        runtime=growing("prepare", "runtime"),
    params:
        folder=lambda wildcards, output: str(Path(output.html).parent),
    shell:
        # Snakemake made the folder already, so it must be overwritten; the program replaces it as a whole.
        "segment-benchmark gather --output {params.folder:q} --overwrite {input:q} > {log:q} 2>&1"
