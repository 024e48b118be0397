#!/usr/bin/env bash
# kubectl in the fleet's namespace: of the context that Tilt, which has looked at it, hands on in
# CONTEXT, or of the current one if that is a local cluster's by its name.
set -euo pipefail

context=${CONTEXT:-$(kubectl config current-context)}
case $context in
    "${CONTEXT:-}" | kind-* | k3d-* | minikube | docker-desktop) ;;
    *)
        echo "context $context is not a local cluster by its name: if it is one of yours, set CONTEXT=$context" >&2
        exit 2
        ;;
esac
exec kubectl --context "$context" --namespace orderfleet "$@"
