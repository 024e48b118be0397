#!/usr/bin/env bash
# Deletes all orders: their workflows, including running ones, and their rows.
set -euo pipefail
cd "$(dirname "$0")"

# Checks the context before anything is deleted: the other commands do not look at it.
./kubectl.sh get statefulset/orderfleet-postgres --output name
make --silent --directory .. .venv/.run-stamp
orders="WorkflowType IN ('OrderWorkflow', 'ShippingWorkflow', 'RefundWorkflow', 'ForgetWorkflow')"
temporal=(../.venv/bin/temporal workflow)
address=(--address "${TEMPORAL_ADDRESS:-127.0.0.1:7233}")
"${temporal[@]}" delete "${address[@]}" --query "$orders" --reason 'reset-data' --yes
# Temporal deletes closed workflows in the background; no running one may write rows after this.
for _ in {1..30}; do
    left=$("${temporal[@]}" count "${address[@]}" --query "$orders AND ExecutionStatus = 'Running'")
    [[ $left != 'Total: 0' ]] || break
    sleep 1
done
[[ $left == 'Total: 0' ]] || { echo "reset: workflows are still running: $left" >&2 && exit 1; }
./kubectl.sh exec statefulset/orderfleet-postgres -- psql --username postgres --dbname orderfleet \
    --command 'TRUNCATE orders, payments, events, change_requests, restores, compared_servers, gateway.charges, gateway.shipments, gateway.calls'
