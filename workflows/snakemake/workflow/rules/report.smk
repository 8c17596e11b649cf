rule summary:
    input:
        metrics=expand("results/{sample}/evaluation/metrics.json", sample=SAMPLES),
        scores=expand("results/{sample}/benchmark/scores.json", sample=benchmarked()),
    output:
        report(
            "results/summary.tsv",
            caption="../report/summary.rst",
            category="Summary",
        ),
    log:
        "logs/summary.log",
    # Plain Python of the running Snakemake; the container of the five programs has none.
    container:
        None
    params:
        kinds={name: sample["kind"] for name, sample in SAMPLES.items()},
    run:
        write_summary(input, output, params, log)


rule multiqc:
    input:
        expand("results/{sample}/evaluation/lapsegan_mqc.json", sample=SAMPLES),
        expand(
            "results/{sample}/benchmark/segmentation_mqc.json",
            sample=benchmarked(),
        ),
    output:
        report(
            "results/multiqc.html",
            caption="../report/multiqc.rst",
            category="Summary",
        ),
    log:
        "logs/multiqc.log",
    conda:
        "../envs/multiqc.yaml"
    # MultiQC comes from PATH or, with --sdm conda, from this environment.
    container:
        None
    shell:
        "multiqc --force --no-data-dir --filename {output:q} {input:q} > {log:q} 2>&1"
