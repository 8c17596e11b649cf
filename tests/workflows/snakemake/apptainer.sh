#!/usr/bin/env bash
# The same pipeline through Slurm, every program in the container $LAPSEGAN_SIF.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
[ -s "${LAPSEGAN_SIF:-}" ] || skip 'there is no image: the leg apptainer did not build one'
slurm_commands
# The programs of this machine would hide a container that is not used, and the check of samplesheets without them.
PATH=${PATH//"$LAPSEGAN_BIN:"/}
! command -v prepare >/dev/null || fail 'the programs are on PATH, so that nothing here needs the container'

say 'the test pipeline in the container'
new_run test
passes in_slurm test --sdm apptainer --apptainer-args "--nv --bind $repo" --config gpu=1 "container=$LAPSEGAN_SIF"
whole_results test
gpu_requests_arrived test
