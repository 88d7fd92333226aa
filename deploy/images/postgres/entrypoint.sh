#!/bin/bash
# Starts PostgreSQL in a container: makes the database on first start, then
# becomes the server.
#
#   POSTGRES_PASSWORD  the superuser's password; required on first start
#   POSTGRES_USER      the superuser's name (postgres)
#   POSTGRES_DB        a database to make on first start (the superuser's name)
#   PGDATA             where the data lies (/var/lib/postgresql/data)
#
# Clients over the network log in by password, those inside of the container
# need none.
set -euo pipefail

: "${PGDATA:=/var/lib/postgresql/data}"
: "${POSTGRES_USER:=postgres}"
: "${POSTGRES_DB:=$POSTGRES_USER}"
export PGDATA PATH="/usr/lib/postgresql/15/bin:$PATH"

# A command other than the server runs as it is.
if [ "${1:-postgres}" != postgres ] && [ "${1#-}" = "$1" ]; then
	exec "$@"
fi
[ "${1:-}" = postgres ] && shift

# The package makes this folder at boot; a container has none.
if [ "$(id -u)" = 0 ]; then
	install -d -o postgres -g postgres -m 2775 /run/postgresql
	install -d -o postgres -g postgres -m 0700 "$PGDATA"
	chown -R postgres:postgres "$PGDATA"
	HOME=/var/lib/postgresql exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" postgres "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	if [ -z "${POSTGRES_PASSWORD:-}" ]; then
		echo "POSTGRES_PASSWORD is empty: set the superuser's password for the first start" >&2
		exit 1
	fi
	initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
		--encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 >/dev/null
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	if [ "$POSTGRES_DB" != postgres ]; then
		pg_ctl --wait --silent --options="-c listen_addresses=''" start >/dev/null
		createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
		pg_ctl --wait --silent --mode=fast stop
	fi
fi
unset POSTGRES_PASSWORD

exec postgres -c listen_addresses='*' -c unix_socket_directories=/run/postgresql "$@"
