// The parts of a synthetic plate to the whole.
process GENERATE_MERGE {
    tag "${meta.id}"
    label 'process_single'

    input:
    tuple val(meta), path(parts, stageAs: 'parts/*'), path(digests, stageAs: 'digests/*')

    output:
    tuple val(meta), path("${prefix}.ome.zarr"), path("${prefix}.digest.json"), emit: plate
    tuple val("${task.process}"), val('generate'), eval("generate --version | sed 's/.* //'"), topic: versions, emit: versions_generate

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}_synthetic"
    def args = task.ext.args ?: ''
    """
    generate merge \\
        --output ${prefix}.ome.zarr \\
        --digest ${prefix}.digest.json \\
        ${args} \\
        ${parts}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}_synthetic"
    """
    mkdir ${prefix}.ome.zarr
    echo '{"zarr_format":3,"node_type":"group","attributes":{"lapsegan":{"labels":[{"name":"cells","kind":"objects"}]}}}' > ${prefix}.ome.zarr/zarr.json
    echo '{}' > ${prefix}.digest.json
    """
}
