#!/usr/bin/env bash
# Forgets all orders: their workflows, running ones too, and their rows.
set -euo pipefail
cd "$(dirname "$0")"

# Before anything goes: the fleet of a cluster that the others may not touch stays as it is.
./kubectl.sh get statefulset/orderfleet-postgres --output name
make --silent --directory .. .venv/.run-stamp
orders="WorkflowType IN ('OrderWorkflow', 'ShippingWorkflow', 'RefundWorkflow')"
temporal=(../.venv/bin/temporal workflow)
address=(--address "${TEMPORAL_ADDRESS:-127.0.0.1:7233}")
"${temporal[@]}" delete "${address[@]}" --query "$orders" --reason 'reset-data' --yes
# What has ended is deleted in the background; what still ran must not write rows any more.
for _ in {1..30}; do
    left=$("${temporal[@]}" count "${address[@]}" --query "$orders AND ExecutionStatus = 'Running'")
    [[ $left != 'Total: 0' ]] || break
    sleep 1
done
[[ $left == 'Total: 0' ]] || { echo "reset: some run on: $left" >&2 && exit 1; }
./kubectl.sh exec statefulset/orderfleet-postgres -- psql --username postgres --dbname orderfleet \
    --command 'TRUNCATE orders, payments, events, change_requests, gateway.charges, gateway.shipments, gateway.calls'
