#!/usr/bin/env bash
# A psql shell in the cluster's Postgres. Without a terminal, as in Tilt's page: counts orders by state.
set -euo pipefail
cd "$(dirname "$0")"

psql=(psql --username postgres --dbname orderfleet)
if [[ -t 0 ]]; then
    exec ./kubectl.sh exec --stdin --tty statefulset/orderfleet-postgres -- "${psql[@]}" "$@"
fi
./kubectl.sh exec statefulset/orderfleet-postgres -- "${psql[@]}" \
    --command 'SELECT state, count(*) FROM orders GROUP BY state ORDER BY state'
echo 'For a shell, run tilt/psql.sh in a terminal.'
