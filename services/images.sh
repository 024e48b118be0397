#!/usr/bin/env bash
# Builds the services' images from services/Dockerfile. `make images` runs it; settings come from the
# environment:
#   BUILDER     docker (default), podman or buildah
#   IMAGES      the services to build, by folder; default "api order_worker shipping_worker"
#   REGISTRY    the prefix of the names; default docker.io/library, under which Kubernetes looks up the
#               short name of an image that was loaded into a node
#   TAG         default: the version of the API
#   TARGET      the stage to build; default: the last, production; `tilt up` runs dev
#   BUILD_ARGS  further arguments of the build, such as --no-cache
#   BASE_IMAGE  the image to build on; default: that of services/Dockerfile, by its tag
#   SOURCE_URL  the label `source`: the page of the repository; default: none
#   SOURCE_DATE_EPOCH  the time of the images and of their layers: then two builds of a commit are equal,
#               and take nothing from the builder's cache, where each step has the time of its own build
# For a mirror of the package index, set PIP_CONFIG_FILE or PIP_INDEX_URL, as for pip.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "images: $1" >&2
    exit 2
}
version_of() { sed -n 's/^version = "\(.*\)"$/\1/p' "services/$1/pyproject.toml"; }

builder=${BUILDER:-docker}
case $builder in docker | podman | buildah) ;; *) fail "BUILDER must be docker, podman or buildah, not $builder" ;; esac
command -v "$builder" >/dev/null || fail "$builder is not installed: install it, or set BUILDER to docker, podman or buildah"
tag=${TAG:-$(version_of api)}
revision=$(git describe --always --dirty --abbrev=40 --exclude='*' 2>/dev/null || echo unknown)
read -ra arguments <<<"${BUILD_ARGS:-}"
[[ -z ${TARGET:-} ]] || arguments+=(--target "$TARGET")
label=org.opencontainers.image
created=$(TZ=UTC0 git show --no-patch --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || true)
[[ -z $created ]] || arguments+=(--label "$label.created=$created")
[[ -z ${SOURCE_URL:-} ]] || arguments+=(--label "$label.source=$SOURCE_URL")
[[ -z ${BASE_IMAGE:-} ]] || arguments+=(--build-arg "BASE=$BASE_IMAGE" --label "$label.base.name=${BASE_IMAGE%@*}")
[[ ${BASE_IMAGE:-} != *@* ]] || arguments+=(--label "$label.base.digest=${BASE_IMAGE#*@}")
if [[ -n ${SOURCE_DATE_EPOCH:-} ]]; then
    arguments+=(--no-cache)
    case $builder in
        docker) arguments+=(--build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH") ;;
        *) arguments+=(--timestamp "$SOURCE_DATE_EPOCH") ;;
    esac
fi
# Old versions of docker do not use BuildKit by default, and buildah does not cache layers by default.
# docker's own attestation has the time of the build, so two builds would differ; a release makes its own.
export DOCKER_BUILDKIT=1 BUILDAH_LAYERS=true BUILDX_NO_DEFAULT_ATTESTATIONS=1

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
    case $service in
        api | order_worker | shipping_worker) ;;
        *) fail "IMAGES takes api, order_worker and shipping_worker, not $service" ;;
    esac
    image=${REGISTRY:-docker.io/library}/orderfleet-${service//_/-}:$tag
    echo "images: $image"
    # [@]+ is for bash 3.2 on macOS, which takes an empty array for unset.
    "$builder" build ${arguments[@]+"${arguments[@]}"} \
        --build-arg "SERVICE=$service" --build-arg "VERSION=$(version_of "$service")" \
        --build-arg "REVISION=$revision" -t "$image" -f services/Dockerfile .
    built+=("$image")
done
for image in ${built[@]+"${built[@]}"}; do
    printf '%-64s %s\n' "$image" "$(size_of "$image")"
done
