#!/usr/bin/env bash
# Bench this instance and push record and log to S3. Run by cloud-init, or by hand:
#   METHOD=trace CHIP=inferentia2 MODEL=nano DESTINATION=s3://bucket/benches deploy/neuron/bench.sh
#   METHOD=endpoint CHIP=trainium2 MODEL=custom TP=4 CHIPS_USED=1 DESTINATION=... deploy/neuron/bench.sh
# Whatever fails: the server is stopped, what was recorded and the log are pushed, and with POWER_OFF=yes the machine
# goes off. Built to the documentation and never run on hardware: docs/neuron.md says what is untested.
set -Eeuo pipefail
: "${METHOD:?trace or endpoint}" "${CHIP:?such as inferentia2}" "${MODEL:?preset, config.json or served name}"
: "${DESTINATION:?s3://bucket/prefix}"
SUITE=${SUITE:-full} DTYPE=${DTYPE:-bfloat16} URL=${URL:-http://127.0.0.1:8000/v1} READY_S=${READY_S:-3600}
here=$(cd "$(dirname "$0")/../.." && pwd)
record=${RECORD:-benches/$CHIP-$(basename "$MODEL")-$METHOD-$(date -u +%Y%m%dT%H%M%SZ)}
log=$(mktemp)
server=

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*" | tee -a "$log" >&2; }

finish() {
  code=$?
  trap - EXIT INT TERM
  if [ -n "$server" ]; then kill -- "-$server" 2>/dev/null || kill "$server" 2>/dev/null || true; fi
  if [ -d "$record" ]; then
    say "pushing $record"
    aws s3 cp --recursive --only-show-errors "$record" "$DESTINATION/$(basename "$record")" || code=${code/#0/5}
  fi
  say "exit code $code"
  aws s3 cp --only-show-errors "$log" "$DESTINATION/$(basename "$record").log" || code=${code/#0/5}
  rm -f "$log"
  if [ "${POWER_OFF:-no}" = yes ]; then sudo shutdown -h now || true; fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# trace needs the interpreter that holds torch-neuronx, whatever its environment is called; endpoint only needs HTTP.
fits() { "$1" -c "$2" >/dev/null 2>&1; }
find_python() {
  local candidate
  for candidate in ${VIRTUAL_ENV:+"$VIRTUAL_ENV/bin/python"} "${ENVIRONMENTS:-/opt}"/*/bin/python python3.14 python3.13 \
      python3.12 python3.11 python3; do
    if command -v "$candidate" >/dev/null && fits "$candidate" "$1"; then command -v "$candidate"; return; fi
  done
  return 1
}
if [ -z "${PYTHON:-}" ]; then
  needs='import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 14)'
  if [ "$METHOD" = trace ]; then needs="$needs; import torch_neuronx"; fi
  PYTHON=$(find_python "$needs") || { say "no Python 3.11 to 3.14 here can: $needs"; exit 5; }
fi
say "python: $PYTHON"
if ! fits "$PYTHON" 'import peakday.cli'; then
  say "installing peakday"
  "$PYTHON" -m pip install -q "$here" 2>&1 | tee -a "$log" >&2
fi

if [ "$METHOD" = endpoint ] && [ -n "${SERVE_COMMAND:-}" ]; then
  say "starting the server; a first compile can take most of an hour"
  # A gated model's token reaches the server alone, and no command line that others can read.
  HF_TOKEN=${MODEL_TOKEN:-} setsid bash -c "exec $SERVE_COMMAND" > >(tee -a "$log" >&2) 2>&1 &
  server=$!
  waited=0
  until curl -sf -m 5 "$URL/models" >/dev/null; do
    kill -0 "$server" 2>/dev/null || { say "the server ended before it was ready"; exit 5; }
    [ "$waited" -lt "$READY_S" ] || { say "no answer from $URL within $READY_S s"; exit 5; }
    sleep 5; waited=$((waited + 5))
  done
fi

say "measuring"
options=(--device neuron --method "$METHOD" --model "$MODEL" --suite "$SUITE" --chip "$CHIP" --out "$record")
if [ "$METHOD" = trace ]; then
  "$PYTHON" -m peakday bench probe --device neuron 2>&1 | tee -a "$log" >&2
  options+=(--dtype "$DTYPE")
else
  options+=(--url "$URL")
  if [ -n "${TP:-}" ]; then options+=(--tp "$TP"); fi
  if [ -n "${CHIPS_USED:-}" ]; then options+=(--chips-used "$CHIPS_USED"); fi
  if [ -n "${SERVER_HOST:-}" ]; then options+=(--server-host "$SERVER_HOST"); fi
fi
if [ -n "${INSTANCE_TYPE:-}" ]; then options+=(--instance-type "$INSTANCE_TYPE"); fi
if [ -n "${LENGTHS:-}" ]; then options+=(--lengths "$LENGTHS"); fi
if [ -n "${CONTEXTS:-}" ]; then options+=(--contexts "$CONTEXTS"); fi
if [ -n "${USERS:-}" ]; then options+=(--users "$USERS"); fi
"$PYTHON" -m peakday bench run "${options[@]}" 2>&1 | tee -a "$log" >&2
