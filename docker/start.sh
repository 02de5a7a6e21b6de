#!/usr/bin/env bash
# Start the chain on this server; the first time, make its secrets. Done again it changes nothing but what was stopped.
#
#   docker/start.sh                     PostgreSQL, SeaweedFS and Airflow, tasks in the scheduler's container
#   docker/start.sh --celery            tasks on workers, training on workers of its own
#   docker/start.sh --serve             with the scoring server
#   docker/start.sh --sample            with MovieLens-100k as daily deliveries, to look at it
#   docker/start.sh --no-up             only make the files, to look at them first
#   docker/start.sh -- --scale worker-training=2     what follows is for `compose up`
#
# The options choose profiles on the first run, and stand in docker/.env from then on: change them there.
set -euo pipefail
cd "$(dirname "$0")"

random_hex() { od -An -N "$1" -tx1 /dev/urandom | tr -d ' \n'; }

write_secrets() {
  cat > .env.part <<ENV
# Made by start.sh; holds secrets. compose.yaml says what else may stand here. Keep a copy where the server's end doesn't reach it:
# without FERNET_KEY a restored database can't read its connections.
COMPOSE_PROFILES=$(IFS=,; echo "${profiles[*]-}")
EXECUTOR=$executor
ADMIN_PASSWORD=$(random_hex 12)
POSTGRES_PASSWORD=$(random_hex 16)
REDIS_PASSWORD=$(random_hex 16)
STORE_ACCESS_KEY=$(random_hex 10)
STORE_SECRET_KEY=$(random_hex 20)
STORE_SIGNING_KEY=$(random_hex 32)
FERNET_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_')
JWT_SECRET=$(random_hex 32)
API_SECRET_KEY=$(random_hex 16)
SERVE_TOKEN=$(random_hex 24)
ENV
  mv .env.part .env
}

# The history are eight days, the daily spans nine, as `make local-airflow` has them; the sample feed goes on from today.
write_settings() {
  local start feed
  feed=$(date -u +%F)
  start=$feed
  if [[ $sample ]]; then start=$(date -u -d "$feed - 9 days" +%F); fi
  {
    echo "# The library's settings (widedeep/config.py has all), for every process; made by start.sh, yours from now on."
    echo "WIDEDEEP_CONTRACT=/opt/airflow/dags/contracts/movielens.yaml"
    echo "# The first daily span: frozen, because Airflow catches up from it."
    echo "WIDEDEEP_START_DATE=$start"
    if [[ $sample ]]; then
      echo "WIDEDEEP_HISTORY_START=$(date -u -d "$start - 8 days" +%F)"
      echo "WIDEDEEP_FEED_START=$feed"
      echo "WIDEDEEP_SAMPLE=/opt/airflow/sample"
    fi
  } > widedeep.env.part
  mv widedeep.env.part widedeep.env
}

profiles=() executor=widedeep_airflow.executor.PreloadedLocalExecutor sample='' up=yes
while [[ $# -gt 0 && $1 != -- ]]; do
  case $1 in
    --celery) profiles+=(celery) executor=CeleryExecutor ;;
    --serve) profiles+=(serve) ;;
    --sample) profiles+=(sample) sample=yes ;;
    --no-up) up='' ;;
    --help) sed -n '2,12p' "$0"; exit ;;
    *) sed -n '2,12p' "$0" >&2; exit 2 ;;
  esac
  shift
done

umask 077
if [[ ! -e .env ]]; then
  write_secrets
elif [[ ${#profiles[@]} -gt 0 ]]; then
  echo "docker/.env stands, so the options change nothing: set COMPOSE_PROFILES and EXECUTOR there" >&2
fi
[[ -e widedeep.env ]] || write_settings
[[ $up ]] || exit 0
# shellcheck source-path=SCRIPTDIR
. ./compose.sh
start_all "${@:2}"
echo "Airflow's address is BASE_URL in docker/.env, else http://127.0.0.1:8080; user admin, password: ADMIN_PASSWORD there"
