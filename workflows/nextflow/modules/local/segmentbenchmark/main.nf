// Segmenters trained on real, synthetic and both: the cells of meta.shard of meta.shards, or the whole benchmark.
process SEGMENTBENCHMARK {
    tag "${meta.shard ? "${meta.id} ${meta.shard}/${meta.shards}" : meta.id}"
    label 'process_low'
    label 'process_gpu'

    input:
    tuple val(meta), path(real, stageAs: 'real/*'), path(real_digest, stageAs: 'real/*'), path(synthetic, stageAs: 'synthetic/*'), path(synthetic_digest, stageAs: 'synthetic/*')

    output:
    tuple val(meta), path("${prefix}"), emit: benchmark
    tuple val("${task.process}"), val('segment-benchmark'), eval("segment-benchmark --version | sed 's/.* //'"), topic: versions, emit: versions_segmentbenchmark

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: (meta.shard ? "${meta.id}.part-${meta.shard}" : "${meta.id}_benchmark")
    def args = task.ext.args ?: ''
    def device = task.ext.device ?: (task.accelerator ? 'cuda' : 'cpu')
    def shard = meta.shard ? "--shard ${meta.shard}/${meta.shards}" : ''
    """
    segment-benchmark run \\
        --real ${real} \\
        --synthetic ${synthetic} \\
        --output ${prefix} \\
        --threads ${task.cpus} \\
        --device ${device} \\
        ${shard} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: (meta.shard ? "${meta.id}.part-${meta.shard}" : "${meta.id}_benchmark")
    """
    mkdir ${prefix}
    touch ${prefix}/cells.json ${prefix}/run.json
    """
}
