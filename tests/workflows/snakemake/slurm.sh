#!/usr/bin/env bash
# The whole test pipeline through Slurm, with one GPU asked for by every job that can use one.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"
slurm_commands

say 'the test pipeline'
new_run test
passes in_slurm test --config gpu=1
whole_results test
gpu_requests_arrived test

say 'a second run finds nothing to do'
passes in_slurm test --config gpu=1
says 'Nothing to be done'
