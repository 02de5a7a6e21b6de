"""Files that go up and come down in parts: the contract of small ones, memory bounded, nothing left behind."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPResponse

from widedeep.artifacts import FileRef, sha256
from widedeep.errors import IntegrityError, StoreUnavailableError
from widedeep.publishing.s3 import S3Store, parts
from widedeep.publishing.transfer import ahead

PART_BYTES = 5 << 20
"""S3's own lower limit."""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)
    monkeypatch.setattr(parts, "LARGE_BYTES", PART_BYTES)


@pytest.fixture
def large(tmp_path: Path) -> tuple[Path, str]:
    """A file of three parts, and a key that carries its digest."""
    data = os.urandom(2 * PART_BYTES + 1)
    path = tmp_path / "large"
    path.write_bytes(data)
    return path, f"files/{sha256(data)[:16]}.large"


@pytest.fixture
def calls(s3_store: S3Store) -> list[str]:
    """Names of the requests that the store sends."""
    sent: list[str] = []
    s3_store._client.meta.events.register("before-call.s3", lambda model, **_: sent.append(model.name))
    return sent


def on_send(store: S3Store, operation: str, hear: Callable[[AWSPreparedRequest], object]) -> None:
    def handler(request: AWSPreparedRequest, **_: object) -> None:
        hear(request)

    store._client.meta.events.register(f"before-send.s3.{operation}", handler)


def test_a_large_file_goes_up_in_parts_and_comes_down_the_same(
    s3_store: S3Store, large: tuple[Path, str], calls: list[str], tmp_path: Path
) -> None:
    path, key = large
    ref = s3_store.upload(key, path)
    assert ref == FileRef(name=key, size_bytes=2 * PART_BYTES + 1, sha256=sha256(path.read_bytes()))
    assert calls.count("UploadPart") == 3
    s3_store.download(ref, tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == path.read_bytes()
    assert s3_store.fetch(key, tmp_path / "fetched") == ref
    assert list(s3_store.unfinished("")) == []


@pytest.fixture
def headers(s3_store: S3Store) -> dict[str, list[dict[str, str]]]:
    """What the store sends, as text and by names in lower case."""
    sent: dict[str, list[dict[str, str]]] = {"PutObject": [], "UploadPart": [], "CompleteMultipartUpload": []}

    def text(value: str | bytes) -> str:
        return value.decode() if isinstance(value, bytes) else value

    def note(request: AWSPreparedRequest, seen: list[dict[str, str]]) -> None:
        seen.append({name.lower(): text(value) for name, value in request.headers.items()})

    for operation, seen in sent.items():
        on_send(s3_store, operation, partial(note, seen=seen))
    return sent


def test_every_part_carries_its_digest_and_no_completion_is_conditional(
    s3_store: S3Store, large: tuple[Path, str], headers: dict[str, list[dict[str, str]]]
) -> None:
    path, key = large
    s3_store.upload(key, path)
    assert all("x-amz-checksum-sha256" in each for each in headers["UploadPart"])
    assert not {"if-match", "if-none-match"} & headers["CompleteMultipartUpload"][0].keys()


def test_of_what_carries_its_digest_the_digest_is_signed_and_of_all_else_the_body(
    s3_store: S3Store, large: tuple[Path, str], headers: dict[str, list[dict[str, str]]]
) -> None:
    path, key = large
    s3_store.upload(key, path)
    s3_store.create("small", b"data")
    for sent in (*headers["UploadPart"], *headers["PutObject"]):
        assert sent["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
        assert "x-amz-checksum-sha256" in sent["authorization"]
    assert [sent["x-amz-content-sha256"] for sent in headers["CompleteMultipartUpload"]] != ["UNSIGNED-PAYLOAD"]


def test_a_large_file_that_stands_already_is_not_sent_again(s3_store: S3Store, large: tuple[Path, str], calls: list[str]) -> None:
    path, key = large
    ref = s3_store.upload(key, path)
    calls.clear()
    assert s3_store.upload(key, path) == ref
    assert "UploadPart" not in calls


def test_a_large_file_under_a_key_that_is_taken_by_other_bytes_is_refused(s3_store: S3Store, large: tuple[Path, str]) -> None:
    path, key = large
    s3_store.create(key, b"other")
    with pytest.raises(IntegrityError, match="The first stands"):
        s3_store.upload(key, path)
    assert s3_store.get(key).data == b"other"


def test_a_large_file_whose_key_does_not_carry_its_digest_goes_up_in_one_conditional_request(
    s3_store: S3Store, large: tuple[Path, str], calls: list[str]
) -> None:
    s3_store.upload("any/name", large[0])
    assert "PutObject" in calls
    assert "CreateMultipartUpload" not in calls


def test_two_uploads_of_one_large_file_at_once_both_succeed_and_leave_one_object(
    s3_store: S3Store, large: tuple[Path, str], tmp_path: Path
) -> None:
    path, key = large
    start = threading.Barrier(2)
    on_send(s3_store, "CreateMultipartUpload", lambda _: start.wait(30))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: s3_store.upload(key, path), range(2))
    assert first == second
    s3_store.download(first, tmp_path / "down")
    assert list(s3_store.keys("")) == [key]
    assert list(s3_store.unfinished("")) == []


def test_a_file_that_changed_since_its_key_was_made_is_refused_and_nothing_appears(
    s3_store: S3Store, large: tuple[Path, str]
) -> None:
    path, key = large
    with path.open("r+b") as opened:
        opened.write(b"changed")
    with pytest.raises(IntegrityError, match="as in the key"):
        s3_store.upload(key, path)
    assert s3_store.get(key) is None
    assert list(s3_store.unfinished("")) == []


def test_a_part_that_is_damaged_on_its_way_is_refused_and_nothing_appears(s3_store: S3Store, large: tuple[Path, str]) -> None:
    path, key = large

    def damage(params: dict[str, Any], **_: object) -> None:
        params["body"] = b"damaged" + params["body"].read()[7:]

    s3_store._client.meta.events.register("before-call.s3.UploadPart", damage)
    with pytest.raises(StoreUnavailableError):
        s3_store.upload(key, path)
    assert s3_store.get(key) is None
    assert list(s3_store.unfinished("")) == []


def test_a_completion_whose_answer_is_lost_is_told_as_done(s3_store: S3Store, large: tuple[Path, str]) -> None:
    path, key = large
    tries = []

    def lose(request: AWSPreparedRequest) -> None:
        tries.append(request)
        if len(tries) == 1:
            URLLib3Session().send(request)
            raise ReadTimeoutError(endpoint_url=request.url)

    on_send(s3_store, "CompleteMultipartUpload", lose)
    ref = s3_store.upload(key, path)
    assert len(tries) == 2
    assert [(item.key, item.size_bytes) for item in s3_store.listed("")] == [(key, ref.size_bytes)]


def test_a_completion_whose_answer_is_lost_and_whose_upload_is_forgotten_is_told_as_done(
    s3_store: S3Store, large: tuple[Path, str]
) -> None:
    path, key = large
    tries = []

    def lose(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        tries.append(request)
        if len(tries) == 1:
            URLLib3Session().send(request)
            raise ReadTimeoutError(endpoint_url=request.url)
        body = HTTPResponse(BytesIO(b"<Error><Code>NoSuchUpload</Code></Error>"), preload_content=False)
        return AWSResponse(request.url, 404, {}, body)

    s3_store._client.meta.events.register("before-send.s3.CompleteMultipartUpload", lose)
    ref = s3_store.upload(key, path)
    assert len(tries) == 2
    assert ref.sha256 == sha256(path.read_bytes())


def test_what_a_crash_left_behind_is_listed_with_its_size_and_can_be_cleared_away(
    s3_store: S3Store, large: tuple[Path, str]
) -> None:
    path, key = large
    sent = []

    def crash(request: AWSPreparedRequest) -> None:
        sent.append(request)
        if len(sent) >= 3:
            raise ReadTimeoutError(endpoint_url=request.url)

    on_send(s3_store, "UploadPart", crash)
    on_send(s3_store, "AbortMultipartUpload", crash)
    with pytest.raises(StoreUnavailableError):
        s3_store.upload(key, path)
    (left,) = s3_store.unfinished("files/")
    assert left.key == key
    assert PART_BYTES <= left.size_bytes <= 2 * PART_BYTES + 1
    assert timedelta() <= datetime.now(UTC) - left.started_at < timedelta(minutes=5)
    assert s3_store.get(key) is None
    other = S3Store(s3_store.url, s3_store._client.meta.endpoint_url)
    other.abort(left)
    other.abort(left)
    assert list(other.unfinished("")) == []


def test_an_upload_whose_parts_are_cleared_away_while_it_runs_fails_and_says_run_again(
    s3_store: S3Store, large: tuple[Path, str]
) -> None:
    path, key = large
    other = S3Store(s3_store.url, s3_store._client.meta.endpoint_url)
    on_send(s3_store, "CompleteMultipartUpload", lambda _: [other.abort(left) for left in other.unfinished("")])
    with pytest.raises(StoreUnavailableError, match=r"[Rr]un (it )?again"):
        s3_store.upload(key, path)
    assert s3_store.get(key) is None


def test_a_large_object_that_is_replaced_while_it_is_read_is_never_read_as_a_mixture(
    s3_store: S3Store, large: tuple[Path, str], tmp_path: Path
) -> None:
    path, key = large
    ref = s3_store.upload(key, path)
    ranges: list[Any] = []

    def replace(request: AWSPreparedRequest) -> None:
        ranges.append(request.headers.get("Range"))
        if len(ranges) == 1:
            other = S3Store(s3_store.url, s3_store._client.meta.endpoint_url)
            other._client.put_object(**other._at(key), Body=b"x" * ref.size_bytes)

    on_send(s3_store, "GetObject", replace)
    with pytest.raises(StoreUnavailableError, match="PreconditionFailed"):
        s3_store.download(ref, tmp_path / "down")
    assert all(ranges)
    assert [found.name for found in tmp_path.iterdir()] == ["large"]


def test_a_large_object_of_another_size_or_none_at_all_is_refused(
    s3_store: S3Store, large: tuple[Path, str], tmp_path: Path
) -> None:
    path, key = large
    ref = FileRef(name=key, size_bytes=path.stat().st_size, sha256=sha256(path.read_bytes()))
    with pytest.raises(IntegrityError, match="missing"):
        s3_store.download(ref, tmp_path / "down")
    s3_store.create(key, b"short")
    with pytest.raises(IntegrityError, match="got 5 bytes"):
        s3_store.download(ref, tmp_path / "down")


def test_results_come_in_order_and_no_more_run_ahead_than_there_are_threads() -> None:
    started: list[int] = []

    def call(n: int) -> Callable[[], int]:
        return lambda: started.append(n) or n

    results = ahead((call(n) for n in range(20)), threads=3)
    for expected in range(20):
        assert next(results) == expected
        assert len(started) <= expected + 4
    assert list(results) == []


def test_nothing_is_started_any_more_once_one_has_failed() -> None:
    started: list[int] = []

    def calls() -> Iterator[Callable[[], int]]:
        for n in range(100):
            yield lambda n=n: started.append(n) or 1 // (n - 2)

    with pytest.raises(ZeroDivisionError):
        list(ahead(calls(), threads=2))
    assert len(started) <= 6
