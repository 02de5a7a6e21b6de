"""What runs, as a table: part, state, the process itself (not its leash), health, port, memory."""

from dataclasses import dataclass

import psutil
from rich.table import Table

from widedeep.local import health
from widedeep.local.parts import Part, parts_of
from widedeep.local.ports import port_of
from widedeep.local.stack import Place, Stack
from widedeep.local.supervisor import Supervisor

MIB = 2**20


@dataclass(frozen=True)
class Row:
    """One part. `memory_bytes` is its share of the machine (PSS) with its workers and its leash, None if unreadable."""

    name: str
    state: str
    healthy: bool
    pid: int | None
    port: int | None
    memory_bytes: int | None


def rows(place: Place, stack: Stack) -> tuple[Row, ...]:
    """One row per part; empty if the supervisor does not run."""
    supervisor = Supervisor(stack)
    if not supervisor.is_running():
        return ()
    processes = supervisor.processes()
    return tuple(_row(part, processes[part.name].state, processes[part.name].pid, stack) for part in parts_of(place, stack))


def _row(part: Part, state: str, leash: int, stack: Stack) -> Row:
    healthy = state == "RUNNING" and health.is_healthy(part, stack)
    port = port_of(part.uses[0], stack.port) if part.uses else None
    pid, memory_bytes = _process(leash) if leash else (None, None)
    return Row(part.name, state.lower(), healthy, pid, port, memory_bytes)


def _process(leash: int) -> tuple[int | None, int | None]:
    try:
        process = psutil.Process(leash)
        children, family = process.children(), process.children(recursive=True)
    except psutil.Error:
        return None, None
    return (children[0].pid if children else None), sum(_pss(member) for member in (process, *family))


def _pss(process: psutil.Process) -> int:
    """0 for one that has just ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def table(found: tuple[Row, ...]) -> Table:
    shown = Table("part", "state", "health", "pid", "port", "memory", box=None)
    for row in found:
        memory = "" if row.memory_bytes is None else f"{row.memory_bytes / MIB:.0f} MiB"
        health_text = "[green]healthy[/]" if row.healthy else "[red]not healthy[/]"
        shown.add_row(row.name, row.state, health_text, str(row.pid or ""), str(row.port or ""), memory)
    total = sum(row.memory_bytes or 0 for row in found)
    shown.add_row("all", "", "", "", "", f"{total / MIB:.0f} MiB")
    return shown
