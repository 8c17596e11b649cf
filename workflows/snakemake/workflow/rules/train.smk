# The run folder is no output: Snakemake deletes the outputs of a failed job, and with them the checkpoints that the next
# attempt goes on from. Only the finished model is one.
rule train:
    input:
        # The digest says whether the plate changed; time stamps of a folder do not.
        plate=ancient(real_plate),
        digest=real_digest,
    output:
        model="results/{sample}/model.safetensors",
        description="results/{sample}/model.json",
    log:
        "logs/train/{sample}.log",
    benchmark:
        "benchmarks/train/{sample}.tsv"
    retries: config["train"]["retries"]
    threads: threads_of("train")
    resources:
        mem_mb=growing("train", "mem_mb"),
        runtime=config["resources"]["train"]["runtime"],
        gpu=gpu_if_wanted(),
    params:
        run=lambda wildcards, output: str(Path(output.model).parent / "run"),
        length=(
            f"--kimg {config['train']['kimg']}"
            if config["train"]["kimg"] is not None
            else ""
        ),
        budget=time_budget,
        device=config["device"],
        seed=config["seed"],
        preset=config["train"]["preset"],
        interval=config["train"]["checkpoint_interval"],
        args=config["train"]["args"],
    shell:
        '(echo "CUDA_VISIBLE_DEVICES=${{CUDA_VISIBLE_DEVICES-}}"'
        " && train --data {input.plate:q} --output {params.run:q} --resume"
        " --preset {params.preset} {params.length} --seed {params.seed} --device {params.device} --threads {threads}"
        " --checkpoint-interval {params.interval} --time-budget {params.budget} {params.args}"
        " && newest={params.run:q}/checkpoints/$(cat {params.run:q}/checkpoints/latest)"
        ' && cp "$newest" {output.model:q} && cp "${{newest%.safetensors}}.json" {output.description:q}'
        ") > {log:q} 2>&1"
