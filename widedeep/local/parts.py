"""The six parts: how each is started, on which ports it listens, and in which of the two stages it comes up."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from widedeep.errors import StackError
from widedeep.local import database
from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import BUCKET, Place, Stack

# What SeaweedFS's own servers sign their requests to each other with.
SIGNING_KEYS = tuple(f"WEED_JWT_{kind}_KEY" for kind in ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ"))


@dataclass(frozen=True)
class Part:
    """`patience_s` bounds the wait for its health: ten times what it took on two busy cores, and more for a cold disk.

    `environment` is what it alone gets, beside the environment of all parts.
    """

    name: str
    stage: int
    command: tuple[str, ...]
    uses: tuple[str, ...]
    folder: Path
    patience_s: int
    stop_signal: str = "TERM"
    user: str | None = None
    health: str = ""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def parts_of(place: Place, stack: Stack) -> tuple[Part, ...]:
    """In the order of their start."""
    return (_store(place, stack), _postgres(place, stack), *_airflow(place))


def _store(place: Place, stack: Stack) -> Part:
    """Of its HTTP ports only S3's takes orders: master and filer answer none, volume servers want what S3 signs."""
    uses = ("s3", "weed master", "weed volume", "weed filer", "weed admin")
    flags = {f"{use.removeprefix('weed ')}.port": str(port_of(use, stack.port)) for use in uses}
    flags |= {"ip": HOST, "ip.bind": HOST, "bucket": BUCKET, "dir": str(place.store), "master.telemetry": "false"}
    flags |= {
        "volume.preStopSeconds": "0",
        "webdav": "false",
        "admin.ui": "false",
        "s3.iam": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
    }
    # Both would serve and delete every object without credentials; the keys alone leave the master's /col/delete open.
    flags |= {"disableHttp": "true"}
    # Relative to its folder, since a socket's path may have 107 characters at most.
    flags |= {"s3.localSocket": "s3.sock", "filer.localSocket": "filer.sock"}
    command = (_weed(), "-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items()))
    every = (*uses, *(f"{use} gRPC" for use in uses))
    return Part("store", 1, command, every, place.store, 60, environment=dict.fromkeys(SIGNING_KEYS, stack.store_signing_key))


def _weed() -> str:
    found = shutil.which("weed", path=str(Path(sys.executable).parent))
    if found is None:
        raise StackError(f"no `weed` beside {sys.executable}: the environment is incomplete. Run `make setup`.")
    return found


def _postgres(place: Place, stack: Stack) -> Part:
    home = database.find_home(place.state)
    command = database.server_command(home, port_of("postgres", stack.port))
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
    return Part("postgres", 1, command, ("postgres",), Path("/"), 60, "INT", home.user)


def _airflow(place: Place) -> tuple[Part, ...]:
    def part(name: str, health: str, *flags: str, uses: tuple[str, ...] = ()) -> Part:
        command = (sys.executable, "-m", "airflow", name, *flags)
        return Part(name, 2, command, uses, place.airflow_home, 240, health=health)

    return (
        part("api-server", "metadatabase", uses=("api-server",)),
        part("scheduler", "scheduler", "--skip-serve-logs"),
        part("dag-processor", "dag_processor"),
        part("triggerer", "triggerer", "--skip-serve-logs"),
    )
