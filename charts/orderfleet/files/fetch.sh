# Brings the backup that is to be restored from the bucket, unless the volume has it.
STEP=fetch
umask 077
cd /backups
name=$BACKUP
if [ -z "$name" ]; then
  complete_ones
  for folder in *Z; do [ ! -f "$folder/SHA256SUMS" ] || echo "$folder" >>/tmp/complete; done
  name=$(sort /tmp/complete | tail -n 1)
fi
[ -n "$name" ] || { echo "fetch: bucket $BUCKET: no backup" >&2; exit 1; }
[ ! -f "$name/SHA256SUMS" ] || { echo "$name: is on the volume"; exit 0; }
rm -rf ./*.fetching
try copy "backups:$BUCKET/$name/" "$name.fetching"
[ -f "$name.fetching/SHA256SUMS" ] || { echo "fetch: bucket $BUCKET: no complete backup $name" >&2; exit 1; }
rm -rf "$name"
mv "$name.fetching" "$name"
echo "$name: fetched"
