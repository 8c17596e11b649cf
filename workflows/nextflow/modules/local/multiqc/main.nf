// One page of all tables, where MultiQC is installed.
process MULTIQC {
    label 'process_single'

    input:
    path files, stageAs: '?/*'
    path config

    output:
    path 'multiqc_report.html', emit: report, optional: true
    path 'multiqc_report_data', emit: data, optional: true
    // Not a topic: this task waits for the versions topic to end.
    tuple val("${task.process}"), val('multiqc'), eval("multiqc --version 2>/dev/null | sed 's/.* //' || true"), emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    // HOME: a container may run without one, and MultiQC looks there.
    """
    export HOME="\$PWD"
    if command -v multiqc > /dev/null; then
        multiqc --force --no-version-check --filename multiqc_report.html --config ${config} ${args} .
    else
        echo 'warning: multiqc is not on the PATH of this task: no common report (pip install multiqc==1.35)' >&2
    fi
    """

    stub:
    """
    mkdir multiqc_report_data
    touch multiqc_report.html
    """
}
