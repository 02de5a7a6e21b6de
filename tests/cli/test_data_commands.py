"""The commands for somebody's own data, as they are typed: what they tell, what they leave, and how they end."""

import json
import sys
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.contracts.shop import shop_span
from widedeep.cli import main
from widedeep.data.contract import load_contract
from widedeep.publishing.s3 import S3Store

CONTRACT = Path(__file__).parents[1] / "contracts" / "shop.yaml"
FIRST = date(2026, 3, 2)
HELD, QUARANTINED, FINE, BAD, EMPTY = (FIRST + timedelta(days=n) for n in range(3, 8))


@pytest.fixture(scope="module")
def settings(seaweedfs, shell_settings):
    with pytest.MonkeyPatch.context() as patch:
        environment = shell_settings("data-commands")
        for name, value in environment.items():
            patch.setenv(name, value)
        yield S3Store(environment["WIDEDEEP_STORE"], seaweedfs.endpoint)


@pytest.fixture(scope="module")
def chain(settings, shell_settings, begin):
    """A bootstrap over three days, a day that is held, and one that is quarantined; two more are delivered, and one is not."""
    begin(shell_settings("data-commands"))
    rows = {FIRST + timedelta(days=n): shop_span(FIRST + timedelta(days=n)) for n in range(3, 7)}
    price = pc.multiply(rows[HELD]["price"], 0.13)
    rows[HELD] = rows[HELD].set_column(4, "price", price)
    rows[QUARANTINED] = rows[QUARANTINED].slice(0, 5)
    rows[BAD] = rows[BAD].set_column(1, "country", pa.array(["XX"] * 600))
    for span, table in rows.items():
        deliver(settings, span, table)
    assert [status("run", "--span", span) for span in (HELD, QUARANTINED)] == [0, 0]
    return settings


def deliver(store, span, rows):
    file = BytesIO()
    pq.write_table(rows, file)
    store.delete(f"landing/{span}/rows.parquet")
    assert store.create(f"landing/{span}/rows.parquet", file.getvalue())


def status(*arguments):
    """How the command ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["widedeep", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    return ended.value.code or 0


@pytest.fixture
def typed(capsys):
    """How a command ends, and what it says on standard output and on standard error."""

    def run(*arguments):
        capsys.readouterr()
        return status(*arguments), *capsys.readouterr()

    return run


def test_init_writes_a_contract_that_the_chain_reads_and_says_what_to_do_next(typed, tmp_path):
    for n in range(2):
        folder = tmp_path / "shop" / f"{FIRST + timedelta(days=n)}"
        folder.mkdir(parents=True)
        pq.write_table(shop_span(FIRST + timedelta(days=n)), folder / "rows.parquet")
    file = tmp_path / "shop.yaml"
    ended, told, _ = typed("init", "--from", tmp_path / "shop", "--out", file)
    assert (ended, load_contract(file).user) == (0, "customer")
    assert "1,200 rows were looked at" in " ".join(told.split())
    assert f"export WIDEDEEP_CONTRACT={file}" in told
    ended, _, refused = typed("init", "--from", tmp_path / "shop", "--out", file)
    assert (ended, "is there already" in refused) == (2, True)
    ended, told, _ = typed("init", "--from", tmp_path / "shop", "--out", file, "--force", "--json")
    guessed = json.loads(told)
    assert (ended, guessed["undecided"]) == (0, [])
    assert guessed["contract"]["columns"]["visits"]["max_null_share"] <= 0.2
    assert "clicked" in guessed["contract"]["label"]["column"]


def test_init_from_nowhere_is_wrong_usage(typed, tmp_path):
    ended, told, refused = typed("init", "--from", tmp_path / "none", "--out", tmp_path / "c.yaml")
    assert (ended, told) == (2, "")
    assert "not there" in refused


def test_validate_ends_with_0_only_for_a_day_that_would_be_learnt(typed, chain, tmp_path):
    ended, told, pages = typed("validate", "--span", FINE)
    assert (ended, f"span {FINE}: 600 rows, valid; findings: none" in told) == (0, True)
    assert f"{chain.url}/validation/{FINE}/" in pages
    ended, told, _ = typed("validate", "--span", BAD, "--docs", tmp_path)
    assert (ended, "quarantined; findings: " in told) == (1, True)
    assert "critical column 'country': 600 of 600 values are not among DE, FR, IT, PL" in told
    assert b"not among DE" in (tmp_path / "index.html").read_bytes()
    ended, told, _ = typed("validate", "--span", HELD, "--json")
    found = json.loads(told)
    assert (ended, found["judgement"], found["lane"]) == (1, "held", "live")
    assert [f["column"] for f in found["findings"] if f["severity"] == "drastic"] == ["price"]


def test_validate_of_a_day_without_data_says_so_and_settles_nothing(typed, chain):
    ended, told, refused = typed("validate", "--span", EMPTY)
    assert (ended, told) == (1, "")
    assert f"span {EMPTY}: " in refused
    assert "Deliver it" in refused
    ended, told, _ = typed("spans", "--json")
    assert str(EMPTY) not in told
    assert str(FINE) not in told


def test_review_lists_shows_and_takes_one_answer(typed, chain):
    ended, told, _ = typed("review")
    assert (ended, str(HELD) in told, "column 'price': drifted" in told) == (0, True, True)
    ended, told, _ = typed("review", "--span", HELD)
    assert (ended, "is unlike those that the champion learnt" in told) == (0, True)
    assert typed("review", "--span", HELD, "--accept")[0] == 2, "an answer has a reason"
    ended, told, _ = typed("review", "--span", HELD, "--accept", "--reason", "another currency")
    assert (ended, f"{HELD}: accepted by" in told) == (0, True)
    ended, _, refused = typed("review", "--span", HELD, "--reject", "--reason", "no")
    assert (ended, "The first answer stands" in refused) == (2, True)
    assert typed("review")[1] == "lane live: no span waits for a review.\n"
    assert typed("review", "--accept")[0] == 2


def test_requeue_refuses_what_is_not_settled_or_does_not_pass_and_takes_in_what_is_mended(typed, chain, tmp_path):
    ended, _, refused = typed("requeue", "--span", FINE, "--reason", "mended")
    assert (ended, f"span {FINE}: is not settled in lane live" in refused) == (2, True)
    ended, _, refused = typed("requeue", "--span", QUARANTINED, "--reason", "mended")
    assert (ended, "the rows don't pass: the span has 5 rows, wanted 20" in refused) == (2, True)
    pq.write_table(shop_span(QUARANTINED), tmp_path / "mended.parquet")
    ended, told, _ = typed("requeue", "--span", QUARANTINED, "--reason", "mended", "--rows", tmp_path / "mended.parquet")
    assert (ended, f"span {QUARANTINED}: the next candidate of lane live learns 600 rows, v2" in told) == (0, True)
    ended, told, _ = typed("requeue", "--span", QUARANTINED, "--reason", "mended", "--rows", tmp_path / "mended.parquet")
    assert (ended, "nothing new: v2 waits to be learnt already" in told) == (0, True)


def test_descendants_name_who_learnt_a_day_and_how_to_replay_a_corrected_one(typed, chain):
    ended, told, _ = typed("descendants", "--span", FIRST, "--json")
    (release,) = json.loads(told)
    assert (ended, release["versions"], release["champion_of"]) == (0, [1], ["live"])
    corrected = shop_span(FIRST)
    deliver(chain, FIRST, corrected.set_column(4, "price", pc.add(corrected["price"], 1.0)))
    ended, told, _ = typed("requeue", "--span", FIRST, "--reason", "corrected")
    assert (ended, "v2 is stored, and the next candidate does not learn it" in told) == (0, True)
    ended, told, _ = typed("descendants", "--span", FIRST)
    assert (ended, release["release_id"] in told) == (0, True)
    assert f"{release['release_id']} of {release['span']}. Nothing trained changes." in told
    assert f'the DAG widedeep_replay with {{"from": "{FIRST}"}}, or `widedeep replay --from {FIRST}`' in told
    assert typed("descendants", "--span", FIRST, "--version", "2")[1] == f"{FIRST}: no release learnt it.\n"


def test_descendants_of_a_day_that_nobody_has_taken_in_is_wrong_usage(typed, chain):
    ended, told, refused = typed("descendants", "--span", EMPTY)
    assert (ended, told) == (2, "")
    assert f"span {EMPTY}: " in refused
