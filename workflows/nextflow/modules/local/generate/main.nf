// A run to a synthetic plate, or to one part of it: meta.shard of meta.shards, where they are there.
process GENERATE {
    tag "${meta.shard ? "${meta.id} ${meta.shard}/${meta.shards}" : meta.id}"
    label 'process_low'
    label 'process_gpu'

    input:
    tuple val(meta), path(run), path(digest)

    output:
    tuple val(meta), path("${prefix}.ome.zarr"), path("${prefix}.digest.json"), emit: plate
    tuple val("${task.process}"), val('generate'), eval("generate --version | sed 's/.* //'"), topic: versions, emit: versions_generate

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: (meta.shard ? "${meta.id}.part-${meta.shard}" : "${meta.id}_synthetic")
    def args = task.ext.args ?: ''
    def device = task.ext.device ?: (task.accelerator ? 'cuda' : 'cpu')
    def shard = meta.shard ? "--shard ${meta.shard}/${meta.shards}" : ''
    """
    generate \\
        --checkpoint ${run} \\
        --output ${prefix}.ome.zarr \\
        --digest ${prefix}.digest.json \\
        --threads ${task.cpus} \\
        --device ${device} \\
        ${shard} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: (meta.shard ? "${meta.id}.part-${meta.shard}" : "${meta.id}_synthetic")
    """
    mkdir ${prefix}.ome.zarr
    echo '{"zarr_format":3,"node_type":"group","attributes":{"lapsegan":{"labels":[{"name":"cells","kind":"objects"}]}}}' > ${prefix}.ome.zarr/zarr.json
    echo '{}' > ${prefix}.digest.json
    """
}
