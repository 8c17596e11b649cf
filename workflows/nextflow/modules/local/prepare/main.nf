// A recording (folders of frames, stacks, stores) to a dataset plate. Names are NAME, or NAME@PART where a file holds
// several channels or labels.
process PREPARE {
    tag "${meta.id}"
    label 'process_low'

    input:
    tuple val(meta), val(channels), path(frames, stageAs: 'frames?/*'), val(labels), path(masks, stageAs: 'masks?/*')

    output:
    tuple val(meta), path("${prefix}.ome.zarr"), path("${prefix}.digest.json"), emit: plate
    tuple val("${task.process}"), val('prepare'), eval("prepare --version | sed 's/.* //'"), topic: versions, emit: versions_prepare

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    // A single folder arrives as a path, several as a list.
    def inputs = [[frames, channels, '--channel'], [masks, labels, '--labels']].collectMany { paths, names, flag ->
        [paths].flatten().withIndex().collect { path, i ->
            def (name, part) = names[i].split('@', 2) as List
            // A part is named as in the file, so that it may hold a quote.
            def quoted = part ? '@' + part.replace("'", "'\\''") : ''
            "${flag} '${name}=${path}${quoted}'"
        }
    }
    def pixel_size = meta.pixel_size ? "--pixel-size ${meta.pixel_size}" : ''
    def frame_interval = meta.frame_interval ? "--frame-interval ${meta.frame_interval}" : ''
    """
    prepare \\
        ${inputs.join(' \\\n        ')} \\
        ${pixel_size} ${frame_interval} \\
        --output ${prefix}.ome.zarr \\
        --digest ${prefix}.digest.json \\
        --threads ${task.cpus} \\
        ${args}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    def described = labels.collect { name -> "{\"name\":\"${name.split('@')[0]}\",\"kind\":\"objects\"}" }.join(',')
    """
    mkdir ${prefix}.ome.zarr
    echo '{"zarr_format":3,"node_type":"group","attributes":{"lapsegan":{"labels":[${described}]}}}' > ${prefix}.ome.zarr/zarr.json
    echo '{}' > ${prefix}.digest.json
    """
}
