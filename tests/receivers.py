"""Where alerts arrive in tests: a webhook and a mail server on free ports of 127.0.0.1, which keep what they are sent."""

import email
import json
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Any


class Hook(BaseHTTPRequestHandler):
    """Answers as Slack does."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(self.server.answers)
        self.end_headers()
        self.wfile.write(b"ok" if self.server.answers == 200 else b"no_team")

    def log_message(self, *_: Any) -> None:
        """The tests' output stays clean."""


class Mail(StreamRequestHandler):
    """As much of RFC 5321 as a client needs."""

    def handle(self) -> None:
        self._say("220 ready")
        for line in self.rfile:
            match line[:4].upper():
                case b"DATA":
                    self._say("354 go on")
                    lines = list(iter(self.rfile.readline, b".\r\n"))
                    self.server.received.append(email.message_from_bytes(b"".join(lines), policy=policy.default))
                    self._say("250 taken")
                case b"QUIT":
                    return self._say("221 bye")
                case _:
                    self._say("250 ok")
        return None

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class Receiver(ThreadingTCPServer):
    """`received`: what has arrived. `answers`: the status with which the webhook answers."""

    daemon_threads, allow_reuse_address = True, True

    def __init__(self, handler: type[BaseRequestHandler]):
        super().__init__(("127.0.0.1", 0), handler)
        self.received: list[tuple[str, dict[str, Any]] | EmailMessage] = []
        self.answers = 200

    @property
    def port(self) -> int:
        return self.server_address[1]


@contextmanager
def receiving(handler: type[BaseRequestHandler]) -> Iterator[Receiver]:
    with Receiver(handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
