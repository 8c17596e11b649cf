#!/usr/bin/env bash
# GPU requests reach the job: two jobs side by side see one GPU each, and different ones; a request for three is refused.
set -euo pipefail

# shellcheck source-path=SCRIPTDIR source=../../common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../common.sh"

for job in a b; do
  # Each waits for the other, so that they have their GPUs at the same time.
  sbatch --quiet --job-name="$job" --gres=gpu:1 --mem=100M --output="$job.log" --wrap "
    echo \$CUDA_VISIBLE_DEVICES >$job.gpu
    for _ in \$(seq 100); do [ -s a.gpu ] && [ -s b.gpu ] && exit 0; sleep 0.1; done
    exit 1"
done
srun --quiet --gres=gpu:0 --mem=10M true # nothing asked for, nothing to wait for
both_ended() { [ -z "$(squeue -h -n a,b)" ]; }
wait_for 30 both_ended
seen=$(sort a.gpu b.gpu | paste -sd ' ')
[ "$seen" = "0 1" ] || fail "two jobs of one GPU each saw '$seen', expected '0 1'"
fails sbatch --gres=gpu:3 --wrap true
echo "note: GPUs $seen"
