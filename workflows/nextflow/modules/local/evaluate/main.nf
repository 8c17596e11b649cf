// A synthetic plate beside the held-out part of the real one: metrics and a report.
process EVALUATE {
    tag "${meta.id}"
    label 'process_medium'

    input:
    tuple val(meta), path(real, stageAs: 'real/*'), path(real_digest, stageAs: 'real/*'), path(synthetic, stageAs: 'synthetic/*'), path(synthetic_digest, stageAs: 'synthetic/*')

    output:
    tuple val(meta), path("${prefix}_evaluation"), emit: evaluation
    tuple val(meta), path("${prefix}_evaluation/metrics.json"), emit: metrics
    tuple val(meta), path("${prefix}_evaluation/*_mqc.json"), emit: multiqc
    tuple val("${task.process}"), val('evaluate'), eval("evaluate --version | sed 's/.* //'"), topic: versions, emit: versions_evaluate

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    """
    evaluate \\
        --real ${real} \\
        --synthetic ${synthetic} \\
        --output ${prefix}_evaluation \\
        --threads ${task.cpus} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}_evaluation
    touch ${prefix}_evaluation/report.html ${prefix}_evaluation/run.json
    echo '{}' > ${prefix}_evaluation/metrics.json
    echo '{"id":"stub","plot_type":"table","data":{"${prefix}":{"value":0}}}' > ${prefix}_evaluation/lapsegan_mqc.json
    """
}
