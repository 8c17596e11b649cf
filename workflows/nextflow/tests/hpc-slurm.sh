#!/usr/bin/env bash
# hpc-slurm.sh: the test profile through a Slurm that runs already, with GPUs asked for. Exit 77: skipped.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
programs
sinfo -h >/dev/null 2>&1 || skip 'no Slurm answers'

say 'a task of label process_gpu sees its GPU'
probe 'slurm,gpu'
[ "$(cat probe/gpu-*.txt | sort | xargs)" = '0 1' ] || fail "two tasks at a time see: $(cat probe/gpu-*.txt | xargs)"

say 'the test profile'
# The GPUs may be pretended ones: asked for, not used.
passes "${fast[@]}" -profile test,slurm,gpu --device cpu
expect_tasks 10 COMPLETED
for process in TRAIN GENERATE SEGMENTBENCHMARK; do
  grep -qE '^#SBATCH .*--gres=gpu:1' "$(workdir results "$process" 1 | sed -n 1p)/.command.run" || fail "$process asks for no GPU"
done
! grep -q gres "$(workdir results EVALUATE 1)/.command.run" || fail 'evaluate asks for a GPU'
for path in synthetic/phantom_synthetic.digest.json evaluation/phantom_evaluation/metrics.json segmentation/phantom_benchmark/scores.json; do
  [ -s "results/$path" ] || fail "no results/$path"
done
[ "$(column native_id | sort -u | wc -l)" = 10 ] || fail 'not every task was a job'

say 'options of the site'
# --comment stands for --account, which needs an accounting database.
passes "${fast[@]}" -profile test,slurm,gpu --device cpu --slurm_queue main --slurm_options='--comment=lab' --outdir site \
  --skip_evaluate --skip_benchmark --skip_multiqc --kimg 0.01
script=$(workdir site TRAIN 1)/.command.run
grep -qE '^#SBATCH -p main' "$script" || fail 'the queue is not passed on'
grep -qE '^#SBATCH --comment=lab --gres=gpu:1' "$script" || fail 'the options are not passed on'

say passed
