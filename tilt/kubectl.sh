#!/usr/bin/env bash
# kubectl in the fleet's namespace: in the context CONTEXT, which Tilt has checked, or in the current
# context if it has a local cluster's name.
set -euo pipefail

context=${CONTEXT:-$(kubectl config current-context)}
if [[ -z ${CONTEXT:-} ]] && ! "$(dirname "$0")/../k8s/local_context.sh" "$context"; then
    echo "context $context is not a local cluster by its name: if it is one of yours, set CONTEXT=$context" >&2
    exit 2
fi
exec kubectl --context "$context" --namespace orderfleet-dev "$@"
