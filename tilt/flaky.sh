#!/usr/bin/env bash
# flaky.sh on|off: makes activities of all orders fail and hang at random, or stops that.
set -euo pipefail
cd "$(dirname "$0")"

workers=(deployment/orderfleet-order-worker deployment/orderfleet-shipping-worker)
case ${1:-} in
    on) ./kubectl.sh set env "${workers[@]}" 'ORDERFLEET_FLAKY=*' ;;
    # Back to the setting of the chart, which is off.
    off) ./kubectl.sh set env "${workers[@]}" ORDERFLEET_FLAKY- ;;
    *) echo 'usage: flaky.sh on|off' >&2 && exit 2 ;;
esac
for worker in "${workers[@]}"; do ./kubectl.sh rollout status "$worker" --timeout 2m; done
