#!/usr/bin/env bash
# Places an order, cancels it while it is under review, and follows it to its end.
set -euo pipefail
cd "$(dirname "$0")"

order=tilt-cancel-$(date +%s)
# Without the CLI: a second Python may take longer to start than the review, 2 s.
post() { # post PATH BODY
    curl --silent --show-error --fail-with-body --header 'content-type: application/json' \
        --data "$2" "${ORDERFLEET_URL:-http://127.0.0.1:8000}/orders/$order/$1" && echo
}
post start '{"payment_id": "'"$order"'-payment", "address": {"street": "1 Main St", "city": "Springfield"}}'
post signals/cancel '{"reason": "the button of Tilt"}'
exec ./cli.sh watch "$order"
