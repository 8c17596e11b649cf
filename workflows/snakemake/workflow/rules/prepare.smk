rule prepare:
    input:
        recording,
    output:
        plate=directory("results/{sample}/{sample}_real.ome.zarr"),
        digest="results/{sample}/real.digest.json",
        preview=report(
            "results/{sample}/real.png",
            caption="../report/real.rst",
            category="Sequences",
            labels={"sample": "{sample}", "picture": "real"},
        ),
    log:
        "logs/prepare/{sample}.log",
    benchmark:
        "benchmarks/prepare/{sample}.tsv"
    retries: 1
    threads: threads_of("prepare")
    resources:
        mem_mb=growing("prepare", "mem_mb"),
        runtime=growing("prepare", "runtime"),
    params:
        arguments=prepare_arguments,
        seed=config["seed"],
    shell:
        "(prepare {params.arguments} --seed {params.seed} --threads {threads}"
        " --output {output.plate:q} --digest {output.digest:q}"
        " && cp {output.plate:q}/preview.png {output.preview:q}) > {log:q} 2>&1"
