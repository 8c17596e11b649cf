// The samplesheet as channels. What a sheet must be like, `prepare check` says; nothing else is submitted before it has.

include { SAMPLESHEET_CHECK } from '../../../modules/local/samplesheet/check/main'

workflow INPUTS {
    take:
    samplesheet // path

    main:
    SAMPLESHEET_CHECK(samplesheet, samplesheet.toAbsolutePath().parent.toUriString())

    // All at once, so that a path missing from the last sample stops the first one, too.
    samples = SAMPLESHEET_CHECK.out.samples
        .splitJson(path: 'samples')
        .toList()
        .flatMap { all ->
            // Not within the function: an error there would arrive without its message.
            def missing = missingPaths(all)
            if (missing) {
                error("${samplesheet.name}:\n${missing.join('\n')}\n\nhint: relative paths start at the folder of the samplesheet")
            }
            return all
        }

    recordings = samples
        .filter { sample -> sample.kind == 'recording' }
        .map { sample ->
            def parts = ['channel', 'labels'].collectMany { kind ->
                def rows = sample.rows.findAll { row -> row.kind == kind }
                [rows.collect { row -> row.part ? "${row.name}@${row.part}" : row.name }, rows.collect { row -> file(row.resolved) }]
            }
            // Nextflow looks at the top of an input folder only; this makes a changed or added frame a new input.
            [metaOf(sample) + [input_state: stateOf(parts[1] + parts[3])]] + parts
        }
    phantoms = samples
        .filter { sample -> sample.kind == 'phantom' }
        .map { sample -> metaOf(sample) }
    plates = samples
        .filter { sample -> sample.kind == 'plate' }
        .map { sample -> [metaOf(sample), file(sample.rows[0].resolved), digestOf(file(sample.rows[0].resolved))] }

    emit:
    recordings // channel: [ val(meta), [names], [inputs], [label names], [label inputs] ]; a name may be NAME@PART
    phantoms   // channel: val(meta)
    plates     // channel: [ val(meta), path(plate), path(digest) ]
}

// A line for each row without its folder or plate, which a check in a container could not see.
def missingPaths(samples) {
    return samples
        .collectMany { sample -> sample.rows }
        .findAll { row -> row.resolved }
        .findAll { row -> row.kind == 'plate' ? !file("${row.resolved}/zarr.json").exists() : !file(row.resolved).exists() }
        .collect { row -> "  line ${row.line}, column path: ${row.resolved} is not there${row.kind == 'plate' ? ', or no plate' : ''}" }
}

def metaOf(sample) {
    return [id: sample.sample] + sample.subMap(['pixel_size', 'frame_interval']).findAll { _key, value -> value != null }
}

// How many files the inputs hold (folders, and their sub-folders), how large they are, and when the last one was written.
def stateOf(inputs) {
    def entries = inputs.collectMany { input -> input.isDirectory() ? input.listFiles() as List : [input] }
    def found = entries.collectMany { entry -> entry.isDirectory() ? entry.listFiles() as List : [entry] }
    def newest = found.collect { path -> path.lastModified() }.max()
    return "${found.size()} files, ${found.collect { path -> path.size() }.sum()} bytes, ${newest}"
}

// What changes when a given plate does: the digest beside it, or the record inside it.
def digestOf(plate) {
    def beside = plate.resolveSibling("${plate.name.replaceAll(/\.ome\.zarr$/, '')}.digest.json")
    return [beside, plate.resolve('run.json'), plate.resolve('zarr.json')].find { path -> path.exists() }
}
