#!/bin/sh
# Which operator owns the kind LocustTest in this cluster, and which file of this folder is for it.
# Two operators use the kind: Locust's own (group locust.io since its charts of 2026, locust.cloud before; it knows
# `spec.workers`) and AbdelrhmanHamouda/locust-k8s-operator (group locust.io too; it does not).
# Usage: sh which-operator.sh
workers='{.spec.versions[*].schema.openAPIV3Schema.properties.spec.properties.workers.type}'
for group in locust.io locust.cloud; do
    if ! found=$(kubectl get crd "locusttests.$group" -o "jsonpath=$workers" 2>/dev/null); then
        continue
    fi
    if [ -z "$found" ]; then
        echo "locusttests.$group belongs to another operator (no spec.workers): use job.yaml" >&2
        exit 1
    fi
    case $group in
        locust.io) echo operator.yaml ;;
        locust.cloud) echo operator-2025.yaml ;;
    esac
    exit 0
done
echo "no operator here knows LocustTest: use job.yaml" >&2
exit 1
