"""Whether a part does its work, asked as its users ask it: with the stack's credentials."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, cast

# The signer alone: the client, boto3, stays in `publishing`.
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from widedeep.local import database
from widedeep.local.parts import Part
from widedeep.local.stack import BUCKET, Stack

ANSWER_S = 5.0
# A proxy from the caller's environment has no business between two processes of one machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_healthy(part: Part, stack: Stack) -> bool:
    if part.name == "store":
        return store_status(stack) == 200  # noqa: PLR2004 (HTTP OK)
    if part.name == "postgres":
        return database.is_ready(stack)
    return airflow_health(stack).get(part.health) == "healthy"


def store_status(stack: Stack) -> int | None:
    """HTTP status of HEAD on the bucket, signed; None if nobody answers. 403 means that the store has other credentials."""
    url = f"{stack.s3_url}/{BUCKET}"
    request = AWSRequest("HEAD", url)
    S3SigV4Auth(Credentials(stack.store_access_key, stack.store_secret_key), "s3", "us-east-1").add_auth(request)
    status, _ = call("HEAD", url, headers=dict(request.headers))
    return status


def airflow_health(stack: Stack) -> Mapping[str, str | None]:
    """Status by component: metadatabase, scheduler, dag_processor, triggerer. Empty while the API server does not answer."""
    _, body = call("GET", f"{stack.url}/api/v2/monitor/health")
    if not isinstance(body, dict):
        return {}
    return {
        name: cast("dict[str, Any]", component).get("status") for name, component in body.items() if isinstance(component, dict)
    }


def call(
    method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None, within_s: float = ANSWER_S
) -> tuple[int | None, Any]:
    """One HTTP exchange: (status, parsed JSON or None). An error status is an answer; no answer is (None, None)."""
    data = None if body is None else json.dumps(body).encode()
    own = {} if body is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, {**own, **(headers or {})}, method=method)  # noqa: S310 (our own http addresses)
    try:
        with _opener.open(request, timeout=within_s) as answer:
            return answer.status, _parsed(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _parsed(error.read())
    except OSError:
        return None, None


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
