#!/usr/bin/env bash
# Make the cluster and its one database, unless they are there; then serve.
set -euo pipefail
if [[ ! -e $PGDATA/PG_VERSION ]]; then
  rm -rf "$PGDATA.part"
  # shellcheck disable=SC2086  # several arguments
  initdb --pgdata="$PGDATA.part" --username="$POSTGRES_USER" --pwfile=<(echo "$POSTGRES_PASSWORD") --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
  echo "host all all all scram-sha-256" >> "$PGDATA.part/pg_hba.conf"
  # Alone, through its socket: nobody meets it half-made.
  export PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl --pgdata="$PGDATA.part" --wait --options="-c listen_addresses=''" start
  createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl --pgdata="$PGDATA.part" --wait stop
  unset PGPASSWORD
  mv "$PGDATA.part" "$PGDATA"
fi
exec postgres -D "$PGDATA" -c listen_addresses='*'
