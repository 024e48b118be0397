#!/usr/bin/env bash
# kubectl in the fleet's namespace: of the context that Tilt hands on in CONTEXT, or the current one.
exec kubectl ${CONTEXT:+--context "$CONTEXT"} --namespace orderfleet "$@"
