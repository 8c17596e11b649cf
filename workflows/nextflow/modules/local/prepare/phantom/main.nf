// A simulated recording with exact labels, as a dataset plate.
process PREPARE_PHANTOM {
    tag "${meta.id}"
    label 'process_low'

    input:
    val meta

    output:
    tuple val(meta), path("${prefix}.ome.zarr"), path("${prefix}.digest.json"), emit: plate
    tuple val("${task.process}"), val('prepare'), eval("prepare --version | sed 's/.* //'"), topic: versions, emit: versions_prepare

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    """
    prepare phantom \\
        --output ${prefix}.ome.zarr \\
        --digest ${prefix}.digest.json \\
        --threads ${task.cpus} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir ${prefix}.ome.zarr
    echo '{"zarr_format":3,"node_type":"group","attributes":{"lapsegan":{"labels":[{"name":"cells","kind":"objects"}]}}}' > ${prefix}.ome.zarr/zarr.json
    echo '{}' > ${prefix}.digest.json
    """
}
