"""supervisord's configuration: six programs, each on a leash, none started by itself."""

import os
import shlex
from collections.abc import Iterable, Mapping

from widedeep.leash import leashed
from widedeep.local.parts import Part
from widedeep.local.ports import HOST, port_of
from widedeep.local.stack import Stack

GRACE_S = 20  # a part's time to stop in good order: a task that is under way gets most of it


def render(stack: Stack, parts: Iterable[Part]) -> str:
    """The text of the configuration file. `%` starts an expansion there, so it is doubled.

    The paths of logs are expanded twice: they are relative to the state folder, in which supervisord runs.
    """
    http_server = {
        "port": f"{HOST}:{port_of('supervisor', stack.port)}",
        "username": "widedeep",
        "password": stack.supervisor_password,
    }
    rpc = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    sections: dict[str, Mapping[str, object]] = {
        "supervisord": _supervisord(),
        "inet_http_server": http_server,
        "rpcinterface:supervisor": rpc,
        **{f"program:{part.name}": _program(part) for part in parts},
    }
    return "\n".join(_section(name, entries) for name, entries in sections.items())


def _supervisord() -> dict[str, object]:
    settings = {
        "nodaemon": "true", "silent": "true", "umask": "022", "pidfile": "supervisord.pid",
        "logfile": "logs/supervisord.log", "logfile_maxbytes": "5MB", "logfile_backups": 1,
    }  # fmt: skip
    # Told that it is meant to be root, it does not warn.
    return settings | ({"user": "root"} if os.geteuid() == 0 else {})


def _program(part: Part) -> dict[str, object]:
    options = ["--stop-signal", part.stop_signal, "--grace-s", str(GRACE_S), *(["--user", part.user] if part.user else [])]
    return {
        "command": shlex.join(leashed(part.command, *options)),
        "directory": part.folder,
        "environment": ",".join(f'{name}="{value}"' for name, value in part.environment.items()),
        "autostart": "false", "autorestart": "true", "startsecs": 1, "startretries": 3,
        "stopwaitsecs": GRACE_S + 20, "killasgroup": "true",
        "priority": part.stage,
        "redirect_stderr": "true",
        "stdout_logfile": f"logs/{part.name}.log", "stdout_logfile_maxbytes": "10MB", "stdout_logfile_backups": 2,
    }  # fmt: skip


def _section(name: str, entries: Mapping[str, object]) -> str:
    return f"[{name}]\n" + "".join(f"{key}={str(value).replace('%', '%%')}\n" for key, value in entries.items())
