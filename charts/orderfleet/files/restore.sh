# Checks a backup and restores each of its databases, which nobody else may use meanwhile.
cd /backups
name=${BACKUP:-$(ls -d *Z 2>/dev/null | sort | tail -n 1)}
[ -f "$name/SHA256SUMS" ] || { echo "restore: no backup '$name'" >&2; exit 1; }
cd "$name"
sha256sum --check --quiet SHA256SUMS
schema=$(sed -n 's/.*"schema": *\([0-9]*\).*/\1/p' manifest.json)
newest=$(cat /tmp/schema)
[ "$schema" -le "$newest" ] || {
  echo "restore: the backup has version $schema of the schema, this release knows $newest" >&2
  exit 1
}
ask() {
  psql -XAtq --set ON_ERROR_STOP=1 --no-password --dbname "$1"
}
use() {
  case $1 in
    fleet) url=$FLEET_URL PGPASSWORD=$FLEET_PASSWORD ;;
    temporal) url=${TEMPORAL_URL-} PGPASSWORD=${TEMPORAL_PASSWORD-} ;;
    visibility) url=${VISIBILITY_URL-} PGPASSWORD=${TEMPORAL_PASSWORD-} ;;
  esac
  export PGPASSWORD
  [ -n "$url" ] || { echo "restore: the backup has $1, which is not this release's" >&2; exit 1; }
}
# A network that enforces policies learns of a new pod within seconds, and refuses it until then.
for _ in $(seq 60); do pg_isready --quiet --dbname="$FLEET_URL" && break; sleep 1; done
kinds=$(for file in *.dump; do echo "${file%.dump}"; done)
for kind in $kinds; do
  use "$kind"
  sessions=$(ask "$url" <<'END'
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL
  AND coalesce(backend_type, 'client backend') = 'client backend'
END
  )
  [ "$sessions" -eq 0 ] || {
    echo "restore: $sessions sessions use the database $kind: stop the API, the workers and Temporal" >&2
    exit 1
  }
done
for kind in $kinds; do
  use "$kind"
  echo "$kind: restoring"
  ask "$url" <<'END'
SET client_min_messages = warning;
BEGIN;
SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
ALTER SCHEMA public OWNER TO pg_database_owner;
COMMIT;
END
  pg_restore --no-password --exit-on-error --single-transaction --no-owner --no-comments \
    --dbname="$url" "$kind.dump"
done
sed -n 's/.*"taken_at": *"\([^"]*\)".*/\1/p' manifest.json | sort | head -n 1 >/tmp/since
echo "$name: restored"
