"""Every port of the stack follows from one number, the base port, and is looked at before anything starts."""

import errno
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import psutil

from widedeep.errors import StackError

HOST = "127.0.0.1"
DEFAULT_PORT = 8080
GRPC = 10_000  # SeaweedFS's own rule: a server's gRPC port is its HTTP port plus 10,000
OFFSETS: Mapping[str, int] = MappingProxyType(
    {
        "api-server": 0,
        "supervisor": 1,
        "postgres": 2,
        "s3": 3,
        "weed master": 4,
        "weed volume": 5,
        "weed filer": 6,
        "weed admin": 7,
        "s3 gRPC": GRPC + 3,
        "weed master gRPC": GRPC + 4,
        "weed volume gRPC": GRPC + 5,
        "weed filer gRPC": GRPC + 6,
        "weed admin gRPC": GRPC + 7,
    }
)
SMALLEST_BASE = 1024  # those below need root
LARGEST_BASE = 65_535 - max(OFFSETS.values())


class Busy(NamedTuple):
    """A port that somebody else listens on."""

    use: str
    port: int
    listener: str


def port_of(use: str, base: int) -> int:
    """The port of one use, e.g. `port_of("s3", 8080)` is 8083."""
    return base + OFFSETS[use]


def check_base(base: int) -> None:
    """Raises StackError if the ports that follow from the base port do not exist or need root."""
    if not SMALLEST_BASE <= base <= LARGEST_BASE:
        raise StackError(
            f"PORT={base}: wanted a base port from {SMALLEST_BASE} to {LARGEST_BASE}; the others go up to base + 10007."
        )


def busy(uses: Iterable[str], base: int) -> tuple[Busy, ...]:
    """Those of the uses whose port can't be bound now."""
    return tuple(Busy(use, port, _listener(port)) for use in uses if not _is_free(port := port_of(use, base)))


def stale_sockets(uses: Iterable[str], base: int) -> tuple[Busy, ...]:
    """SeaweedFS puts a socket beside each gRPC port into /tmp. One that another user's killed server left there is in its way."""
    sockets = ((use, port_of(use, base), _socket_file(use, base)) for use in uses if use.endswith(" gRPC"))
    me = os.geteuid()
    return tuple(Busy(use, port, f"{path} of another user") for use, port, path in sockets if me not in {0, _owner(path, me)})


def remove_sockets(base: int) -> None:
    """Remove our own socket files. Only for a stopped stack."""
    for path in (_socket_file(use, base) for use in OFFSETS if use.endswith(" gRPC")):
        if _owner(path, -1) == os.geteuid():
            path.unlink(missing_ok=True)


def _socket_file(use: str, base: int) -> Path:
    server = use.removeprefix("weed ").removesuffix(" gRPC")
    return Path("/tmp") / f"seaweedfs-{server}-grpc-{port_of(use, base)}.sock"  # noqa: S108 (its choice, not ours)


def _owner(path: Path, default: int) -> int:
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return default


def refuse_busy(found: tuple[Busy, ...], base: int) -> None:
    """Raises StackError naming every busy port at once. Nothing was started."""
    if not found:
        return
    lines = "\n".join(f"  {b.port} ({b.use}): {b.listener}" for b in found)
    other = base + 1000 if base + 1000 <= LARGEST_BASE else DEFAULT_PORT + 1000
    raise StackError(
        f"ports on {HOST} that the stack needs are taken; nothing was started:\n{lines}\n"
        f"Stop what listens there, or take other ports: make local-airflow PORT={other}"
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
        return True


def _listener(port: int) -> str:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port and connection.pid:
            try:
                return f"{psutil.Process(connection.pid).name()}, pid {connection.pid}"
            except psutil.Error:
                break
    return "a process of another user, or one that has just ended"
