// The parameters against their schema, nextflow_schema.json: a mistake costs seconds, not a queue.

// Refuses parameters that the schema does not know or allow.
def checkParameters(schema, given) {
    def rules = parameterGroups(schema).collectEntries { group -> group.properties }
    // A site's own configuration may define parameters of its own; a typing mistake must not cost a night.
    def unknown = given.keySet().findAll { name -> !rules[name] && workflow.commandLine.contains("--${name}") }
    def problems = unknown.collect { name -> "--${name}: no such parameter" }
    given.findAll { name, value -> rules[name] && value != null && expected(rules[name], value) }.each { name, value ->
        problems << "--${name} ${value}: expected ${expected(rules[name], value)}"
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

// What a rule expects in place of a value; nothing where the value is right.
def expected(rule, value) {
    def kinds = [integer: 'a whole number', number: 'a number', boolean: 'true or false']
    def fits = [integer: value instanceof Integer || value instanceof Long, number: value instanceof Number, boolean: value instanceof Boolean]
    if (fits[rule.type] == false) {
        return kinds[rule.type]
    }
    if (rule['enum'] && !(value in rule['enum'])) {
        return "one of ${rule['enum'].join(', ')}"
    }
    if (rule.pattern && !(value.toString() ==~ rule.pattern)) {
        return "the form ${rule.pattern}"
    }
    return rule.minimum != null && value < rule.minimum ? "${rule.minimum} or more" : null
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
