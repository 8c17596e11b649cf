// The samplesheet and the parameters, checked before any task is submitted: a mistake costs seconds, not a queue.
//
// The rules are those of `prepare check`, which cannot be used here: the programs may exist in a container only, and that
// sees no folder which is not an input yet. tests/quick.sh holds both against each other.

workflow INPUTS {
    take:
    samplesheet // path

    main:
    samples = channel.fromList(readSamplesheet(samplesheet))

    recordings = samples
        .filter { sample -> sample.kind == 'recording' }
        .map { sample -> [sample.meta, sample.channels, sample.frames, sample.labels, sample.masks] }
    phantoms = samples
        .filter { sample -> sample.kind == 'phantom' }
        .map { sample -> sample.meta }
    plates = samples
        .filter { sample -> sample.kind == 'plate' }
        .map { sample -> [sample.meta, sample.plate, digestOf(sample.plate)] }

    emit:
    recordings // channel: [ val(meta), [names], [folders], [label names], [label folders] ]
    phantoms   // channel: val(meta)
    plates     // channel: [ val(meta), path(plate), path(digest) ]
}

// Returns one map per sample; all that is wrong with the samplesheet is said at once.
def readSamplesheet(samplesheet) {
    def sheet = samplesheet.name
    def problems = []
    def lines = samplesheet.text.replace('\uFEFF', '').readLines()
    def header = lines ? cells(lines[0]) : []
    def required = ['sample', 'kind', 'name', 'path']
    def optional = ['pixel_size', 'frame_interval']
    required.findAll { column -> !(column in header) }.each { column -> problems << "line 1: column ${column} is missing" }
    header.withIndex().findAll { column, _i -> !(column in required + optional) }.each { column, i ->
        problems << "line 1, column ${i + 1}: '${column}' is no column of a samplesheet"
    }
    header.countBy { column -> column }.findAll { _column, count -> count > 1 }.each { column, _count ->
        problems << "line 1: column ${column} is there twice"
    }
    if (problems) {
        stop(sheet, problems, "the first line must be ${(required + optional).join(',')}, in any order; the last two may be left out")
    }

    def rows = lines.withIndex().drop(1).findAll { line, _i -> line.trim() }.collect { line, i ->
        def values = cells(line)
        if (values.size() != header.size()) {
            problems << "line ${i + 1}: ${values.size()} cells, the header has ${header.size()}"
        }
        [header, values].transpose().collectEntries() + [line: i + 1, header: header]
    }
    rows = rows.findAll { row -> header.every { column -> row.containsKey(column) } }
    rows.each { row -> problems.addAll(rowProblems(row, samplesheet)) }
    rows.groupBy { row -> row.sample }.each { id, of_sample -> problems.addAll(sampleProblems(id, of_sample)) }
    if (!rows && !problems) {
        problems << 'line 2: no sample'
    }
    if (problems) {
        stop(sheet, problems, 'columns and kinds are explained in workflows/nextflow/README.md; paths are relative to the samplesheet')
    }

    return rows.groupBy { row -> row.sample }.collect { id, of_sample ->
        def channels = of_sample.findAll { row -> row.kind == 'channel' }
        def labels = of_sample.findAll { row -> row.kind == 'labels' }
        def frames = channels.collect { row -> resolve(samplesheet, row.path) }
        def masks = labels.collect { row -> resolve(samplesheet, row.path) }
        def meta = [id: id]
        optional.each { column ->
            def value = of_sample.findResult { row -> row[column] ?: null }
            if (value) {
                meta[column] = value
            }
        }
        if (channels) {
            // Nextflow looks at the top of an input folder only; this makes a changed or added frame a new input.
            meta.input_state = stateOf(frames + masks)
        }
        [
            kind: channels ? 'recording' : of_sample[0].kind,
            meta: meta,
            channels: channels.collect { row -> row.name },
            frames: frames,
            labels: labels.collect { row -> row.name },
            masks: masks,
            plate: of_sample[0].kind == 'plate' ? resolve(samplesheet, of_sample[0].path) : null,
        ]
    }
}

// What is wrong with a row by itself.
def rowProblems(row, samplesheet) {
    def problems = []
    def name_pattern = /[A-Za-z0-9_-]+/
    if (!(row.sample ==~ name_pattern)) {
        problems << "${at(row, 'sample')}: '${row.sample}', expected letters, digits, _ and - only"
    }
    if (!(row.kind in ['channel', 'labels', 'plate', 'phantom'])) {
        problems << "${at(row, 'kind')}: '${row.kind}', expected channel, labels, plate or phantom"
        return problems
    }
    def folders = row.kind in ['channel', 'labels']
    if (folders && !(row.name ==~ name_pattern)) {
        problems << "${at(row, 'name')}: '${row.name}', expected letters, digits, _ and - only"
    }
    if (!folders && row.name) {
        problems << "${at(row, 'name')}: '${row.name}', a ${row.kind} has no name"
    }
    if (row.kind == 'phantom') {
        if (row.path) {
            problems << "${at(row, 'path')}: '${row.path}', a phantom has no path"
        }
    }
    else if (!row.path) {
        problems << "${at(row, 'path')}: empty, expected a folder"
    }
    else if (!resolve(samplesheet, row.path).isDirectory()) {
        problems << "${at(row, 'path')}: '${row.path}' is not there, or no folder"
    }
    else if (row.kind == 'plate' && !resolve(samplesheet, row.path).resolve('zarr.json').exists()) {
        problems << "${at(row, 'path')}: '${row.path}' has no zarr.json, expected a plate made by prepare"
    }
    ['pixel_size', 'frame_interval'].findAll { column -> row[column] }.each { column ->
        if (!row[column].isBigDecimal() || (row[column] as BigDecimal) <= 0) {
            problems << "${at(row, column)}: '${row[column]}', expected a number above 0"
        }
    }
    return problems
}

// What is wrong with the rows of a sample together.
def sampleProblems(id, rows) {
    def problems = []
    def alone = rows.find { row -> row.kind in ['plate', 'phantom'] }
    if (alone && rows.size() > 1) {
        def other = rows.find { row -> !row.is(alone) }
        def later = other.line > alone.line ? other : alone
        problems << "${at(later, 'sample')}: duplicate sample '${id}', a ${alone.kind} is the only row of its sample (line ${alone.line})"
        return problems
    }
    rows.groupBy { row -> [row.kind, row.name] }.each { _key, same ->
        same.drop(1).each { row -> problems << "${at(row, 'name')}: duplicate ${row.kind} '${row.name}' of sample '${id}' (line ${same[0].line})" }
    }
    if (!alone && rows.every { row -> row.kind == 'labels' }) {
        problems << "${at(rows[0], 'kind')}: sample '${id}' has no channel"
    }
    ['pixel_size', 'frame_interval'].each { column ->
        def given = rows.findAll { row -> row[column] && row[column].isBigDecimal() }
        given.drop(1).findAll { row -> (row[column] as BigDecimal) != (given[0][column] as BigDecimal) }.each { row ->
            problems << "${at(row, column)}: ${row[column]}, but ${given[0][column]} in line ${given[0].line} of the same sample"
        }
    }
    return problems
}

def at(row, column) {
    return "line ${row.line}, column ${row.header.indexOf(column) + 1} (${column})"
}

def stop(sheet, problems, hint) {
    def sorted = problems.toSorted { problem -> (problem =~ /\d+/)[0] as Integer }
    error("${sheet}:\n${sorted.collect { problem -> "  ${problem}" }.join('\n')}\n\nhint: ${hint}")
}

def cells(line) {
    return line.split(',', -1).collect { cell -> cell.trim().replaceAll(/^"(.*)"$/, '$1') }
}

def resolve(samplesheet, path) {
    return file(path.startsWith('/') || path.contains('://') ? path : "${samplesheet.toAbsolutePath().parent}/${path}")
}

// How many files the folders and their sub-folders hold, how large they are, and when the last one was written.
def stateOf(folders) {
    def entries = folders.collectMany { folder -> folder.listFiles() as List }
    def found = entries.collectMany { entry -> entry.isDirectory() ? entry.listFiles() as List : [entry] }
    def newest = found.collect { path -> path.lastModified() }.max()
    return "${found.size()} files, ${found.collect { path -> path.size() }.sum()} bytes, ${newest}"
}

// What changes when a given plate does: the digest beside it, or the record inside it.
def digestOf(plate) {
    def beside = plate.resolveSibling("${plate.name.replaceAll(/\.ome\.zarr$/, '')}.digest.json")
    return [beside, plate.resolve('run.json'), plate.resolve('zarr.json')].find { path -> path.exists() }
}

// Refuses parameters that the schema does not know or allow.
def checkParameters(schema, given) {
    def rules = parameterGroups(schema).collectEntries { group -> group.properties }
    def problems = []
    given.each { name, value ->
        def rule = rules[name]
        if (!rule) {
            // A site's own configuration may define parameters of its own; a typing mistake must not cost a night.
            if (workflow.commandLine.contains("--${name}")) {
                problems << "--${name}: no such parameter"
            }
        }
        else if (value != null) {
            if (rule.type == 'integer' && !(value instanceof Integer || value instanceof Long)) {
                problems << "--${name} ${value}: expected a whole number"
            }
            else if (rule.type == 'number' && !(value instanceof Number)) {
                problems << "--${name} ${value}: expected a number"
            }
            else if (rule.type == 'boolean' && !(value instanceof Boolean)) {
                problems << "--${name} ${value}: expected true or false"
            }
            else if (rule['enum'] && !(value in rule['enum'])) {
                problems << "--${name} ${value}: expected one of ${rule['enum'].join(', ')}"
            }
            else if (rule.pattern && !(value.toString() ==~ rule.pattern)) {
                problems << "--${name} ${value}: expected the form ${rule.pattern}"
            }
            else if (rule.minimum != null && value < rule.minimum) {
                problems << "--${name} ${value}: expected ${rule.minimum} or more"
            }
        }
    }
    if (!given.input) {
        problems << '--input: missing, expected a samplesheet'
    }
    else if (!file(given.input).exists()) {
        problems << "--input ${given.input}: no such file"
    }
    if (workflow.containerEngine && !given.container) {
        problems << "--container: missing, expected the image that ${workflow.containerEngine} is to use"
    }
    if (problems) {
        error("parameters:\n${problems.collect { problem -> "  ${problem}" }.join('\n')}\n\nhint: --help lists all parameters; values that begin with -- need =, as in --train_args='--set training.batch=8'")
    }
}

// The text of --help.
def helpText(schema) {
    def groups = parameterGroups(schema).collect { group ->
        def lines = group.properties.collect { name, rule ->
            def fallback = rule['default'] != null ? " [${rule['default']}]" : ''
            "  --${name.padRight(18)} ${rule.description}${fallback}"
        }
        "${group.title}\n${lines.join('\n')}"
    }
    return "nextflow run <this repository> --input samplesheet.csv [-profile ...]\n\n${groups.join('\n\n')}\n"
}

def parameterGroups(schema) {
    return new groovy.json.JsonSlurper().parseText(schema.text)['$defs'].values()
}
