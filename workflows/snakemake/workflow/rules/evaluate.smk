rule evaluate:
    input:
        real=ancient(real_plate),
        real_digest=real_digest,
        synthetic=ancient("results/{sample}/{sample}_synthetic.ome.zarr"),
        synthetic_digest="results/{sample}/synthetic.digest.json",
    output:
        html=report(
            "results/{sample}/evaluation/report.html",
            caption="../report/evaluation.rst",
            category="Evaluation",
            labels={"sample": "{sample}", "report": "realism"},
        ),
        metrics="results/{sample}/evaluation/metrics.json",
        multiqc="results/{sample}/evaluation/lapsegan_mqc.json",
    log:
        "logs/evaluate/{sample}.log",
    benchmark:
        "benchmarks/evaluate/{sample}.tsv"
    retries: 1
    threads: threads_of("evaluate")
    resources:
        mem_mb=growing("evaluate", "mem_mb"),
        runtime=growing("evaluate", "runtime"),
    params:
        folder=lambda wildcards, output: str(Path(output.html).parent),
        seed=config["seed"],
        args=config["evaluate"]["args"],
    shell:
        # Snakemake made the folder already, so it must be overwritten; the program replaces it as a whole.
        "evaluate --real {input.real:q} --synthetic {input.synthetic:q} --output {params.folder:q} --overwrite"
        " --seed {params.seed} --threads {threads} {params.args} > {log:q} 2>&1"
