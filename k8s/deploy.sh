#!/usr/bin/env bash
# Builds the images, loads them into the cluster of kubectl's current context and installs or upgrades
# the chart. `make deploy` runs it; settings come from the environment:
#   YES         the name of the context: confirms a context without a local cluster's name
#   BUILDER, REGISTRY, BUILD_ARGS   as for `make images`; with REGISTRY, the images are pushed to it
#   TAG         default: the version and a hash of the images' sources
#   LOAD        a command that takes the images' names and loads them into the cluster, see load.sh
#   NAMESPACE   default: orderfleet
#   HELM_ARGS   further arguments of `helm upgrade`, such as --values my-values.yaml; repeat them with
#               every deployment
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "deploy: $1" >&2
    exit 2
}
need() { command -v "$1" >/dev/null || fail "$1 is not installed: $2"; }

builder=${BUILDER:-docker}
namespace=${NAMESPACE:-orderfleet}
read -ra helm_args <<<"${HELM_ARGS:-}"

need kubectl https://kubernetes.io/docs/tasks/tools/
need helm https://helm.sh/docs/intro/install/
need "$builder" "install it, or choose another: make deploy BUILDER=podman"
context=$(kubectl config current-context 2>/dev/null) ||
    fail 'kubectl has no current context: make a cluster (kind create cluster), or choose one (kubectl config use-context)'

# A forgotten context must not lead to a deployment in a cluster that others use.
if [[ -n ${YES:-} ]]; then
    [[ $YES == "$context" ]] || fail "YES=$YES, but the current context is $context"
elif ! k8s/local_context.sh "$context"; then
    [[ -t 0 ]] || fail "context $context is not a local cluster by its name: if it is the right one, say YES=$context"
    read -rp "Deploy to $context, namespace $namespace? Type the context's name: " answer || true
    [[ ${answer:-} == "$context" ]] || fail "not deployed to $context"
fi

# Checks how images get there before the build, which takes minutes.
k8s/load.sh "$context"
kubectl --context "$context" get --raw /readyz --request-timeout 10s >/dev/null 2>&1 ||
    fail "the cluster of context $context does not answer: kubectl --context $context get nodes"

# Kubernetes replaces pods when their image's name changes, so the tag has to change with the content,
# and only with it. A commit would not do: uncommitted work has none, and a change of a document has a
# new one. The hash covers the sources of the production images and the way they are built.
content_of() {
    local files
    files=$(find LICENSE services -type f \( -name LICENSE -o -name Dockerfile -o -name images.sh \
        -o -name pyproject.toml -o -name '*requirements.txt' -o -path '*/src/*' \) \
        ! -path '*/__pycache__/*' ! -path 'services/cli/*' | LC_ALL=C sort)
    { echo "$files" && git hash-object --no-filters --stdin-paths <<<"$files"; } | git hash-object --stdin
}
if [[ -z ${TAG:-} ]]; then
    need git 'or set TAG to one that changes when the code does'
    TAG=$(sed -n 's/^version = "\(.*\)"$/\1/p' services/api/pyproject.toml)-$(content_of | cut -c 1-12)
fi
export TAG BUILDER=$builder IMAGES='api order_worker shipping_worker'
services/images.sh

images=()
values=()
for service in api:api order-worker:orderWorker shipping-worker:shippingWorker; do
    images+=("${REGISTRY:-docker.io/library}/orderfleet-${service%:*}:$TAG")
    values+=(--set-string "${service#*:}.image.tag=$TAG")
    [[ -z ${REGISTRY:-} ]] || values+=(--set-string "${service#*:}.image.repository=$REGISTRY/orderfleet-${service%:*}")
done

echo "deploy: images to $context"
k8s/load.sh "$context" "${images[@]}"

# With the context, as another terminal may have changed the current one meanwhile.
helm upgrade --install orderfleet charts/orderfleet --kube-context "$context" \
    --namespace "$namespace" --create-namespace --wait --timeout 5m \
    "${values[@]}" ${helm_args[@]+"${helm_args[@]}"} || {
    echo "deploy: not all is ready; see: kubectl --context $context --namespace $namespace get pods,jobs" >&2
    exit 1
}
