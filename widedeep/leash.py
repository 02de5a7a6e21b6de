"""Runs one command on a leash: when the leash has ended, however it or the command ended, nothing of the command is left.

    supervisord ── leash ── part ── its workers

- the leash dies: the kernel kills the part (PR_SET_PDEATHSIG), and a leash further up adopts and kills its workers;
- the leash's parent dies: the kernel tells the leash to stop (PR_SET_PDEATHSIG), and it stops the part in good order;
- the part dies: its workers become the leash's children (PR_SET_CHILD_SUBREAPER), which ends them before it ends itself,
  so a restarted part never meets the workers of the one before.

A script of the standard library alone, run as `python -I leash.py [options] -- command`, so that it starts at once.
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT})
POLL_S = 5.0  # how long a worker whose parent died alone may live on; the kernel sends no signal for it

_libc = ctypes.CDLL(None, use_errno=True)


def leashed(command: Iterable[str], *options: str) -> list[str]:
    """The command on a leash."""
    return [sys.executable, "-I", str(Path(__file__)), *options, "--", *command]


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    if not options.detached:
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS | {signal.SIGCHLD})
    part = _start(options.command, options.user)
    code = _watch(part, signal.Signals[f"SIG{options.stop_signal}"], options.grace_s)
    _end_children(options.workers_grace_s)
    return code


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="leash", description="Run a command of which nothing outlives this process.")
    parser.add_argument("--detached", action="store_true", help="live on when the process that started the leash ends")
    parser.add_argument("--user", help="run the command as this user (needs root)")
    parser.add_argument("--stop-signal", default="TERM", help="what the command takes for a request to stop")
    parser.add_argument("--grace-s", type=float, default=15.0, help="seconds between that signal and SIGKILL")
    parser.add_argument("--workers-grace-s", type=float, default=5.0, help="the same for what the command leaves behind")
    parser.add_argument("command", nargs="+")
    return parser.parse_args(arguments)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _start(command: Sequence[str], user: str | None) -> int:
    leash = os.getpid()

    def on_leash() -> None:
        # After the change of user, which clears the setting; then look whether the leash went before it was made.
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != leash:
            os._exit(1)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    rights: dict[str, Any] = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=on_leash, **rights).pid  # noqa: PLW1509 (no threads here)


def _watch(part: int, stop_signal: signal.Signals, grace_s: float) -> int:
    """Wait for the part's end, asked for or not, and return its exit status."""
    kill_at = float("inf")
    while True:
        received = signal.sigtimedwait(STOP_SIGNALS | {signal.SIGCHLD}, min(POLL_S, max(0.0, kill_at - time.monotonic())))
        ended = _reap()
        if part in ended:
            return 0 if kill_at < float("inf") else ended[part]
        if received is not None and received.si_signo in STOP_SIGNALS and kill_at == float("inf"):
            kill_at = time.monotonic() + grace_s
            _send((part,), stop_signal)
        if time.monotonic() >= kill_at:
            _send((part,), signal.SIGKILL)
        if received is None:
            _send(tuple(pid for pid in _children() if pid != part), signal.SIGKILL)


def _end_children(grace_s: float) -> None:
    """End every descendant: each one whose parent is killed becomes a child of this process, and has its turn."""
    kill_at = time.monotonic() + grace_s
    asked: set[int] = set()
    while children := _children():
        late = time.monotonic() >= kill_at
        _send(tuple(children) if late else tuple(children - asked), signal.SIGKILL if late else signal.SIGTERM)
        asked |= children
        time.sleep(0.05)
        _reap()


def _reap() -> dict[int, int]:
    """Exit status by pid of the children that ended."""
    ended: dict[int, int] = {}
    try:
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = abs(os.waitstatus_to_exitcode(found[1]))
    except ChildProcessError:
        pass
    return ended


def _children() -> set[int]:
    me = os.getpid()
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent(entry) == me}


def _parent(process: Path) -> int:
    try:
        # The name, in parentheses, may hold anything; behind the last one come the state and the parent's pid.
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _send(pids: Sequence[int], signum: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
