"""A corrected day from a shell, as it is typed: who learnt it, the days rebuilt beside live, the lane compared and promoted."""

import re
import subprocess
import sys
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.contracts.shop import shop_span
from widedeep.publishing.pointer import champion

WIDEDEEP = str(Path(sys.executable).with_name("widedeep"))
CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(5)]


@pytest.fixture(scope="module")
def shell(shell_settings, begin, tmp_path_factory):
    """Three days bootstrapped and two promoted, by a gate with a margin for 600 rows a day; the fourth day is corrected."""
    contract = tmp_path_factory.mktemp("contract") / "shop.yaml"
    contract.write_text(CONTRACT.read_text().replace("margin: 0.01", "margin: 0.5"))
    environment = shell_settings("cli-replay", contract)

    def typed(*arguments):
        done = subprocess.run(
            [WIDEDEEP, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    typed.store, _ = begin(environment)
    for day in DAYS[3:]:
        deliver(typed.store, day, shop_span(day))
        assert "promoted" in typed("run", "--span", day).stdout
    rows = shop_span(DAYS[3])
    deliver(typed.store, DAYS[3], rows.set_column(4, "price", pc.add(rows["price"], 1.0)))
    return typed


def deliver(store, span, rows):
    file = BytesIO()
    pq.write_table(rows, file)
    store.delete(f"landing/{span}/rows.parquet")
    assert store.create(f"landing/{span}/rows.parquet", file.getvalue())


def test_from_the_corrected_day_to_the_promoted_lane_each_answer_names_the_next_command(shell):
    before = champion(shell.store, "live")
    told = shell("requeue", "--span", DAYS[3], "--reason", "prices corrected").stdout
    command = re.search(r"`widedeep (replay --from [\d-]+)`", told)[1]

    rebuilt = shell(*command.split())
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert champion(shell.store, "live") == before
    lane = re.search(rf"lane (replay-{DAYS[3]}-[0-9a-f]{{8}}): 2 of 2 day\(s\) are rebuilt", rebuilt.stdout)[1]
    assert f"`widedeep promote-lane {lane} --reason" in rebuilt.stdout

    shown = shell("promote-lane", lane, "--reason", "prices corrected")
    assert (shown.returncode, "give --yes" in shown.stderr) == (2, True)
    assert "difference in log loss" in shown.stdout
    assert champion(shell.store, "live") == before

    moved = shell("promote-lane", lane, "--reason", "prices corrected", "--yes")
    after = champion(shell.store, "live")
    assert (moved.returncode, after.kind, after.reason) == (0, "adopt", "prices corrected")
    assert f"{after.release_id} is champion of lane live by move {after.sequence}" in moved.stdout
    again = shell("promote-lane", lane, "--reason", "prices corrected", "--yes")
    assert (again.returncode, again.stdout) == (0, f"{after.release_id} of lane {lane} is champion of lane live already\n")


def test_what_can_not_be_done_is_one_message(shell):
    for arguments, status, said in (
        (("replay", "--from", "2026-05-01"), 2, "live has settled no such day"),
        (("replay", "--from", DAYS[3], "--on-hold", "ask"), 2, "'ask' is not one of 'drop', 'pass'"),
        (("promote-lane", "live", "--reason", "why"), 2, "can't be promoted over itself"),
        (("promote-lane", "nowhere", "--reason", "why"), 1, "lane nowhere: there is no such lane, wanted one of: replay-"),
    ):
        refused = shell(*arguments)
        assert (refused.returncode, refused.stdout) == (status, "")
        assert said in refused.stderr
