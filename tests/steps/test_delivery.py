"""From files in a folder to a snapshot: once, whatever their form, and only when all of them are there."""

import gzip
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv

from widedeep.artifacts import LIVE, Progress, Validation
from widedeep.data.contract import Column
from widedeep.errors import ContractError, OrderError, UnknownOutcomeError
from widedeep.publishing import releases
from widedeep.publishing.memory import MemoryStore
from widedeep.publishing.snapshots import load_rows, versions
from widedeep.steps import delivery, ingest, readiness, run_span


class Landing:
    """One span's folder in the store, and its runs, under a delivery rule of the test's own."""

    def __init__(self, chain, **rule):
        self.place = with_rule(chain.place, **rule)
        self.day, self.rows = chain.day(3), chain.rows(3)
        self.start = Progress(span=self.day, lane=LIVE)
        self.ended = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC) + timedelta(days=1)

    def put(self, name, data=b""):
        assert self.place.store.create(f"landing/{self.day}/{name}", data)

    def at(self, **after_the_day):
        return replace(self.place, clock=lambda: self.ended + timedelta(**after_the_day))

    def findings(self, progress):
        assert progress.quarantined
        stored = Validation.from_bytes(self.place.store.get(progress.validation).data, "here")
        return [finding.message for finding in stored.findings]


def with_rule(place, **rule):
    contract = place.contract
    return replace(place, contract=contract.model_copy(update={"delivery": contract.delivery.model_copy(update=rule)}))


def parquet(rows):
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


def as_csv(rows):
    sink = io.BytesIO()
    csv.write_csv(rows, sink)
    return sink.getvalue()


def as_json(rows):
    return "\n".join(json.dumps(row, default=datetime.isoformat) for row in rows.to_pylist()).encode()


@pytest.mark.usefixtures("here")
def test_twenty_ingests_of_a_span_leave_one_snapshot_of_the_same_bytes(chain):
    here = Landing(chain)
    here.put("a.parquet", parquet(here.rows.slice(0, 200)))
    here.put("b.csv.gz", gzip.compress(as_csv(here.rows.slice(200, 200))))
    here.put("part/c.jsonl", as_json(here.rows.slice(400)))
    first = ingest(here.place, here.start)
    stored = {key: here.place.store.get(key).data for key in here.place.store.keys("")}
    assert len([key for key in stored if key.startswith("snapshots/")]) == 1
    for _ in range(19):
        assert ingest(here.place, here.start) == first
    assert {key: here.place.store.get(key).data for key in here.place.store.keys("")} == stored
    assert load_rows(here.place.store, first.snapshot, here.place.folder()).num_rows == here.rows.num_rows


def test_the_same_rows_in_other_files_of_another_form_are_the_same_snapshot(chain, tmp_path):
    rows, seen = chain.rows(3), set()
    for forms in ({"a.parquet": parquet}, {"z.csv": as_csv}, {"1.jsonl": as_json}):
        store = MemoryStore()
        here = Landing(chain)
        here.place = replace(here.place, store=store)
        for name, form in forms.items():
            here.put(name, form(rows))
        seen.add(ingest(here.place, here.start).snapshot)
    assert len(seen) == 1


def test_a_folder_on_this_machine_is_read_like_the_store(chain, tmp_path):
    here = Landing(chain, prefix=f"file://{tmp_path}/in/{{span}}/", marker="_SUCCESS")
    with pytest.raises(ContractError, match="this machine has no such folder"):
        ingest(here.place, here.start)
    folder = tmp_path / "in" / str(here.day)
    folder.mkdir(parents=True)
    (folder / "a.csv").write_bytes(as_csv(here.rows))
    assert "the marker _SUCCESS is missing below file:///" in readiness(here.at(hours=1), here.start).reason
    (folder / "_SUCCESS").touch()
    assert readiness(here.at(hours=1), here.start) is None
    assert ingest(here.place, here.start).snapshot.rows == here.rows.num_rows


def test_a_link_that_leads_out_of_the_landing_area_quarantines_the_span(chain, tmp_path):
    here = Landing(chain, prefix=f"file://{tmp_path}/in/{{span}}/")
    folder = tmp_path / "in" / str(here.day)
    folder.mkdir(parents=True)
    (tmp_path / "secret.csv").write_bytes(as_csv(here.rows))
    (folder / "a.csv").symlink_to(tmp_path / "secret.csv")
    (said,) = here.findings(ingest(here.place, here.start))
    assert said == f"file a.csv: leads out of {tmp_path}/in, wanted a file in it"


def test_a_run_waits_for_what_is_missing_and_writes_nothing(chain):
    here = Landing(chain, marker="_SUCCESS")
    here.put("a.parquet", parquet(here.rows))
    waiting = readiness(here.at(hours=1), here.start)
    assert waiting.reason.startswith("the marker _SUCCESS is missing below s3://")
    assert waiting.until == here.ended + timedelta(hours=6)
    with pytest.raises(OrderError, match="the marker _SUCCESS is missing"):
        ingest(here.at(hours=1), here.start)
    assert versions(here.place.store, here.day) == ()


def test_a_partial_delivery_is_given_up_in_words_and_learnt_once_it_is_complete(chain):
    here = Landing(chain, manifest="_m.json")
    counts = {"files": [{"name": "a.parquet", "rows": 200}, {"name": "b.parquet", "rows": here.rows.num_rows - 200}]}
    here.put("a.parquet", parquet(here.rows.slice(0, 200)))
    here.put("_m.json", json.dumps(counts).encode())
    given_up = ingest(here.at(hours=7), here.start)
    assert given_up.no_data.startswith(
        f"the delivery was incomplete at {here.ended:%Y-%m-%d} 06:00 UTC: 1 of the manifest's 2 files"
    )
    assert given_up.no_data.endswith(": b.parquet; there are 1 file(s), not read: a.parquet")
    assert versions(here.place.store, here.day) == ()
    here.put("b.parquet", parquet(here.rows.slice(200)))
    assert ingest(here.at(hours=8), here.start).snapshot.rows == here.rows.num_rows


def test_nothing_at_all_is_no_data_as_ever(chain):
    here = Landing(chain, marker="_SUCCESS")
    assert ingest(here.place, here.start).no_data.startswith("nothing was delivered until ")


@pytest.mark.parametrize("rule", [{"marker": "_SUCCESS"}, {"manifest": "_SUCCESS"}])
def test_a_delivery_that_is_complete_without_a_file_is_no_data_at_once(chain, rule):
    here = Landing(chain, **rule)
    here.put("_SUCCESS", b'{"files": []}')
    assert readiness(here.at(hours=1), here.start) is None
    assert ingest(here.at(hours=1), here.start).no_data.startswith("the delivery is complete and has no file")


def test_row_counts_that_differ_quarantine_the_span_with_file_and_numbers(chain):
    here = Landing(chain, manifest="_m.json")
    here.put("a.parquet", parquet(here.rows))
    here.put("_m.json", b'{"files": [{"name": "a.parquet", "rows": 1000}]}')
    done = ingest(here.at(hours=1), here.start)
    assert here.findings(done) == ["file a.parquet: has 600 rows, the manifest says 1,000. Deliver the whole file again"]
    assert ingest(here.at(hours=1), here.start) == done


def test_findings_are_told_of_the_delivery_that_they_are_about(chain):
    """Not those of an earlier one, of which only the manifest differed."""
    here = Landing(chain, manifest="_m.json")
    here.put("a.parquet", parquet(here.rows))
    told = []
    for count in (1_000, 2_000):
        here.put("_m.json", json.dumps({"files": [{"name": "a.parquet", "rows": count}]}).encode())
        told += here.findings(ingest(here.place, here.start))
        here.place.store.delete(f"landing/{here.day}/_m.json")
    assert ["1,000" in told[0], "2,000" in told[1]] == [True, True]


def test_a_malformed_manifest_is_waited_for_and_then_quarantines_the_span(chain):
    here = Landing(chain, manifest="_m.json")
    here.put("a.parquet", parquet(here.rows))
    here.put("_m.json", b'{"files": [')
    assert "_m.json can't be followed: Invalid JSON" in readiness(here.at(hours=1), here.start).reason
    (said,) = here.findings(ingest(here.at(hours=7), here.start))
    assert "_m.json can't be followed: Invalid JSON: EOF while parsing" in said


def test_files_beside_the_manifest_are_told_and_not_read(chain, caplog):
    here = Landing(chain, manifest="_m.json")
    here.put("a.parquet", parquet(here.rows))
    here.put("a copy.parquet", parquet(here.rows))
    here.put("_m.json", b'{"files": [{"name": "a.parquet", "rows": 600}]}')
    assert ingest(here.place, here.start).snapshot.rows == 600
    assert "not read, since the manifest does not name them: a copy.parquet" in caplog.text


def test_a_quiet_period_is_looked_at_again_until_it_is_over(chain):
    """With the store's own times; the run's clock is this machine's."""
    here = Landing(chain, quiet=timedelta(minutes=15), deadline=timedelta(days=30_000))
    here.put("a.parquet", parquet(here.rows))
    now = datetime.now(UTC)
    reasons = [readiness(replace(here.place, clock=lambda at=at: now + timedelta(minutes=at)), here.start) for at in (0, 5, 20)]
    assert [waiting is None for waiting in reasons] == [False, False, True]
    assert reasons[0] == reasons[1]  # a trigger tells a reason once
    assert "they count as complete if none does until" in reasons[0].reason


def test_what_arrives_in_the_grace_of_a_late_run_still_gets_its_quiet_period(chain):
    here = Landing(chain, quiet=timedelta(minutes=15))
    not_before = here.ended + timedelta(days=3)
    assert delivery.wait_until(here.place, here.day, not_before) == not_before + timedelta(minutes=15)
    assert delivery.wait_until(here.place, here.day, None) == here.ended + timedelta(hours=6)


def test_a_file_that_changes_while_it_is_read_is_read_again(chain):
    class Growing(MemoryStore):
        def listed(self, prefix):
            return (replace(item, size_bytes=item.size_bytes - 1) for item in super().listed(prefix))

    here = Landing(chain)
    here.place = replace(here.place, store=Growing())
    here.put("a.parquet", parquet(here.rows))
    with pytest.raises(
        UnknownOutcomeError, match=r"a.parquet: had [0-9,]+ bytes when it was listed, now [0-9,]+ bytes: is it still written"
    ):
        ingest(here.place, here.start)


def test_a_file_that_goes_while_it_is_read_is_told(chain):
    class Going(MemoryStore):
        def fetch(self, *_):
            return None

    here = Landing(chain)
    here.place = replace(here.place, store=Going())
    here.put("a.parquet", parquet(here.rows))
    with pytest.raises(UnknownOutcomeError, match="now gone"):
        ingest(here.place, here.start)


def test_what_is_far_too_much_is_not_even_fetched(chain, monkeypatch):
    class Untouched(MemoryStore):
        def listed(self, prefix):
            return (replace(item, size_bytes=3 * 2**30) for item in super().listed(prefix))

        def fetch(self, *what):
            raise AssertionError(what)

    here = Landing(chain)
    here.place = replace(here.place, store=Untouched())
    here.put("a.parquet")
    here.put("b.parquet")
    (said,) = here.findings(ingest(here.place, here.start))
    assert said.startswith("the files have 6,442,450,944 bytes, wanted at most 4,294,967,296")
    monkeypatch.setattr(delivery, "MAX_FILES", 1)
    (said,) = here.findings(ingest(here.place, here.start))
    assert said == "2 files were delivered, wanted at most 1: put more rows into each"


def test_a_hostile_file_quarantines_the_span_and_the_process_lives(chain):
    here = Landing(chain)
    here.put("a\n.jsonl", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")
    (said,) = here.findings(ingest(here.place, here.start))
    assert said.startswith(r"file 'a\n.jsonl': crashes its decoder")


def test_files_whose_types_do_not_go_together_are_both_named(chain):
    here = Landing(chain)
    here.put("a.parquet", parquet(here.rows))
    price = here.rows.column_names.index("price")
    here.put("b.parquet", parquet(here.rows.set_column(price, "price", pa.array(["cheap"] * 600))))
    assert here.findings(ingest(here.place, here.start)) == [
        "column 'price': double in file a.parquet, string in file b.parquet; wanted number in each"
    ]


def test_no_scratch_file_of_a_delivery_is_left_but_the_rows(chain, tmp_path):
    here = Landing(chain)
    here.put("a.parquet", parquet(here.rows))
    ingest(here.place, here.start)
    assert {path.name for path in here.place.scratch.rglob("*") if path.is_file()} <= {"rows.arrow", "at.json"}


def test_a_new_nullable_column_is_null_in_the_pending_rows_of_before(begun):
    """A day that nobody has learnt, of a time when there was no such column, is learnt with the first day that has it."""
    begun.deliver(3)
    strict = begun.place.contract.gate.model_copy(update={"auc_at_least": 1.0})
    assert (
        run_span(replace(begun.place, contract=begun.place.contract.model_copy(update={"gate": strict})), begun.day(3)).result
        == "rejected"
    )
    columns = begun.place.contract.columns | {
        "basket": Column(type="number", role="numeric", nullable=True),
        "hint": Column(type="string", role="categorical", nullable=True),
    }
    place = replace(begun.place, contract=begun.place.contract.model_copy(update={"columns": columns}))
    rows = begun.rows(4)
    new = rows.append_column("basket", pa.array([0.5, 1.5, 2.5, 3.5, None] * 120)).append_column(
        "hint", pa.array(["x", "y", "z", None, "y"] * 120)
    )
    begun.deliver(4, new)
    progress = run_span(place, begun.day(4))
    assert progress.decision in ("promote", "hold", "reject")
    learnt = releases.load_manifest(place.store, progress.candidate.release_id, published=False).lineage.learnt
    assert begun.day(3) in {part.span for part in learnt}
