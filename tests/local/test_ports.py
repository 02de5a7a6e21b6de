"""All ports follow from one; busy ones are named together before anything starts."""

import os
import socket
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widedeep.errors import StackError
from widedeep.local import ports

BASES = st.integers(ports.SMALLEST_BASE, ports.LARGEST_BASE)


@given(BASES)
def test_every_base_gives_as_many_valid_ports_as_there_are_uses(base: int) -> None:
    given_out = {ports.port_of(use, base) for use in ports.OFFSETS}

    assert len(given_out) == len(ports.OFFSETS)
    assert all(0 < port < 65_536 for port in given_out)


@pytest.mark.parametrize("base", [0, 80, 1023, ports.LARGEST_BASE + 1, 65_535])
def test_a_base_port_that_can_not_serve_is_refused_with_the_range(base: int) -> None:
    with pytest.raises(StackError, match=f"PORT={base}: wanted a base port from 1024 to {ports.LARGEST_BASE}"):
        ports.check_base(base)


def test_free_ports_are_not_busy(base: int) -> None:
    assert ports.busy(ports.OFFSETS, base) == ()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_busy_port_is_named_with_its_listener(base: int, address: str) -> None:
    with socket.create_server((address, base + 2)):
        found = ports.busy(ports.OFFSETS, base)

    assert found == (ports.Busy("postgres", base + 2, f"{psutil.Process().name()}, pid {os.getpid()}"),)


def test_one_message_names_all_busy_ports_and_the_way_out(base: int) -> None:
    found = (ports.Busy("api-server", base, "nginx, pid 7"), ports.Busy("s3", base + 3, "minio, pid 8"))

    with pytest.raises(StackError) as error:
        ports.refuse_busy(found, base)

    assert f"{base} (api-server): nginx, pid 7" in str(error.value)
    assert f"{base + 3} (s3): minio, pid 8" in str(error.value)
    assert f"make local-airflow PORT={base + 1000}" in str(error.value)


@given(BASES)
def test_the_port_that_the_message_proposes_is_a_valid_base(base: int) -> None:
    with pytest.raises(StackError) as error:
        ports.refuse_busy((ports.Busy("s3", base + 3, "minio"),), base)

    ports.check_base(int(str(error.value).rpartition("=")[2]))


def test_a_socket_file_of_another_user_is_named(base: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(f"/tmp/seaweedfs-filer-grpc-{base + 10_006}.sock")
    path.touch()
    try:
        assert ports.stale_sockets(ports.OFFSETS, base) == ()
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        found = ports.stale_sockets(ports.OFFSETS, base)
    finally:
        path.unlink()

    assert ports.Busy("weed filer gRPC", base + 10_006, f"{path} of another user") in found
