#!/usr/bin/env nextflow

// A recording in, synthetic labelled sequences and what they are worth out:
// samplesheet -> prepare -> train -> generate -> evaluate -> segment-benchmark -> reports.

include { PREPARE                                       } from './modules/local/prepare/main'
include { PREPARE_PHANTOM                               } from './modules/local/prepare/phantom/main'
include { EVALUATE                                      } from './modules/local/evaluate/main'
include { MULTIQC                                       } from './modules/local/multiqc/main'
include { INPUTS                                        } from './subworkflows/local/inputs/main'
include { checkParameters ; helpText                    } from './subworkflows/local/parameters/main'
include { SYNTHESISE                                    } from './subworkflows/local/synthesise/main'
include { BENCHMARK                                     } from './subworkflows/local/benchmark/main'

workflow LAPSEGAN {
    take:
    samplesheet    // path
    multiqc_config // path
    options        // map: the parameters

    main:
    INPUTS(samplesheet)
    PREPARE(INPUTS.out.recordings)
    PREPARE_PHANTOM(INPUTS.out.phantoms)
    plates = INPUTS.out.plates.mix(PREPARE.out.plate, PREPARE_PHANTOM.out.plate)

    SYNTHESISE(plates, options.generate_shards)
    pairs = plates.join(SYNTHESISE.out.synthetic)

    EVALUATE(options.skip_evaluate ? channel.empty() : pairs)

    // The plates themselves say what is labelled; without objects on both sides there is nothing to segment.
    candidates = (options.skip_benchmark ? channel.empty() : pairs)
        .branch { meta, real, _real_digest, synthetic, _synthetic_digest ->
            labelled: hasObjects(real) && hasObjects(synthetic)
            unlabelled: true
                def reason = "the ${hasObjects(real) ? 'synthetic plate' : 'sample'} has no labels of objects"
                log.warn("sample ${meta.id}: ${reason}, so segment-benchmark is left out for it")
                return [meta.id, reason]
        }
    BENCHMARK(candidates.labelled, options.benchmark_shards)

    left_out = candidates.unlabelled
        .map { id, reason -> "${id}\tsegment-benchmark\t${reason}\n" }
        .collectFile(
            name: 'left_out_mqc.tsv',
            sort: true,
            keepHeader: false,
            seed: "# id: lapsegan_left_out\n# section_name: 'LapseGAN: left out'\n# plot_type: table\nSample\tLeft out\tReason\n",
        )
    versions = channel.topic('versions')
        .unique()
        .map { process, program, version -> "${process.tokenize(':').last()}:\n  ${program}: '${version}'".toString() }
        .mix(channel.of("Workflow:\n  ${workflow.manifest.name}: '${workflow.manifest.version}'\n  Nextflow: '${workflow.nextflow.version}'".toString()))
        .collectFile(name: 'software_mqc_versions.yml', sort: true, newLine: true)
    versions
        .mix(left_out)
        .subscribe { path -> path.copyTo("${options.outdir}/pipeline_info/${path.name}") }

    tables = EVALUATE.out.multiqc.mix(BENCHMARK.out.multiqc).map { _meta, table -> table }
    MULTIQC(
        options.skip_multiqc ? channel.empty() : tables.mix(versions, left_out).collect(sort: { path -> path.toString() }),
        multiqc_config,
    )
    MULTIQC.out.versions
        .filter { _process, _program, version -> !version }
        .subscribe { _process, _program, _version -> log.warn('MultiQC was not found, so there is no common report') }

    synthetic = SYNTHESISE.out.synthetic
    run = SYNTHESISE.out.run
    metrics = EVALUATE.out.metrics
    scores = BENCHMARK.out.scores

    emit:
    synthetic // channel: [ val(meta), path(plate), path(digest) ]
    run       // channel: [ val(meta), path(run folder), path(its run.json) ]
    metrics   // channel: [ val(meta), path(metrics.json) ]
    scores    // channel: [ val(meta), path(scores.json) ]
}

workflow {
    main:
    schema = file("${projectDir}/nextflow_schema.json")
    if (params.help) {
        println(helpText(schema))
        return
    }
    checkParameters(schema, params)
    if (params.checkpoint_dir) {
        // A container can only be given folders that are there.
        file(params.checkpoint_dir).mkdirs()
    }
    LAPSEGAN(
        file(params.input),
        file(params.multiqc_config ?: "${projectDir}/assets/multiqc_config.yml"),
        params,
    )

    workflow.onComplete = {
        if (workflow.success) {
            log.info("results are in ${params.outdir}: plates, models, synthetic, evaluation, segmentation, multiqc, pipeline_info")
        }
        else {
            log.error("stopped; what failed and its message is above, and in ${params.outdir}/pipeline_info. Once the cause is gone, the same command with -resume goes on from there")
        }
    }
}

// Whether a plate has label images of objects. A plate of format 1 gives names only, without what they show.
def hasObjects(plate) {
    def root = new groovy.json.JsonSlurper().parseText(plate.resolve('zarr.json').text)
    def labels = root.attributes?.lapsegan?.labels ?: []
    return labels.any { label -> !(label instanceof Map) || label.kind == 'objects' }
}
