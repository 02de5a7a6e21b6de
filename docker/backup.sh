#!/usr/bin/env bash
# Copy what must not be lost into a new folder, while the chain runs: Airflow's database, the bucket, and the two files of settings.
# The folder holds secrets. A bucket that is not this stack's own store has its own ways of being copied.
#
#   docker/backup.sh FOLDER
set -euo pipefail
[[ $# == 1 && $1 != -* ]] || { sed -n '2,5p' "$0" >&2; exit 2; }
[[ ! -e $1 ]] || { echo "error: $1 is there already; name a new folder" >&2; exit 1; }
umask 077
mkdir -p "$1.part"
folder=$(cd "$1.part" && pwd)
cd "$(dirname "$0")"
# shellcheck source-path=SCRIPTDIR
. ./compose.sh
# The database first: steps that it does not know of find what they did in the bucket.
in_postgres pg_dump --username=airflow --format=custom airflow > "$folder/airflow.dump"
compose exec -T api-server python3 scripts/mirror.py save > "$folder/bucket.tar"
cp .env widedeep.env "$folder"
mv "$folder" "${folder%.part}"
echo "backup: ${folder%.part}: $(du -sh "${folder%.part}" | cut -f1)"
