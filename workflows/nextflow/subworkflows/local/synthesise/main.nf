// A dataset plate to a labelled synthetic plate: train once, generate in parts, merge.

include { TRAIN          } from '../../../modules/local/train/main'
include { GENERATE       } from '../../../modules/local/generate/main'
include { GENERATE_MERGE } from '../../../modules/local/generate/merge/main'

workflow SYNTHESISE {
    take:
    plates // channel: [ val(meta), path(plate), path(digest) ]
    shards // integer: tasks per plate that generate

    main:
    TRAIN(plates)

    parts = TRAIN.out.run.flatMap { meta, run, record ->
        (1..shards).collect { shard -> [meta + [shard: shard, shards: shards], run, record] }
    }
    GENERATE(parts)

    // Sorted, because the order of the inputs is part of a task's identity.
    gathered = GENERATE.out.plate
        .map { meta, plate, digest ->
            [groupKey(meta.findAll { key, _value -> !(key in ['shard', 'shards']) }, meta.shards), [meta.shard, plate, digest]]
        }
        .groupTuple()
        .map { key, found ->
            def sorted = found.toSorted { part -> part[0] }
            [key.getGroupTarget(), sorted.collect { part -> part[1] }, sorted.collect { part -> part[2] }]
        }
    GENERATE_MERGE(gathered)

    // 25.04's strict parser takes no expressions below emit.
    synthetic = GENERATE_MERGE.out.plate
    run = TRAIN.out.run

    emit:
    synthetic // channel: [ val(meta), path(plate), path(digest) ]
    run       // channel: [ val(meta), path(run folder), path(its run.json) ]
}
