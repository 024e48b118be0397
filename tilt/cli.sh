#!/usr/bin/env bash
# The command `orderfleet`, installed if it is not: cli.sh load --rate 5 --seconds 20
set -euo pipefail
cd "$(dirname "$0")/.."

make --silent .venv/.run-stamp
exec .venv/bin/orderfleet "$@"
