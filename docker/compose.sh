# shellcheck shell=bash
# Sourced by the other scripts: `compose` is whichever of both this server has.
compose() {
  if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    docker compose "$@"
  elif command -v podman-compose >/dev/null; then
    podman-compose "$@"
  else
    echo "error: neither 'docker compose' with a running engine nor podman-compose is here; install one of them" >&2
    return 1
  fi
}

# A client of PostgreSQL in its container, with the password that is there.
in_postgres() {
  # shellcheck disable=SC2016  # its shell expands it, not ours
  compose exec -T postgres sh -c 'PGPASSWORD=$POSTGRES_PASSWORD exec "$@"' sh "$@"
}
