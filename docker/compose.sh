# shellcheck shell=bash
# Sourced by the other scripts: compose by whichever this server has.

if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then
  engine=docker
elif command -v podman-compose >/dev/null; then
  engine=podman
else
  echo "error: neither 'docker compose' with a running engine nor podman-compose is here; install one of them" >&2
  exit 1
fi

compose() {
  if [[ $engine == docker ]]; then docker compose "$@"; else podman-compose "$@"; fi
}

# Start all of it, with these arguments of `compose up`. podman can't start what depends on `prepare` once that has ended, and podman 4
# doesn't wait for health: there `prepare` is run by itself (it waits for database and store), and the rest without dependencies.
start_all() {
  local parts
  if [[ $engine == podman ]]; then
    compose up --detach --no-deps postgres store
    compose up --no-deps prepare
    mapfile -t parts < <(compose config --services | grep -vx prepare)
    compose up --detach --no-deps "$@" "${parts[@]}"
  else
    compose up --detach "$@"
  fi
}

# A client of PostgreSQL in its container, with the password that is there.
in_postgres() {
  # shellcheck disable=SC2016  # its shell expands it, not ours
  compose exec -T postgres sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec "$@"' sh "$@"
}
