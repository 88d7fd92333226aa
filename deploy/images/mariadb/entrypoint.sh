#!/bin/bash
# Starts MariaDB in a container: makes the database on first start, then becomes
# the server.
#
#   MARIADB_ROOT_PASSWORD  root's password; required on first start
#   DATADIR                where the data lies (/var/lib/mysql/data)
#
# root logs in over the network by password.
set -euo pipefail

: "${DATADIR:=/var/lib/mysql/data}"
export DATADIR

# A command other than the server runs as it is.
if [ "${1:-mariadbd}" != mariadbd ] && [ "${1#-}" = "$1" ]; then
	exec "$@"
fi
[ "${1:-}" = mariadbd ] && shift

# The package makes this folder at boot; a container has none.
if [ "$(id -u)" = 0 ]; then
	install -d -o mysql -g mysql -m 0755 /run/mysqld
	install -d -o mysql -g mysql -m 0700 "$DATADIR"
	chown -R mysql:mysql "$DATADIR"
	exec setpriv --reuid=mysql --regid=mysql --init-groups "$0" mariadbd "$@"
fi

if [ ! -e "$DATADIR/initialised" ]; then
	if [ -z "${MARIADB_ROOT_PASSWORD:-}" ]; then
		echo "MARIADB_ROOT_PASSWORD is empty: set root's password for the first start" >&2
		exit 1
	fi
	# What a first start that was cut short has left.
	rm -rf "${DATADIR:?}"/*
	mariadb-install-db --no-defaults --datadir="$DATADIR" --auth-root-authentication-method=normal --skip-test-db >/dev/null
	password=${MARIADB_ROOT_PASSWORD//\\/\\\\}
	password=${password//\'/\\\'}
	mariadbd --no-defaults --bootstrap --datadir="$DATADIR" <<-SQL
		DELETE FROM mysql.global_priv WHERE User = '' OR User = 'root' AND Host <> 'localhost';
		FLUSH PRIVILEGES;
		ALTER USER root@localhost IDENTIFIED BY '$password';
		CREATE USER root@'%' IDENTIFIED BY '$password';
		GRANT ALL ON *.* TO root@'%' WITH GRANT OPTION;
	SQL
	touch "$DATADIR/initialised"
fi
unset MARIADB_ROOT_PASSWORD

exec mariadbd --no-defaults --datadir="$DATADIR" --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0 --skip-name-resolve "$@"
