"""The environment that a task hands to the library: its process's and, with WIDEDEEP_S3_CONNECTION, what that connection says.

The fields are those of Airflow's connection type `aws`. They are read here: the library makes its own client, and the amazon
provider is no dependency. A field that would be ignored is refused; no value is ever repeated.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from widedeep.errors import SettingsError

if TYPE_CHECKING:
    from airflow.sdk import Connection

NAMED = "WIDEDEEP_S3_CONNECTION"

EXTRAS = {
    "endpoint_url": "WIDEDEEP_S3_ENDPOINT",
    "region_name": "WIDEDEEP_S3_REGION",
    "role_arn": "WIDEDEEP_S3_ROLE_ARN",
    "verify": "WIDEDEEP_S3_CA_BUNDLE",
    "aws_access_key_id": "AWS_ACCESS_KEY_ID",
    "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    "aws_session_token": "AWS_SESSION_TOKEN",
}
"""Field of the connection's extra: the variable that it becomes. `verify: true` says nothing: certificates are always checked."""


def task_environment(process: Mapping[str, str]) -> Mapping[str, str]:
    """The process's environment; what the connection says wins.

    Raises:
        SettingsError: the connection is missing, of another type, or says what the library would not do.
    """
    name = process.get(NAMED)
    if not name:
        return process
    kept = {key: value for key, value in process.items() if key not in {"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"}}
    return {**kept, **dict(variables(_connection(name)))}


def variables(connection: "Connection") -> Iterator[tuple[str, str]]:
    """The settings and credentials in a connection."""
    if connection.conn_type != "aws":
        raise SettingsError(
            f"connection {connection.conn_id!r}: got type {connection.conn_type!r}, wanted 'aws'. Mend it, or {NAMED}."
        )
    if connection.login:
        yield "AWS_ACCESS_KEY_ID", connection.login
    if connection.password:
        yield "AWS_SECRET_ACCESS_KEY", connection.password
    for field, value in _extra(connection).items():
        yield EXTRAS[field], str(value)


def _extra(connection: "Connection") -> dict[str, Any]:
    given = connection.extra_dejson.items()
    said = {field: value for field, value in given if value not in (None, "") and (field, value) != ("verify", True)}
    if unknown := sorted(field for field, value in said.items() if field not in EXTRAS or not isinstance(value, str)):
        raise SettingsError(
            f"connection {connection.conn_id!r}: got {', '.join(unknown)} in its extra, wanted only {', '.join(EXTRAS)}, as text."
            " Say the rest in WIDEDEEP_S3_* variables or in an AWS profile (AWS_PROFILE)."
        )
    return said


def _connection(name: str) -> "Connection":
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(name)
    except AirflowNotFoundException as error:
        raise SettingsError(
            f"{NAMED}: got {name!r}, wanted the id of a connection of type 'aws'. Create it, then run again."
        ) from error
