#!/usr/bin/env bash
# Stands for the entrypoint of the official image postgres: a new cluster with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB in
# PGDATA, reached with the password from other hosts, and then the server.
set -euo pipefail

data=${PGDATA:-/var/lib/postgresql/data}
bin=$(echo /usr/lib/postgresql/*/bin)
as_postgres() { setpriv --reuid postgres --regid postgres --init-groups -- "$@"; }
mkdir -p "$data" /var/run/postgresql
chown postgres: "$data" /var/run/postgresql
chmod 700 "$data"
if [ ! -e "$data/PG_VERSION" ]; then
    as_postgres "$bin/initdb" --pgdata "$data" --username "$POSTGRES_USER" --pwfile <(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-host scram-sha-256 --auth-local trust --encoding UTF8 --no-locale --no-sync >/dev/null
    as_postgres "$bin/pg_ctl" --pgdata "$data" --options "-c listen_addresses=" --wait --silent start
    as_postgres "$bin/createdb" --username "$POSTGRES_USER" --maintenance-db postgres "${POSTGRES_DB:-$POSTGRES_USER}"
    as_postgres "$bin/pg_ctl" --pgdata "$data" --wait --silent --mode fast stop
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
fi
exec setpriv --reuid postgres --regid postgres --init-groups -- "$bin/postgres" -D "$data" -c 'listen_addresses=*'
