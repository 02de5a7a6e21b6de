"""The server's process: what it is made of, and where it listens. Beyond this machine it listens only with a token."""

import ipaddress
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import uvicorn
from fastapi import FastAPI

from widedeep.artifacts import LIVE, Digest, Manifest, ReleaseId
from widedeep.config import Settings
from widedeep.data.contract import Contract
from widedeep.errors import SettingsError, StackError, UsageError
from widedeep.features.encoding import EncodedBatch
from widedeep.model.bundle import Bundle
from widedeep.model.determinism import deterministic
from widedeep.model.scorer import Precision, Scorer
from widedeep.publishing.keys import load_trust
from widedeep.publishing.store import ObjectStore
from widedeep.serving.answers import Answers, Catalogues
from widedeep.serving.followed import FollowedFile
from widedeep.serving.follower import Follower
from widedeep.serving.loading import this_release
from widedeep.serving.metrics import Metrics
from widedeep.serving.reader import ModelReader
from widedeep.serving.server import application
from widedeep.serving.warming import WarmUp

NEVER_S = 86_400.0
"""Between two looks of a server that has nothing to look for."""

SHORTEST_TOKEN = 16
"""Characters; drawn at random, nobody guesses so many."""


@dataclass(frozen=True)
class Serving:
    """How a server scores and where it listens; port 0 is any free one. `followed` keeps the last move that it followed.

    `release`: what it serves, with its manifest's digest, whoever is the lane's champion.
    """

    lane: str
    host: str
    port: int
    poll_s: float
    batch: int
    threads: int
    precision: Precision
    followed: Path | None = None
    release: tuple[ReleaseId, Digest] | None = None


def alone(contract: Contract, release: tuple[ReleaseId, Digest]) -> Serving:
    """A server of one release as the contract says, for this machine alone."""
    rule = contract.serving
    return Serving(LIVE, "127.0.0.1", 0, NEVER_S, rule.batch, rule.threads, rule.precision, release=release)


def serve(
    store: ObjectStore, contract: Contract, settings: Settings, serving: Serving, on_address: Callable[[str], None]
) -> None:
    """Serve until the process is told to stop (SIGTERM, SIGINT); requests under way are answered first.

    A server of one release does not begin without it.

    Raises:
        All that `ModelReader.refresh` raises of that release.
        UsageError: it would listen beyond this machine without a token.
        SettingsError: the token is too short.
        StackError: the port is taken, or the address is not this machine's.
    """
    token = token_for(serving.host, settings)
    with deterministic(threads=1), assembled(store, contract, settings, serving, token) as app:
        config = uvicorn.Config(app, serving.host, serving.port, access_log=False, log_level="warning", server_header=False)
        try:
            bound = config.bind_socket()
        except SystemExit as error:  # how uvicorn says that it can't; its log has told why
            raise StackError(f"{serving.host}:{serving.port}: can't listen there. Take another --port, or --host.") from error
        with bound:
            server = _Server(config, lambda: on_address(_address(bound)))
            # uvicorn raises a signal again when it is done with it; what is open here is still to be closed then.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, server.stop)
            server.run(sockets=[bound])


class _Server(uvicorn.Server):
    """Calls back once it answers."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    def stop(self, *_: object) -> None:
        self.should_exit = True


def _address(bound: socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def assembled(
    store: ObjectStore, contract: Contract, settings: Settings, serving: Serving, token: str | None
) -> Iterator[FastAPI]:
    """The application, and scratch space that lives as long as the context. Raises: as `serve`."""
    scoring = Scorer(contract, serving.batch, serving.threads, serving.precision)
    with TemporaryDirectory(prefix="widedeep-serving-") as folder, scoring as scorer:
        scratch, metrics, trust = Path(folder), Metrics(), load_trust(settings)
        kept = FollowedFile(serving.followed, serving.lane)
        catalogues, warm_up = Catalogues(store, contract, scratch), WarmUp(store, contract, scorer, scratch)

        def before(manifest: Manifest, bundle: Bundle, as_read: Callable[[EncodedBatch], Bundle]) -> None:
            warm_up.check(manifest, bundle, as_read)
            catalogues.load(manifest)

        target = this_release(store, trust, *serving.release) if serving.release else None
        reader = ModelReader(store, trust, serving.lane, scratch, followed=kept.read(), before=before, target=target)
        if serving.release:
            reader.refresh()
        answers = Answers(contract, reader, scorer, catalogues, metrics)
        yield application(answers, Follower(reader, serving.poll_s, kept), metrics, token)


def token_for(host: str, settings: Settings) -> str | None:
    """What clients have to send; None on this machine alone, unless one is set.

    Raises:
        UsageError, SettingsError: as `serve`.
    """
    token = settings.serve_token.get_secret_value() if settings.serve_token else None
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise SettingsError(f"WIDEDEEP_SERVE_TOKEN: got {len(token)} characters, wanted at least {SHORTEST_TOKEN}, at random.")
    if token is None and not _here(host):
        raise UsageError(
            f"--host {host}: whoever reaches it could ask this server, and there is no token. "
            "Set WIDEDEEP_SERVE_TOKEN, or listen on 127.0.0.1."
        )
    return token


def _here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
