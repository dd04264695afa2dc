#!/bin/sh
#SBATCH --job-name=holm-sim
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --output=/dev/null
#
# A sweep as a job array: each task runs its shard of the seeds, and writes a JSON line for each into
# a folder that all tasks share. A task with a failing seed fails; the others go on.
#
#   HOLM_SIM=... HOLM_OUT=... HOLM_WORLD=core HOLM_SEEDS=0..1000000 sbatch --array=0-99 slurm.sh
#   "$HOLM_SIM" merge --seeds "$HOLM_SEEDS" "$HOLM_OUT"/*.jsonl
set -eu

: "${HOLM_SIM:?the holm-sim binary}" "${HOLM_OUT:?a folder that all tasks share}" "${HOLM_SEEDS:?FIRST..END}"

mkdir -p "$HOLM_OUT"
exec "$HOLM_SIM" sweep --world="${HOLM_WORLD:-core}" --json --seeds="$HOLM_SEEDS" \
    --shard="$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" \
    > "$HOLM_OUT/$SLURM_ARRAY_TASK_ID.jsonl" 2> "$HOLM_OUT/$SLURM_ARRAY_TASK_ID.log"
