#!/usr/bin/env bash
# GPU requests reach the job: two jobs side by side see one GPU each, and different ones; a request for three is refused.
set -euo pipefail

for job in a b; do
  # Each waits for the other, so that they have their GPUs at the same time.
  sbatch --quiet --job-name="$job" --gres=gpu:1 --mem=100M --output="$job.log" --wrap "
    echo \$CUDA_VISIBLE_DEVICES >$job.gpu
    for _ in \$(seq 100); do [ -s a.gpu ] && [ -s b.gpu ] && exit 0; sleep 0.1; done
    exit 1"
done
srun --quiet --gres=gpu:0 --mem=10M true # nothing asked for, nothing to wait for
for _ in $(seq 300); do
  [ -z "$(squeue -h -n a,b)" ] && break
  sleep 0.1
done
seen=$(sort a.gpu b.gpu | paste -sd ' ')
[ "$seen" = "0 1" ] || { echo "error: two jobs of one GPU each saw '$seen', expected '0 1'" >&2; exit 1; }
if sbatch --gres=gpu:3 --wrap true 2>refused.log; then
  echo "error: a request for three of two GPUs was taken" >&2
  exit 1
fi
echo "note: GPUs $seen"
