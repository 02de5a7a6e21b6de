"""What one local stack is: chosen or generated at its first start, frozen from then on, and readable by its owner alone.

Everything else (environment file, supervisor's configuration, Airflow's passwords) is derived from it at each start.
"""

import base64
import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from widedeep.errors import StackError
from widedeep.local.ports import HOST, port_of

HISTORY_SPANS = 8  # the sample's first weeks, which the bootstrap learns in one go
DAILY_SPANS = 9  # the weeks after them, which the scheduler catches up; the last is yesterday
BUCKET = "widedeep"

Secret = Annotated[str, Field(min_length=16, repr=False)]


class Stack(BaseModel):
    """`start_date` is the first daily span; the history ends on the day before it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int
    start_date: date
    daily_spans: int
    store_access_key: Secret
    store_secret_key: Secret
    store_signing_key: Secret = Field(default_factory=lambda: secrets.token_hex(32))  # the first stacks had none
    database_password: Secret
    supervisor_password: Secret
    admin_password: Secret
    fernet_key: Secret
    jwt_secret: Secret
    api_secret: Secret

    @property
    def history(self) -> tuple[date, date]:
        """First and last span of the history."""
        return self.start_date - timedelta(days=HISTORY_SPANS), self.start_date - timedelta(days=1)

    @property
    def last_delivered(self) -> date:
        """The last span that is delivered before the first start."""
        return self.start_date + timedelta(days=self.daily_spans - 1)

    @property
    def url(self) -> str:
        """Where Airflow's UI answers."""
        return f"http://{HOST}:{port_of('api-server', self.port)}"

    @property
    def s3_url(self) -> str:
        return f"http://{HOST}:{port_of('s3', self.port)}"


@dataclass(frozen=True)
class Place:
    """Where a stack keeps its files. `state` is the one folder; only PostgreSQL's may lie elsewhere (see `database`)."""

    checkout: Path
    state: Path

    @property
    def stack_file(self) -> Path:
        return self.state / "stack.json"

    @property
    def environment_file(self) -> Path:
        return self.state / "environment"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def airflow_home(self) -> Path:
        return self.state / "airflow"

    @property
    def passwords_file(self) -> Path:
        return self.airflow_home / "passwords.json"

    @property
    def store(self) -> Path:
        return self.state / "store"

    @property
    def sample(self) -> Path:
        """A download, not state: every stack of the checkout shares it."""
        return self.checkout / ".local" / "sample"


def find_place(state: Path | None) -> Place:
    """The checkout that this module lies in, with its `.local` as the state folder unless told otherwise.

    Raises:
        StackError: the package is installed without its checkout, so there are no DAGs to run.
    """
    checkout = Path(__file__).resolve().parents[2]
    if not (checkout / "dags").is_dir():
        raise StackError(
            f"no dags/ beside the package in {checkout}: the local stack runs from a clone of the project, after `make setup`."
        )
    return Place(checkout, (state or checkout / ".local").absolute())


def create_stack(today: date, port: int, daily_spans: int) -> Stack:
    """A new stack with secrets of its own, whose last daily span is yesterday."""
    return Stack(
        port=port,
        start_date=today - timedelta(days=daily_spans),
        daily_spans=daily_spans,
        store_access_key=secrets.token_hex(10),
        store_secret_key=secrets.token_hex(20),
        database_password=secrets.token_hex(16),
        supervisor_password=secrets.token_hex(16),
        admin_password=secrets.token_urlsafe(12),
        fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        jwt_secret=secrets.token_hex(32),
        api_secret=secrets.token_hex(16),
    )


def load_stack(place: Place) -> Stack | None:
    """The stack of this place, or None before its first start.

    Raises:
        StackError: the file is damaged or of another version.
    """
    try:
        return Stack.model_validate_json(place.stack_file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'file'}: {p['msg']}" for p in error.errors(include_input=False))
        raise StackError(
            f"{place.stack_file} can't be read: {wrong}. `make clean` starts afresh, without the stack's data."
        ) from error


def save_stack(place: Place, stack: Stack) -> None:
    write_private(place.stack_file, stack.model_dump_json(indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; nobody but the owner can ever read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
