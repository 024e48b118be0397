#!/usr/bin/env bash
# build.sh SERVICE: builds a service's dev image and loads it into the cluster. Tilt runs it with the
# image's name in EXPECTED_*, and with BUILDER, BUILD_ARGS, LOAD and CONTEXT from tilt/images.Tiltfile.
set -euo pipefail
cd "$(dirname "$0")/.."

export IMAGES=$1 TARGET=dev TAG=$EXPECTED_TAG REGISTRY=${EXPECTED_REGISTRY:-}
services/images.sh
# Tilt itself loads docker's images, unless LOAD is set.
[[ $BUILDER == docker && -z $LOAD ]] ||
    k8s/load.sh "$CONTEXT" "${REGISTRY:-docker.io/library}/orderfleet-${1//_/-}:$TAG"
