#!/usr/bin/env bash
# One training through Slurm that loses its job three times: cancelled before its first line (no .exitcode), cancelled while
# it trains, and out of time. It must end with the bytes of an undisturbed one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
kimg=${LAPSEGAN_PREEMPTION_KIMG:-3}

job() { squeue -h -n nf-LAPSEGAN_SYNTHESISE_TRAIN_'(phantom)' -t "$1" -o %i | grep .; }

say 'a run whose training may not start'
cat >site.config <<'CONFIG'
process {
    withName: TRAIN {
        // Not to start, then long enough, then too short.
        clusterOptions = { task.attempt == 1 ? '--hold' : '' }
        time           = { task.attempt == 3 ? 1.min : 30.min }
    }
}
executor {
    // How long a job that left no exit status is waited for: 270 s if not told otherwise.
    exitReadTimeout = '5 sec'
}
CONFIG
mkdir -p work
passes flow "${fast[@]}" -c site.config -profile test,slurm --kimg "$kimg" --train_args='--checkpoint-interval 0.05' \
  --sequences 4 --generate_shards 1 --skip_evaluate --skip_benchmark --skip_multiqc &
run=$!
trap 'kill "$run" 2>/dev/null || true' EXIT
wait_for 120 job pending

say 'cancelled before its first line'
scancel "$(job pending)"
wait_for 300 has_checkpoint work

say 'cancelled while it trains'
scancel "$(job running)"

say 'out of time, and to its end'
wait "$run" || fail 'the run failed'
trap - EXIT
expect_tasks 3 FAILED
column exit | xargs | sed 's/^/exit statuses: /'
[ ! -e "$(workdir results TRAIN 1)/.exitcode" ] || fail 'the first attempt left an exit status'
[ "$(cat "$(workdir results TRAIN 2)/.exitcode")" = 143 ] || fail 'the second attempt was not cancelled'
[ "$(cat "$(workdir results TRAIN 3)/.exitcode")" = 140 ] || fail 'the third attempt was not out of time'
went_on results 3
went_on results 4
as_undisturbed "$(last_checkpoint results/models/phantom_run)" results/plates/phantom.ome.zarr "$kimg"
