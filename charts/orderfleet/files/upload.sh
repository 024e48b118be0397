# Uploads the backup that this pod has made, and checks it there; then the oldest ones there go. A folder
# without SHA256SUMS is no backup: of a new one that file comes last, of an old one it goes first.
STEP=upload
name=$(cat /tmp/name)
cd "/backups/$name"
try copy --exclude /SHA256SUMS . "backups:$BUCKET/$name/"
try check --exclude /SHA256SUMS . "backups:$BUCKET/$name/"
try copy --include /SHA256SUMS . "backups:$BUCKET/$name/"
try check . "backups:$BUCKET/$name/"
echo "$name: uploaded and checked"
complete_ones
oldest=$(sort -r /tmp/complete | sed -n "${KEEP}p")
[ -n "$oldest" ] || exit 0
try lsf --dirs-only "backups:$BUCKET/" >/tmp/folders
for old in $(sed -n 's|^\([0-9T-]*Z\)/$|\1|p' /tmp/folders | sort | sed "/^$oldest\$/,\$d"); do
  try delete --include /SHA256SUMS "backups:$BUCKET/$old/"
  try delete "backups:$BUCKET/$old/"
  echo "$old: deleted from the bucket"
done
