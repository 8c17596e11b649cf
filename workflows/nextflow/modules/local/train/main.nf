// A dataset plate to a run folder with checkpoints.
//
// An attempt goes on from the newest checkpoint of the one before. With task.ext.checkpoint_dir the run lives in
// a sub-folder of it and also survives the end of the whole workflow; the folder must exist on all nodes.
process TRAIN {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_long'
    label 'process_gpu'

    // A node's own disk would take the checkpoints with it.
    scratch false
    // A container sees the task's folder and its inputs only.
    containerOptions { bindOptions(workflow.containerEngine, [task.attempt > 1 ? workflow.workDir : null, task.ext.checkpoint_dir]) }

    input:
    tuple val(meta), path(plate), path(digest)

    output:
    tuple val(meta), path("${prefix}_run"), path("${prefix}.train.json"), emit: run
    tuple val("${task.process}"), val('train'), eval("train --version | sed 's/.* //'"), topic: versions, emit: versions_train

    when:
    task.ext.when == null || task.ext.when

    script:
    prefix = task.ext.prefix ?: "${meta.id}"
    def args = task.ext.args ?: ''
    def device = task.ext.device ?: (task.accelerator ? 'cuda' : 'cpu')
    // Runs with other options get other folders; on other data train refuses to go on.
    def kept = task.ext.checkpoint_dir ? "${file(task.ext.checkpoint_dir)}/${prefix}_${args.md5().take(8)}" : null
    def earlier = kept || task.attempt == 1 ? null : checkpointFolder(task.previousTrace?.workdir, "${prefix}_run")
    def output = kept ?: "${prefix}_run"
    def resume = kept ? '--resume' : earlier ? "--resume='${earlier}'" : ''
    // Ends by itself with a checkpoint before the scheduler would end it: in a container the signal does not arrive.
    def minutes = task.time ? task.time.toSeconds() / 60 : 0
    def budget = minutes ? "--time-budget ${Math.max(minutes * 0.9, minutes - 10)}" : ''
    // --verbose: the log of the task says where it went on.
    """
    train \\
        --data ${plate} \\
        --output '${output}' \\
        --threads ${task.cpus} \\
        --device ${device} \\
        --verbose ${resume} ${budget} \\
        ${args}
    ${kept ? "cp -R '${kept}' ${prefix}_run" : ''}
    cp ${prefix}_run/run.json ${prefix}.train.json
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    mkdir -p ${prefix}_run/checkpoints
    touch ${prefix}_run/checkpoints/kimg_000000.000.safetensors ${prefix}_run/checkpoints/kimg_000000.000.json
    touch ${prefix}_run/checkpoints/latest ${prefix}_run/stats.jsonl ${prefix}_run/run.json
    cp ${prefix}_run/run.json ${prefix}.train.json
    """
}

// The folder of an earlier attempt that has a checkpoint. An attempt that ended before it could take over the checkpoint
// of the one before (or never began) names it in its script.
def checkpointFolder(workdir, name) {
    def folder = workdir ? file("${workdir}/${name}") : null
    if (!folder) {
        return null
    }
    if (file("${folder}/checkpoints/latest").exists()) {
        return folder.toString()
    }
    def script = file("${workdir}/.command.sh")
    def named = script.exists() ? (script.text =~ /--resume='([^']+)'/) : null
    return named ? named[0][1] : null
}

// The options that let a container see folders beside its own.
def bindOptions(engine, folders) {
    def wanted = folders.findAll { folder -> folder }
    if (!engine || !wanted) {
        return ''
    }
    def flag = engine in ['docker', 'podman'] ? '-v' : '-B'
    return wanted.collect { folder -> "${flag} ${file(folder)}:${file(folder)}" }.join(' ')
}
