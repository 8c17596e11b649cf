#!/usr/bin/env bash
# The test profile through Slurm, with GPUs asked for.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=engine.sh
source "$(dirname "${BASH_SOURCE[0]}")/engine.sh"

say 'a task of label process_gpu sees its GPU'
two_gpus 'slurm,gpu'

say 'the test profile'
# The GPUs may be pretended ones: asked for, not used.
passes flow "${fast[@]}" -profile test,slurm,gpu --device cpu
expect_tasks 11 COMPLETED
for process in TRAIN GENERATE SEGMENTBENCHMARK; do
  grep -qE '^#SBATCH .*--gres=gpu:1' "$(workdir results "$process" 1)/.command.run" || fail "$process asks for no GPU"
done
! grep -q gres "$(workdir results EVALUATE 1)/.command.run" || fail 'evaluate asks for a GPU'
whole_results
[ "$(column workdir | sed 's|$|/.command.run|' | xargs grep -l '^#SBATCH' | wc -l)" = 10 ] ||
  fail 'not every task but the check of the samplesheet was a job'

say 'options of the site'
# --comment stands for --account, which needs an accounting database.
passes flow "${fast[@]}" -profile test,slurm,gpu --device cpu --slurm_queue main --slurm_options='--comment=lab' \
  --outdir site --skip_evaluate --skip_benchmark --skip_multiqc --kimg 0.01
script=$(workdir site TRAIN 1)/.command.run
grep -qE '^#SBATCH -p main' "$script" || fail 'the queue is not passed on'
grep -qE '^#SBATCH --comment=lab --gres=gpu:1' "$script" || fail 'the options are not passed on'
