# Runs rclone. Of a failure, what it said last is the only line.
try() {
  rclone "$@" 2>/tmp/said || {
    said=$(tail -n 1 /tmp/said | sed 's|^[0-9/]* [0-9:]* [A-Z]* *: *||; s|, RequestID: [^,]*, HostID: [^,]*||')
    echo "$STEP: bucket $BUCKET: rclone $1: $said" >&2
    exit 1
  }
}
# The names of the complete backups there, to /tmp/complete.
complete_ones() {
  try lsf --recursive --files-only --include '/*Z/SHA256SUMS' "backups:$BUCKET/" >/tmp/SHA256SUMS
  sed 's|/.*||' /tmp/SHA256SUMS | sort >/tmp/complete
}
