// Does the synthetic plate help a segmenter? The cells of the benchmark as tasks, gathered to one verdict.

include { SEGMENTBENCHMARK        } from '../../../modules/local/segmentbenchmark/main'
include { SEGMENTBENCHMARK_GATHER } from '../../../modules/local/segmentbenchmark/gather/main'

workflow BENCHMARK {
    take:
    pairs  // channel: [ val(meta), path(real), path(digest), path(synthetic), path(digest) ]
    shards // integer: tasks per pair

    main:
    parts = pairs.flatMap { meta, real, real_digest, synthetic, synthetic_digest ->
        (1..shards).collect { shard ->
            [meta + [shard: shard, shards: shards], real, real_digest, synthetic, synthetic_digest]
        }
    }
    SEGMENTBENCHMARK(parts)

    gathered = SEGMENTBENCHMARK.out.benchmark
        .map { meta, part ->
            [groupKey(meta.findAll { key, _value -> !(key in ['shard', 'shards']) }, meta.shards), [meta.shard, part]]
        }
        .groupTuple()
        .map { key, found ->
            [key.getGroupTarget(), found.toSorted { part -> part[0] }.collect { part -> part[1] }]
        }
    SEGMENTBENCHMARK_GATHER(gathered)

    benchmark = SEGMENTBENCHMARK_GATHER.out.benchmark
    scores = SEGMENTBENCHMARK_GATHER.out.scores
    multiqc = SEGMENTBENCHMARK_GATHER.out.multiqc

    emit:
    benchmark // channel: [ val(meta), path(folder) ]
    scores    // channel: [ val(meta), path(scores.json) ]
    multiqc   // channel: [ val(meta), path(*_mqc.json) ]
}
