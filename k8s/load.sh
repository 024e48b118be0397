#!/usr/bin/env bash
# load.sh CONTEXT [IMAGE...]: loads images into the cluster of that context; without images it only
# checks whether it could. `make deploy` and `tilt up` run it; settings come from the environment:
#   BUILDER     docker (default), podman or buildah: where the images are
#   REGISTRY    the prefix of the images' names; with it, the images are pushed
#   LOAD        a command that takes the images' names; not needed for kind, k3d, minikube and Docker
#               Desktop
set -euo pipefail

fail() {
    echo "load: $1" >&2
    exit 2
}
need() { command -v "$1" >/dev/null || fail "$1 is not installed: $2"; }

context=$1
images=("${@:2}")
builder=${BUILDER:-docker}
read -ra load <<<"${LOAD:-}"

if ((${#load[@]})); then
    need "${load[0]}" 'LOAD names it'
    way=load
elif [[ -n ${REGISTRY:-} ]]; then
    way=push
else
    case $context in
        kind-*) way=kind ;;
        k3d-*) way=k3d ;;
        minikube) way=minikube ;;
        docker-desktop) way=none ;;
        *) fail "no way is known to get images to $context: set REGISTRY, or LOAD to a command that takes their names" ;;
    esac
    case $way in
        none) [[ $builder == docker ]] || fail "Docker Desktop runs what docker has built: leave BUILDER=$builder out, or set REGISTRY" ;;
        *) need "$way" "context $context is its; or set LOAD to a command that takes the images' names" ;;
    esac
fi
((${#images[@]})) || exit 0

# Images that are not in docker's store are loaded from a file.
by_file() { # by_file COMMAND...: runs it with the name of an archive, once for each image
    local image archives
    archives=$(mktemp -d)
    # Expanded now: at the exit, the local variable is gone.
    # shellcheck disable=SC2064
    trap "rm -rf '$archives'" EXIT
    for image in "${images[@]}"; do
        case $builder in
            buildah) buildah push --quiet "$image" "docker-archive:$archives/image.tar:$image" ;;
            *) "$builder" save --output "$archives/image.tar" "$image" ;;
        esac
        "$@" "$archives/image.tar"
        rm -f "$archives/image.tar"
    done
}

case $way-$builder in
    load-*) "${load[@]}" "${images[@]}" ;;
    push-*) for image in "${images[@]}"; do "$builder" push "$image"; done ;;
    kind-docker) kind load docker-image --name "${context#kind-}" "${images[@]}" ;;
    kind-*) by_file kind load image-archive --name "${context#kind-}" ;;
    k3d-docker) k3d image import --cluster "${context#k3d-}" "${images[@]}" ;;
    k3d-*) by_file k3d image import --cluster "${context#k3d-}" ;;
    minikube-docker) minikube image load --profile "$context" "${images[@]}" ;;
    minikube-*) by_file minikube image load --profile "$context" ;;
esac
