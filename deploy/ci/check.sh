#!/bin/sh
# Performance gate for any CI server: sh check.sh [REF]. REF is the build to compare with, such as origin/main.
# SCENARIO: a name in the library or a path [smoke]. Writes peakday-*.xml (JUnit), .md and .html beside it.
#
# Exits with the gravest of both gates: 2 a mistake, 5 a build or its start failed, 1 a gate failed, 3 INVALID runs,
# 4 inconclusive, 0 pass. 3 and 4 are neither a pass nor a failure: warn, and do not block.
set -u
against=${1:-origin/main}
scenario=${SCENARIO:-smoke}

exact=0
peakday check "$scenario" --only exact --against "$against" \
  --junit peakday-exact.xml --markdown peakday-exact.md --html peakday-exact.html || exact=$?
regression=0
peakday check "$scenario" --only slo --only regression --against "$against" ${RATE:+--rate "$RATE"} \
  --junit peakday-regression.xml --markdown peakday-regression.md --html peakday-regression.html || regression=$?

echo "peakday: exact $exact, slo and regression $regression"
for code in 130 2 5 1 3 4; do
  if [ "$exact" -eq "$code" ] || [ "$regression" -eq "$code" ]; then exit "$code"; fi
done
exit "$((exact > regression ? exact : regression))"
