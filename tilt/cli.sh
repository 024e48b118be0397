#!/usr/bin/env bash
# Runs the command `orderfleet`, and installs it first if necessary: cli.sh load --rate 5 --seconds 20
set -euo pipefail
cd "$(dirname "$0")/.."

make --silent .venv/.run-stamp
exec .venv/bin/orderfleet "$@"
