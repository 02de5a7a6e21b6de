#!/usr/bin/env bash
# Start the chain from a backup, on a server that has no data of it yet. Cut off, it can be run again.
#
#   docker/restore.sh FOLDER
set -euo pipefail
[[ $# == 1 && -e $1/airflow.dump && -e $1/bucket.tar ]] || { sed -n '2,4p' "$0" >&2; exit 2; }
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")"
umask 077
for file in .env widedeep.env; do
  [[ ! -e $file ]] || cmp -s "$file" "$folder/$file" || { echo "error: docker/$file is another one than the backup's; move it away" >&2; exit 1; }
done
cp "$folder/.env" "$folder/widedeep.env" .
# shellcheck source-path=SCRIPTDIR
. ./compose.sh
compose up --detach --no-deps postgres store
for _ in {1..180}; do
  if in_postgres pg_isready --quiet --host=127.0.0.1 --username=airflow --dbname=airflow < /dev/null; then break; fi
  sleep 1
done
tables=$(in_postgres psql --username=airflow --tuples-only --no-align --command "select count(*) from pg_tables where schemaname = 'public'" airflow < /dev/null)
[[ $tables -eq 0 ]] || { echo "error: the database has $tables tables; a backup is restored into empty volumes only ('down --volumes' empties them)" >&2; exit 1; }
# The database last and as one: until then it is empty, and a restore that was cut off can be run again.
compose run --rm -T --no-deps prepare python3 scripts/mirror.py load < "$folder/bucket.tar"
in_postgres pg_restore --username=airflow --dbname=airflow --single-transaction --no-owner < "$folder/airflow.dump"
# shellcheck disable=SC2119  # no arguments: as .env says
start_all
echo "restored from $folder; 'widedeep verify --all' reads every release again (docker/README.md)"
