"""Slow, cut, reset and damaging connections: the right result or a StoreUnavailableError, never a wrong answer or half a file."""

import os
import traceback
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from widedeep.artifacts import FileRef, sha256
from widedeep.errors import IntegrityError, StoreUnavailableError, WidedeepError
from widedeep.publishing.s3 import S3Store, parts
from widedeep.publishing.s3.connection import S3Options

PART_BYTES = 5 << 20
SMALL = os.urandom(200_000)
LARGE = os.urandom(PART_BYTES + 100_000)
# At once, within the headers, within the body.
AFTER_BYTES = (0, 300, 70_000)
FAULTS = [
    {"how": how, "direction": direction, "after_bytes": after, "connections": connections}
    for n, (direction, after, connections) in enumerate(product(("up", "down"), AFTER_BYTES, (1, 1_000_000)))
    for how in [("cut", "reset")[n // 2 % 2]]
]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)
    monkeypatch.setattr(parts, "LARGE_BYTES", PART_BYTES)


def tried(call: Callable[[], Any]) -> Any:
    """What it returned, or the class of a fault that says that nothing is known."""
    try:
        return call()
    except StoreUnavailableError as fault:
        return type(fault)


def stands(store: S3Store, key: str) -> bytes | None:
    blob = store.get(key)
    return blob.data if blob else None


def create(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
    answer = tried(lambda: line.create(key, SMALL))
    assert answer in (True, StoreUnavailableError)
    assert stands(steady, key) in ([SMALL] if answer is True else [SMALL, None])
    return answer is True


def swap(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
    before = steady.swap(key, b"before", None)
    answer = tried(lambda: line.swap(key, SMALL, before))
    blob = steady.get(key)
    assert blob is not None
    if answer is StoreUnavailableError:
        assert blob.data in (b"before", SMALL)
        return False
    assert (blob.data, blob.etag) == (SMALL, answer)
    return True


def get(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
    steady.create(key, SMALL)
    answer = tried(lambda: line.get(key))
    assert answer is StoreUnavailableError or answer.data == SMALL
    return answer is not StoreUnavailableError


def listed(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
    for n in range(20):
        steady.create(f"{key}/{n:02}", b"")
    answer = tried(lambda: list(line.keys(f"{key}/")))
    assert answer in ([f"{key}/{n:02}" for n in range(20)], StoreUnavailableError)
    return answer is not StoreUnavailableError


def delete(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
    steady.create(key, SMALL)
    answer = tried(lambda: line.delete(key))
    assert stands(steady, key) in ([None] if answer is None else [None, SMALL])
    return answer is None


def upload(data: bytes) -> Callable[..., bool]:
    def upload(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
        (folder / "sent").write_bytes(data)
        named = f"{key}/{sha256(data)[:16]}.file"
        answer = tried(lambda: line.upload(named, folder / "sent"))
        assert stands(steady, named) in ([None, data] if answer is StoreUnavailableError else [data])
        assert steady.upload(named, folder / "sent") == FileRef(name=named, size_bytes=len(data), sha256=sha256(data))
        return answer is not StoreUnavailableError

    return upload


def download(data: bytes) -> Callable[..., bool]:
    def download(line: S3Store, steady: S3Store, key: str, folder: Path) -> bool:
        (folder / "sent").write_bytes(data)
        ref = steady.upload(f"{key}/{sha256(data)[:16]}.file", folder / "sent")
        answer = tried(lambda: line.download(ref, folder / "received"))
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert found == {"sent": data} | ({} if answer is StoreUnavailableError else {"received": data})
        (folder / "received").unlink(missing_ok=True)
        return answer is not StoreUnavailableError

    return download


CALLS: dict[str, Callable[..., bool]] = {
    "create": create,
    "swap": swap,
    "get": get,
    "list": listed,
    "delete": delete,
    "upload": upload(SMALL),
    "upload of a large file": upload(LARGE),
    "download": download(SMALL),
    "download of a large file": download(LARGE),
}


@pytest.mark.parametrize("call", CALLS)
def test_whatever_the_line_does_the_answer_is_right_or_unknown(
    call: str, proxy: Any, fault: Any, s3_store: S3Store, tmp_path: Path
) -> None:
    answered = []
    for n, told in enumerate(FAULTS):
        line = proxy()
        store = S3Store(s3_store.url, line.endpoint)
        line.fault = fault(**told)
        done = CALLS[call](store, s3_store, f"{n}", tmp_path)
        assert done or line.suffered
        answered.append((done, bool(line.suffered), told["connections"]))
    assert (False, True, 1_000_000) in answered, "no fault was felt"
    assert (True, True, 1) in answered, "no retry mended what happened once"


@pytest.mark.parametrize("call", [name for name in CALLS if name not in {"list", "delete"}])
def test_a_bit_that_flips_on_its_way_is_noticed(
    call: str, proxy: Any, fault: Any, s3_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where this machine's settings leave checksums of answers to those who ask for them."""
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
    line = proxy()
    line.fault = fault("flip", "down" if "get" in call or "download" in call else "up", 70_000, 1)
    try:
        CALLS[call](S3Store(s3_store.url, line.endpoint), s3_store, "key", tmp_path)
    except IntegrityError:
        assert call == "download of a large file"  # whose parts are of one object, and are verified as one
    assert line.suffered


@pytest.mark.parametrize("call", ["get", "list"])
def test_an_answer_that_breaks_off_anywhere_in_its_headers_is_not_taken_for_a_whole_one(
    call: str, proxy: Any, fault: Any, s3_store: S3Store, tmp_path: Path
) -> None:
    for after_bytes in range(15, 500, 20):
        line = proxy()
        line.fault = fault("cut", "down", after_bytes, 1)
        CALLS[call](S3Store(s3_store.url, line.endpoint), s3_store, f"{after_bytes}", tmp_path)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_slow_line_only_takes_longer(direction: str, proxy: Any, fault: Any, s3_store: S3Store, tmp_path: Path) -> None:
    for name, call in CALLS.items():
        line = proxy()
        line.fault = fault("delay", direction, 0)
        assert call(S3Store(s3_store.url, line.endpoint), s3_store, name, tmp_path), name


WRONG = {"AWS_SECRET_ACCESS_KEY": "wrong-secret-of-mine", "AWS_SESSION_TOKEN": "wrong-token-of-mine"}


@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_no_error_tells_a_secret(
    wrong: str | None,
    proxy: Any,
    fault: Any,
    s3_store: S3Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secrets = [os.environ["AWS_SECRET_ACCESS_KEY"], *WRONG.values()]
    caplog.set_level("INFO")
    line = proxy()
    if wrong:
        monkeypatch.setenv(wrong, WRONG[wrong])
    else:
        line.fault = fault("reset", "up", 300)
    store = S3Store(s3_store.url, line.endpoint, S3Options(credentials=dict(os.environ)))
    told = [caplog.text, repr(store.__dict__)]
    for call in (lambda: store.create("key", b""), lambda: list(store.keys("")), lambda: store.get("key")):
        with pytest.raises(WidedeepError) as raised:
            call()
        told.append("".join(traceback.format_exception(raised.value)))
    assert not [text for text in told if any(secret in text for secret in secrets)]
