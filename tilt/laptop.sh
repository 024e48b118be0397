#!/usr/bin/env bash
# laptop.sh SERVICE [COMMAND...]: runs api, order_worker or shipping_worker on this machine instead of
# in the cluster, with its settings from the cluster, through the ports that Tilt forwards.
# COMMAND defaults to the service's program.
set -euo pipefail
cd "$(dirname "$0")/.."

service=${1//_/-}
name=orderfleet-$service
make --silent .venv/.run-stamp
# shellcheck disable=SC2016  # the variables are the template's
settings=$(tilt/kubectl.sh get configmap "$name" \
    --output go-template='{{range $key, $value := .data}}{{printf "%s=%s\n" $key $value}}{{end}}')
while IFS= read -r setting; do export "${setting?}"; done <<<"$settings"
PGPASSWORD=$(tilt/kubectl.sh get secret orderfleet-postgres \
    --output go-template='{{index .data "fleet-password" | base64decode}}')
export PGPASSWORD DATABASE_URL=${DATABASE_URL/orderfleet-postgres:5432/127.0.0.1:15432}
export TEMPORAL_ADDRESS=127.0.0.1:7233 ORDERFLEET_LOG_FORMAT=auto
# 9090 and 8000 are forwarded ports.
export ORDERFLEET_PROBE_HOST=127.0.0.1 ORDERFLEET_PROBE_PORT=9190 ORDERFLEET_API_HOST=127.0.0.1 ORDERFLEET_API_PORT=8001
[[ -z ${OTEL_EXPORTER_OTLP_ENDPOINT:-} ]] || export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317

tilt/kubectl.sh scale "deployment/$name" --replicas 0
trap 'tilt/kubectl.sh scale "deployment/$name" --replicas 1' EXIT
# Ctrl-C goes to the service: it drains, and the cluster's Deployment is scaled up again.
trap : INT
PATH=$PWD/.venv/bin:$PATH
shift
"${@:-$name}"
