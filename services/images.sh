#!/usr/bin/env bash
# Builds the services' images; `make images` calls it and hands it these, from the environment:
#   BUILDER     docker (default), podman or buildah
#   IMAGES      which services, by folder: "api order_worker shipping_worker"
#   REGISTRY    what stands before the name; by the default Kubernetes finds an image that was loaded
#               into a node under its short name
#   TAG         by default the version of the API
#   TARGET      another stage than the last, production: dev, which `tilt up` runs
#   BUILD_ARGS  further arguments of the build, such as --no-cache
# Who has a mirror of the package index sets PIP_CONFIG_FILE or PIP_INDEX_URL, as for pip itself.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "images: $1" >&2
    exit 2
}
version_of() { sed -n 's/^version = "\(.*\)"$/\1/p' "services/$1/pyproject.toml"; }

builder=${BUILDER:-docker}
case $builder in docker | podman | buildah) ;; *) fail "BUILDER is docker, podman or buildah, not $builder" ;; esac
command -v "$builder" >/dev/null || fail "$builder is not there: install it, or choose by BUILDER=docker, podman or buildah"
tag=${TAG:-$(version_of api)}
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
read -ra arguments <<<"${BUILD_ARGS:-}"
[[ -z ${TARGET:-} ]] || arguments+=(--target "$TARGET")
# An old docker has its BuildKit off, and buildah keeps what a step made for the next build when told.
export DOCKER_BUILDKIT=1 BUILDAH_LAYERS=true

pip_config=${PIP_CONFIG_FILE:-}
if [[ -n ${PIP_INDEX_URL:-} ]]; then
    pip_config=$(mktemp)
    trap 'rm -f "$pip_config"' EXIT
    printf '[global]\nindex-url = %s\n' "$PIP_INDEX_URL" >"$pip_config"
fi
[[ -z $pip_config || $pip_config == /dev/null ]] || arguments+=(--secret "id=pip,src=$pip_config")

size_of() {
    case $builder in
        buildah) buildah images --format '{{.Size}}' "$1" | sed -n 1p ;;
        *) "$builder" image inspect --format '{{.Size}}' "$1" | awk '{printf "%.0f MB\n", $1 / 1e6}' ;;
    esac
}

built=()
for service in ${IMAGES:-api order_worker shipping_worker}; do
    [[ -f services/$service/Dockerfile ]] || fail "no services/$service/Dockerfile: IMAGES names api, order_worker, shipping_worker"
    image=${REGISTRY:-docker.io/library}/orderfleet-${service//_/-}:$tag
    echo "images: $image"
    # The form with [@]+ is for the bash 3.2 of a Mac, to which an empty array is an unset one.
    "$builder" build ${arguments[@]+"${arguments[@]}"} \
        --build-arg "VERSION=$(version_of "$service")" --build-arg "REVISION=$revision" \
        -t "$image" -f "services/$service/Dockerfile" .
    built+=("$image")
done
for image in ${built[@]+"${built[@]}"}; do
    printf '%-64s %s\n' "$image" "$(size_of "$image")"
done
