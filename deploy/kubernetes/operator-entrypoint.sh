#!/bin/sh
# Entry point of the image for Locust's operator, which starts `--master ARGS` and `--worker --master-host HOST ARGS`.
# A worker takes its run from the master and ignores ARGS. The operator mounts no volume to write to: the master's pod
# stays for KEEP_S seconds after the run, so that `kubectl cp POD:/home/peakday/runs runs` can fetch the record.
if [ -f /home/locust/peakday.yaml ]; then
    cp /home/locust/peakday.yaml peakday.yaml
fi
peakday run "$@"
code=$?
if [ "$1" = "--master" ] && [ "${KEEP_S:-0}" -gt 0 ]; then
    echo "exit code $code; the record is in /home/peakday/runs for $KEEP_S s" >&2
    sleep "$KEEP_S"
fi
exit $code
