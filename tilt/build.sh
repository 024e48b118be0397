#!/usr/bin/env bash
# build.sh SERVICE: builds a service's dev image and gets it to the cluster. Tilt calls it, with the
# image's name in EXPECTED_*, and BUILDER, BUILD_ARGS, LOAD and CONTEXT as tilt/images.Tiltfile says.
set -euo pipefail
cd "$(dirname "$0")/.."

export IMAGES=$1 TARGET=dev TAG=$EXPECTED_TAG REGISTRY=${EXPECTED_REGISTRY:-}
services/images.sh
# What docker has built, and no command of one's own is to take, Tilt itself gets there.
[[ $BUILDER == docker && -z $LOAD ]] ||
    k8s/load.sh "$CONTEXT" "${REGISTRY:-docker.io/library}/orderfleet-${1//_/-}:$TAG"
