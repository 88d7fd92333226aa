export PGHOST="$1"
prefix="$2"
id="$3"
shift 3
if [ $# -eq 0 ]; then
  all="$(psql -AtX -d postgres -c "SELECT datname FROM pg_database WHERE datallowconn AND datname NOT IN ('template0', 'rdsadmin') ORDER BY 1")"
  mapfile -t databases <<< "$all"
else
  databases=("$@")
fi
cd "$(mktemp -d)"
mkdir backup
for db in "${databases[@]}"; do
  [ -n "$db" ] || { echo "no database found to dump" >&2; exit 1; }
  echo "dumping database $db"
  pg_dump -C --inserts -d "$db" > "backup/$db.sql"
done
tar -zc backup | kando location push --profile "$PROFILE" --path "$prefix/$id" -
kando output backupID "$id"
