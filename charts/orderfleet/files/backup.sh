# Dumps each database into a new folder, in the format of `orderfleet backup`. The folder gets its name
# when it is complete; then the oldest ones go.
umask 077
name=$(date -u +%Y-%m-%dT%H-%M-%SZ)
rm -rf /backups/*.unfinished
mkdir "/backups/$name.unfinished"
cd "/backups/$name.unfinished"
ask() {
  psql -XAtq --set ON_ERROR_STOP=1 --no-password --dbname "$1" --command "$2"
}
# A network that enforces policies learns of a new pod within seconds, and refuses it until then.
for _ in $(seq 60); do pg_isready --quiet --dbname="$FLEET_URL" && break; sleep 1; done
dumps=
# Visibility comes last: it then has every workflow that Temporal has.
for kind in fleet temporal visibility; do
  case $kind in
    fleet) url=$FLEET_URL PGPASSWORD=$FLEET_PASSWORD ;;
    temporal) url=${TEMPORAL_URL-} PGPASSWORD=${TEMPORAL_PASSWORD-} ;;
    visibility) url=${VISIBILITY_URL-} ;;
  esac
  [ -n "$url" ] || continue
  export PGPASSWORD
  server=$(ask "$url" "SELECT substring(version() FROM '^\\S+ \\S+')")
  taken=$(ask "$url" "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
  echo "$kind: dumping"
  pg_dump --format=custom --no-password --lock-wait-timeout=10s --file="$kind.dump" --dbname="$url"
  bytes=$(stat -c %s "$kind.dump")
  echo "$kind: $bytes bytes"
  dumps="$dumps${dumps:+,}
    {\"database\": \"$kind\", \"file\": \"$kind.dump\", \"taken_at\": \"$taken\", \"bytes\": $bytes, \"server\": \"$server\"}"
done
PGPASSWORD=$FLEET_PASSWORD
# After the dump: a migration meanwhile makes the backup seem newer, never older.
schema=$(ask "$FLEET_URL" 'SELECT coalesce(max(number), 0) FROM schema_migrations')
cat >manifest.json <<END
{
  "schema": $schema,
  "dumps": [$dumps
  ],
  "orderfleet": "$RELEASE",
  "format": 1
}
END
sha256sum ./*.dump manifest.json | sed 's| \./| |' >SHA256SUMS
sync
mv "/backups/$name.unfinished" "/backups/$name"
echo "$name" >/tmp/name
echo "$name: complete"
cd /backups
ls -d ./*Z | sort -r | tail -n +$((KEEP + 1)) | xargs -r rm -rf
