"""Alerts from a running stack: each arrives once, at a real webhook and a real mail server, and no log tells the secret."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest

from benchmarks.walks.__main__ import free_port
from benchmarks.walks.stack import RETRAIN, Walk, running
from tests.live.test_whole_stack import DRASTIC
from tests.receivers import Hook, Mail, Receiver, receiving
from widedeep.artifacts import LIVE
from widedeep.publishing import layout
from widedeep.publishing.pointer import champion

pytestmark = pytest.mark.timeout(1800)

SECRET = "T000/B000/never-show-this"
MORE_S = 15
"""Three of the scheduler's looks at deadlines: what has not arrived by then does not."""


@dataclass(frozen=True)
class Rung:
    """A stack that has rung for each of its days, and what came of it."""

    walk: Walk
    webhook: Receiver
    mailbox: Receiver

    def titles(self) -> list[str]:
        return [body["text"].partition("\n")[0] for _, body in self.webhook.received]

    def rings(self, times: int) -> None:
        self.walk.until(lambda: min(len(self.webhook.received), len(self.mailbox.received)) >= times, f"{times} alerts", 300)


@pytest.fixture(scope="module")
def rung(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rung]:
    with pytest.MonkeyPatch.context() as patch, receiving(Hook) as webhook, receiving(Mail) as mailbox:
        patch.setenv("WIDEDEEP_ALERT_SLACK_CONN", "alerts")
        patch.setenv("WIDEDEEP_ALERT_EMAIL_TO", "ann@example.org")
        patch.setenv("WIDEDEEP_ALERT_EMAIL_CONN", "mail")
        patch.setenv("WIDEDEEP_RELEASE_DEADLINE", "PT1M")
        with running(tmp_path_factory.mktemp("alerts"), free_port(), daily_spans=1) as walk:
            connect(walk, webhook, mailbox)
            told = Rung(walk, webhook, mailbox)
            damage_mend_and_clear(told)
            change_drastically(told)
            wait_in_vain(told)
            deliver_garbage(told)
            time.sleep(MORE_S)
            yield told


def connect(walk: Walk, webhook: Receiver, mailbox: Receiver) -> None:
    """As a person does under Admin, Connections."""
    sender = {"disable_ssl": True, "disable_tls": True, "from_email": "chain@example.org"}
    for connection in (
        {"connection_id": "alerts", "conn_type": "slackwebhook", "host": address(webhook), "password": SECRET},
        {"connection_id": "mail", "conn_type": "smtp", "host": "127.0.0.1", "port": mailbox.port, "extra": json.dumps(sender)},
    ):
        status, answer = walk.api.call("POST", "connections", connection)
        assert status == 201, answer


def damage_mend_and_clear(rung: Rung) -> None:
    """The first day fails, since its parent can't be read, and is cleared once the parent is whole again."""
    walk = rung.walk
    with walk.store() as store:
        parent = champion(store, LIVE)
        assert parent is not None
        keys = [key for key in store.keys(layout.release(parent.release_id)) if key.endswith(".safetensors")]
        whole = {key: blob.data for key in keys if (blob := store.get(key))}
    with walk.damaged(whole):
        walk.pause(False)
        (failed,) = walk.quiet(walk.day(1))
        assert failed["state"] == "failed", walk.told()
        rung.rings(1)
    walk.clear(failed["dag_run_id"])
    assert [run["state"] for run in walk.quiet(walk.day(1))] == ["success"], walk.told()


def change_drastically(rung: Rung) -> None:
    subprocess.run([sys.executable, DRASTIC, str(rung.walk.day(2))], env=dict(rung.walk.settings), check=True)
    start(rung.walk, "drastic", rung.walk.day(2), None)
    rung.rings(2)


def wait_in_vain(rung: Rung) -> None:
    """A day whose delivery does not come: its run waits, and is late in a minute."""
    start(rung.walk, "late", rung.walk.day(3), datetime.now(UTC))
    rung.rings(3)


def deliver_garbage(rung: Rung) -> None:
    with rung.walk.store() as store:
        assert store.create(f"landing/{rung.walk.day(3)}/rows.parquet", b"PAR1 and then nothing")
    rung.rings(4)


def start(walk: Walk, run: str, span: date, logical: datetime | None) -> None:
    body = {"dag_run_id": run, "logical_date": logical and logical.isoformat(), "conf": {"span": str(span)}}
    status, answer = walk.api.call("POST", f"dags/{RETRAIN}/dagRuns", body)
    assert status == 200, answer


def address(webhook: Receiver) -> str:
    return f"http://127.0.0.1:{webhook.port}/services"


def test_a_fault_a_held_day_a_missed_deadline_and_a_quarantine_ring_once_each(rung: Rung) -> None:
    first, second, third = (rung.walk.day(number) for number in (1, 2, 3))
    logical = rung.walk.api.get(f"dags/{RETRAIN}/dagRuns/late")["logical_date"]
    due = datetime.fromisoformat(logical) + timedelta(minutes=1)

    assert rung.titles() == [
        f"widedeep: {RETRAIN} failed at train, span {first}",
        f"widedeep: span {second} is held: its data changed drastically",
        f"widedeep: no release by {due:%Y-%m-%d %H:%M} UTC: {RETRAIN} is running",
        f"widedeep: span {third} is quarantined: nothing is learnt from it",
    ]


def test_the_mail_server_gets_what_the_webhook_gets(rung: Rung) -> None:
    assert [message["Subject"] for message in rung.mailbox.received] == rung.titles()
    assert {message["From"] for message in rung.mailbox.received} == {"chain@example.org"}


def test_each_alert_leads_to_its_run_in_this_airflow_and_those_of_data_to_their_report(rung: Rung) -> None:
    texts = [body["text"] for _, body in rung.webhook.received]
    assert all(f"\nRun: {rung.walk.stack.url}/dags/{RETRAIN}/runs/" in text for text in texts)
    assert [f"\nData report: {rung.walk.stack.url}/widedeep/validation/" in text for text in texts] == [False, True, False, True]
    assert f"\nLog of train: {rung.walk.stack.url}/dags/{RETRAIN}/runs/" in texts[0]


def test_the_webhook_was_asked_with_its_secret_and_no_log_tells_it(rung: Rung) -> None:
    place = rung.walk.place
    files = [path for folder in (place.logs, place.airflow_home / "logs") for path in folder.rglob("*") if path.is_file()]
    logs = {path: path.read_text(errors="replace") for path in files}

    assert {path for path, _ in rung.webhook.received} == {f"/services/{SECRET}"}
    assert [path for path, text in logs.items() if SECRET in text] == []
    assert [title for title in rung.titles() if not any(title in text for text in logs.values())] == []
