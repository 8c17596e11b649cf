// The parts of a benchmark to its scores, verdict and report.
process SEGMENTBENCHMARK_GATHER {
    tag "${meta.id}"
    label 'process_single'

    input:
    tuple val(meta), path(parts, stageAs: 'parts/*')

    output:
    tuple val(meta), path("${prefix}_benchmark"), emit: benchmark
    tuple val(meta), path("${prefix}_benchmark/scores.json"), emit: scores
    tuple val(meta), path("${prefix}_benchmark/*_mqc.json"), emit: multiqc
    tuple val("${task.process}"), val('segment-benchmark'), eval("segment-benchmark --version | sed 's/.* //'"), topic: versions, emit: versions_segmentbenchmark

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    """
    segment-benchmark gather \\
        --output ${prefix}_benchmark \\
        ${args} \\
        ${parts}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}_benchmark
    touch ${prefix}_benchmark/report.html ${prefix}_benchmark/run.json
    echo '{}' > ${prefix}_benchmark/scores.json
    echo '{"id":"stub_segmentation","plot_type":"table","data":{"${prefix}":{"value":0}}}' > ${prefix}_benchmark/segmentation_mqc.json
    """
}
