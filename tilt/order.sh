#!/usr/bin/env bash
# Places an order through the forwarded port and waits until it is fulfilled, as `helm test` does.
set -euo pipefail
cd "$(dirname "$0")/.."

export API_URL=${ORDERFLEET_URL:-http://127.0.0.1:8000} ORDER_PREFIX=tilt
# A port is forwarded a moment after its pod is ready.
curl --silent --show-error --fail --output /dev/null \
    --retry 60 --retry-delay 1 --retry-all-errors "$API_URL/orders?limit=1"
exec python3 charts/orderfleet/files/place-order.py
