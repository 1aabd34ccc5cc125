#!/bin/sh
# What docker-entrypoint.sh of the official image does with the variables and the folder that compose.site.yaml uses.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  # The folder of a fresh volume may be there already, with the rights that the image gave it.
  chmod 700 "$PGDATA"
  eval "initdb --username=postgres --pwfile='$POSTGRES_PASSWORD_FILE' ${POSTGRES_INITDB_ARGS:-}" >/dev/null
  printf 'host all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sql; do
    psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username=postgres --dbname=postgres -f "$script"
  done
  pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
