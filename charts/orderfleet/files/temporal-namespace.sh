# Makes the namespace and its search attribute if they are missing, and sets its retention. Each call is bounded: a server
# that goes away may leave a connection that never answers.
temporal() {
  command temporal --command-timeout 10s "$@"
}
until temporal operator cluster health >/dev/null 2>&1; do
  echo "waiting for Temporal at $TEMPORAL_ADDRESS"
  sleep 1
done
action=create
if temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  action=update
fi
temporal operator namespace "$action" -n "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
# A new namespace is known to every part of the server within seconds, not at once.
until temporal operator search-attribute create --name OrderState --type Keyword; do
  echo "waiting for namespace $TEMPORAL_NAMESPACE"
  sleep 1
done
