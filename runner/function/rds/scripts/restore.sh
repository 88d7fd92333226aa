export PGHOST="$1"
cd "$(mktemp -d)"
kando location pull --profile "$PROFILE" --path "$2" dump
read_dump() {
  if tar -tzf dump > /dev/null 2>&1; then
    tar -xzOf dump
  else
    gunzip -c -f dump
  fi
}
read_dump | sed "/^CREATE DATABASE /s/ LOCALE = / $3 = /" | psql -q -X -d postgres
