#!/usr/bin/env bash
# A psql shell in the cluster's Postgres. Tilt's page is no terminal: there it says how to get one.
set -euo pipefail
cd "$(dirname "$0")"

psql=(psql --username postgres --dbname orderfleet)
if [[ -t 0 ]]; then
    exec ./kubectl.sh exec --stdin --tty statefulset/orderfleet-postgres -- "${psql[@]}" "$@"
fi
./kubectl.sh exec statefulset/orderfleet-postgres -- "${psql[@]}" \
    --command 'SELECT state, count(*) FROM orders GROUP BY state ORDER BY state'
echo 'A shell, in a terminal: tilt/psql.sh'
