#!/usr/bin/env bash
# Bench this instance and push the record to S3. Run by cloud-init, or by hand:
#   METHOD=trace CHIP=inferentia2 MODEL=nano DESTINATION=s3://bucket/benches deploy/neuron/bench.sh
#   METHOD=endpoint CHIP=trainium2 MODEL=custom URL=http://127.0.0.1:8000/v1 DESTINATION=... deploy/neuron/bench.sh
# Built to the documentation and never run on hardware: docs/neuron.md says what is untested.
set -euo pipefail
: "${METHOD:?trace or endpoint}" "${CHIP:?such as inferentia2}" "${MODEL:?preset, config.json or served name}"
: "${DESTINATION:?s3://bucket/prefix}"
SUITE=${SUITE:-full} DTYPE=${DTYPE:-bfloat16} URL=${URL:-http://127.0.0.1:8000/v1} READY_S=${READY_S:-3600}
here=$(cd "$(dirname "$0")/../.." && pwd)
record=${RECORD:-benches/$CHIP-$MODEL-$METHOD-$(date -u +%Y%m%dT%H%M%SZ)}

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }

# trace needs the interpreter that holds torch-neuronx (a DLAMI's); endpoint only needs HTTP.
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ "$METHOD" = trace ]; then
    for venv in /opt/aws_neuronx_venv_pytorch_*/bin/python; do
      if [ -x "$venv" ] && "$venv" -c 'import torch_neuronx' 2>/dev/null; then PYTHON=$venv; fi
    done
  fi
fi
if ! "$PYTHON" -m peakday --help >/dev/null 2>&1; then
  say "installing peakday"
  "$PYTHON" -m pip install -q "$here"
fi

server=
stop_server() { if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; fi; }
trap stop_server EXIT
if [ "$METHOD" = endpoint ] && [ -n "${SERVE_COMMAND:-}" ]; then
  say "starting the server; a first compile can take most of an hour"
  bash -c "exec $SERVE_COMMAND" >&2 &
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
  "$PYTHON" -m peakday bench probe --device neuron
  options+=(--dtype "$DTYPE")
else
  options+=(--url "$URL")
fi
if [ -n "${INSTANCE_TYPE:-}" ]; then options+=(--instance-type "$INSTANCE_TYPE"); fi
"$PYTHON" -m peakday bench run "${options[@]}"

say "pushing"
aws s3 cp --recursive --only-show-errors "$record" "$DESTINATION/$(basename "$record")"
say "done: $DESTINATION/$(basename "$record")"
if [ "${POWER_OFF:-no}" = yes ]; then sudo shutdown -h now; fi
