// A samplesheet to its samples as JSON, by the rules of `prepare check`; all that is wrong with it ends the pipeline here.
process SAMPLESHEET_CHECK {
    tag "${samplesheet.name}"

    // Beside Nextflow itself: it takes a blink and must wait in no queue. No label, since those ask for more.
    executor 'local'
    cpus 1
    memory 500.MB
    errorStrategy 'terminate'

    input:
    path samplesheet
    val base

    output:
    path 'samples.json', emit: samples
    tuple val("${task.process}"), val('prepare'), eval("prepare --version | sed 's/.* //'"), topic: versions, emit: versions_prepare

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    // A container does not see the folders that the sheet names, so that they may be missing here.
    """
    prepare check --missing-ok --base '${base}' ${args} ${samplesheet} > samples.json
    """

    stub:
    def args = task.ext.args ?: ''
    // The sheet is checked in a stub run, too, where the program is there.
    """
    if command -v prepare > /dev/null; then
        prepare check --missing-ok --base '${base}' ${args} ${samplesheet} > samples.json
    else
        echo '{"samples":[{"sample":"stub","kind":"phantom","rows":[]}]}' > samples.json
    fi
    """
}
