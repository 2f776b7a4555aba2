#!/bin/sh
# Entry point of the image for Locust's operator, which starts `--master ARGS` and `--worker --master-host HOST ARGS`.
# A worker takes its run from the master and ignores ARGS. The operator mounts no volume to write to: the master's pod
# stays for KEEP_S seconds after the run, so that `kubectl cp POD:/tmp/runs runs` can fetch the record.
#
# The operator starts a pod again whose exit code is not 0 (restartPolicy OnFailure, backoffLimit 6): a run that ended
# INVALID would begin once more against the same target. So the code is written to the log, and the pod ends with 0.
if [ -f /home/locust/peakday.yaml ]; then
    cp /home/locust/peakday.yaml peakday.yaml
fi
peakday run "$@"
code=$?
echo "peakday run ended with exit code $code" >&2
if [ "$1" = "--master" ] && [ "${KEEP_S:-0}" -gt 0 ]; then
    echo "the record is in $(pwd)/runs for $KEEP_S s" >&2
    sleep "$KEEP_S"
fi
exit 0
