"""A real store and a real database under the real supervisor: up, half up, down, interrupted, killed."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil
import psycopg2
import pytest

from widedeep.errors import StackError
from widedeep.local import database, environment, health, ports
from widedeep.local.down import remove
from widedeep.local.lifetime import is_down
from widedeep.local.parts import SIGNING_KEYS
from widedeep.local.stack import Place, Stack
from widedeep.local.status import rows
from widedeep.local.supervisor import Supervisor
from widedeep.publishing.s3 import S3Store


class Rig(Protocol):
    """See `conftest.Rig`."""

    place: Place
    base: int

    def up(self) -> Stack: ...
    def down(self) -> bool: ...
    def supervisor(self) -> Supervisor: ...
    def processes(self) -> list[psutil.Process]: ...
    def process(self, words: str) -> psutil.Process: ...


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=60)[1]


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return met


def execute(stack: Stack, statement: str) -> list[tuple[object, ...]]:
    address = {"host": "127.0.0.1", "port": stack.port + 2, "user": "airflow", "dbname": "postgres"}
    connection = psycopg2.connect(**address, password=stack.database_password)
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def listening(process):
    """What it listens on; nothing where it has ended since it was listed, as a backend of the database may."""
    try:
        return [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
    except psutil.NoSuchProcess:
        return []


def test_all_parts_are_healthy_and_listen_on_loopback_alone(running: Rig) -> None:
    parts = {row.name: row for row in rows(running.place, running.up())}
    connections = [c for p in running.processes() for c in listening(p)]

    assert all(parts[name].healthy and parts[name].pid and parts[name].memory_bytes for name in ("store", "postgres"))
    assert {c.laddr.ip for c in connections} == {"127.0.0.1"}
    assert {c.laddr.port for c in connections} < {ports.port_of(use, running.base) for use in ports.OFFSETS}


def test_down_leaves_no_process_and_no_socket_file(rig: Rig) -> None:
    rig.up()
    processes = rig.processes()

    assert rig.down()

    assert gone(processes)
    assert not [path for path in Path("/tmp").glob("seaweedfs-*.sock") if str(rig.base + ports.GRPC)[:-1] in path.name]


def test_the_store_and_the_database_refuse_other_credentials(running: Rig) -> None:
    stack = running.up()

    assert health.store_status(stack) == 200
    assert health.store_status(stack.model_copy(update={"store_secret_key": "x" * 20})) == 403
    assert health.call("GET", f"{stack.s3_url}/widedeep")[0] == 403
    assert not database.is_ready(stack.model_copy(update={"database_password": "x" * 20}))


@pytest.mark.parametrize(
    ("server", "status", "requests"),
    [
        ("weed filer", 404, ("GET /buckets/widedeep/kept.json", "PUT /buckets/widedeep/kept.json", "DELETE /buckets/widedeep/")),
        ("weed master", 404, ("GET /dir/assign", "GET /dir/lookup?fileId=1,01637037d6", "POST /submit", "GET /vol/grow?count=1")),
        ("weed master", 404, ("GET /col/delete?collection=widedeep", "POST /col/delete?collection=widedeep")),
        ("weed volume", 401, ("GET /1,01637037d6", "HEAD /1,01637037d6", "PUT /1,01637037d6", "DELETE /1,01637037d6")),
        ("weed admin", 404, ("GET /", "GET /login", "GET /api/s3/buckets", "DELETE /api/s3/buckets/widedeep")),
    ],
)
def test_no_port_of_the_store_serves_or_changes_an_object_for_a_stranger(
    running: Rig, monkeypatch: pytest.MonkeyPatch, server: str, status: int, requests: tuple[str, ...]
) -> None:
    stack = running.up()
    for name, value in environment.generated(running.place, stack).items():
        monkeypatch.setenv(name, value)
    store = S3Store("s3://widedeep", stack.s3_url)
    store.create("kept.json", b"kept")

    for method, path in (request.split() for request in requests):
        url = f"http://127.0.0.1:{ports.port_of(server, stack.port)}{path}"
        assert health.call(method, url, {} if method in {"PUT", "POST"} else None)[0] == status, url

    kept = store.get("kept.json")
    assert kept is not None
    assert kept.data == b"kept"


def test_only_the_store_gets_the_keys_that_its_servers_sign_with(running: Rig) -> None:
    running.up()

    assert SIGNING_KEYS[0] in running.process("weed").environ()
    assert not set(SIGNING_KEYS) & running.process("supervisord").environ().keys()


def test_a_second_start_reuses_every_process(running: Rig) -> None:
    running.up()
    before = running.processes()

    running.up()

    assert set(before) <= set(running.processes())


def test_a_start_of_half_a_stack_starts_the_other_half_only(running: Rig) -> None:
    stack = running.up()
    store = running.process("weed")
    running.supervisor().stop(["postgres"])
    assert not database.is_ready(stack)

    running.up()

    assert running.process("weed") == store
    assert database.is_ready(stack)


def test_data_and_secrets_survive_a_stop(rig: Rig) -> None:
    before = rig.up()
    execute(before, "create table kept as select 1 as one")
    rig.down()

    after = rig.up()

    assert after == before
    assert execute(after, "select one from kept") == [(1,)]


def test_a_new_stack_where_a_clone_was_deleted_keeps_that_ones_database_aside(rig: Rig) -> None:
    """Of root's clone the database stays, elsewhere: nobody has its password any more."""
    before = rig.up()
    execute(before, "create table kept as select 1 as one")
    rig.down()
    mark = database.find_home(rig.place.state).folder / "airflow-schema"
    mark.write_text("of that database")
    rig.place.stack_file.unlink()

    after = rig.up()

    assert after.database_password != before.database_password
    assert not mark.exists()
    assert execute(after, "select count(*) from pg_tables where tablename = 'kept'") == [(0,)]
    home = database.find_home(rig.place.state)
    assert (home.aside / "data" / "PG_VERSION").exists()
    remove(rig.place)
    assert not home.aside.exists()


def test_stopping_twice_is_fine(rig: Rig) -> None:
    rig.up()

    assert [rig.down(), rig.down()] == [True, False]


def test_only_the_owner_reads_what_holds_secrets(running: Rig) -> None:
    running.up()

    files = [
        running.place.stack_file,
        running.place.environment_file,
        running.place.passwords_file,
        running.place.state / "supervisord.conf",
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (running.place.store, running.place.logs)} == {0o700}


def test_a_busy_port_stops_the_start_before_anything_starts(rig: Rig) -> None:
    with (
        socket.create_server(("127.0.0.1", rig.base + 3)),
        pytest.raises(StackError, match=rf"{rig.base + 3} \(s3\): .*pid {os.getpid()}"),
    ):
        rig.up()

    assert is_down(rig.place)
    assert not rig.place.environment_file.exists()


def test_a_running_stack_keeps_its_ports(running: Rig) -> None:
    running.up()
    other = type(running)(running.place, running.base + 20)  # type: ignore[call-arg]

    with pytest.raises(
        StackError, match=rf"runs with PORT={running.base}, so it can't start with PORT={running.base + 20}\. Run `make stop`"
    ):
        other.up()


def test_a_part_that_does_not_come_up_shows_its_log_and_stops_what_was_started(rig: Rig) -> None:
    rig.up()
    rig.down()
    (rig.place.store / "filerldb2").rename(rig.place.store / "away")
    (rig.place.store / "filerldb2").write_text("not a folder")

    with pytest.raises(StackError, match=r"(?s)^store ended .*store\.log:\n    .*filerldb2"):
        rig.up()

    assert is_down(rig.place)


@pytest.mark.parametrize("part", ["weed", "pginstall/bin/postgres"])
def test_a_killed_part_is_started_again(running: Rig, part: str) -> None:
    stack = running.up()
    first = running.process(part)

    first.kill()

    assert within(60, lambda: not first.is_running() and database.is_ready(stack) and health.store_status(stack) == 200)


def test_a_killed_supervisor_takes_everything_along_and_the_next_start_works(rig: Rig) -> None:
    rig.up()
    processes = rig.processes()

    rig.process("supervisord").kill()

    assert gone(processes)
    assert is_down(rig.place)
    rig.up()


def test_a_killed_outer_leash_takes_everything_along(rig: Rig) -> None:
    rig.up()
    outer, *others = rig.processes()

    outer.kill()

    assert gone(others)


def test_a_supervisor_that_does_not_answer_is_stopped_all_the_same(rig: Rig) -> None:
    rig.up()
    processes = rig.processes()
    rig.process("supervisord").suspend()

    assert rig.down()

    assert gone(processes)


def test_a_stack_whose_file_is_damaged_can_be_removed_while_it_runs(rig: Rig) -> None:
    rig.up()
    processes = rig.processes()
    rig.place.stack_file.write_text("{}")

    remove(rig.place)

    assert gone(processes)
    assert not rig.place.stack_file.exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_start_stops_what_it_started_even_as_a_background_job(rig: Rig, signum: signal.Signals) -> None:
    # A shell without job control starts `… &` with SIGINT ignored, and Python keeps what it inherits.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = [sys.executable, "-m", "widedeep.local", "up", "--state", str(rig.place.state), "--port", str(rig.base)]
    start = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert start.stdout is not None
    assert any("store" in line for line in start.stdout)
    processes = [*rig.processes(), *psutil.Process(start.pid).children(recursive=True)]

    start.send_signal(signum)

    assert start.wait(timeout=60) != 0
    assert gone(processes)
    assert is_down(rig.place)


def test_two_starts_at_once_do_not_meet(rig: Rig) -> None:
    command = [sys.executable, "-m", "widedeep.local", "up", "--state", str(rig.place.state), "--port", str(rig.base)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert any("store" in line for line in first.stdout)

    with pytest.raises(StackError, match=f"another start or stop is at work on this stack \\(pid {first.pid}\\)"):
        rig.up()

    first.send_signal(signal.SIGINT)
    first.wait(timeout=60)
