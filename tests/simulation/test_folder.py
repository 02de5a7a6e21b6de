"""A simulation on disk: complete days, the same bytes again, and no mixing of two stores."""

import json

import pyarrow.parquet as pq
import pytest

from widedeep.artifacts import sha256
from widedeep.errors import IntegrityError, UsageError
from widedeep.evaluation.metrics import auc
from widedeep.simulation import parse_fault, simulation_settings
from widedeep.steps import simulated
from widedeep.steps.simulated import simulate

SMALL = simulation_settings(rows_per_day=1000, seed=5)


def written(folder, days, settings=SMALL):
    heard = []
    spans = simulate(settings, days, folder, lambda done, total: heard.append((done, total)))
    return spans, heard


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_each_day_has_its_rows_its_truth_and_a_line_in_the_record(tmp_path):
    spans, heard = written(tmp_path, 2)
    assert heard == [(1, 2), (2, 2)]
    record = json.loads((tmp_path / "simulation.json").read_text())
    assert record["settings"]["seed"] == 5
    assert [day["span"] for day in record["days"]] == ["2026-01-01", "2026-01-02"]
    for day in spans:
        landing, truth = (tmp_path / file.name for file in day.files)
        assert [sha256(path.read_bytes()) for path in (landing, truth)] == [file.sha256 for file in day.files]
        rows = pq.ParquetFile(landing).read(columns=["row_id", "acquired"]).join(pq.read_table(truth), "row_id")
        assert (rows.num_rows, rows["probability"].null_count) == (1000, 0)
        assert auc(rows["acquired"].to_numpy().astype(float), rows["probability"].to_numpy()) == pytest.approx(day.bayes.auc)


def test_more_days_are_appended_and_the_first_ones_keep_their_bytes(tmp_path):
    written(tmp_path / "twice", 2)
    first = contents(tmp_path / "twice")
    written(tmp_path / "twice", 4)
    written(tmp_path / "once", 4)
    assert contents(tmp_path / "twice") == contents(tmp_path / "once")
    assert {name: contents(tmp_path / "twice")[name] for name in first if name != "simulation.json"}.items() <= first.items()


def test_fewer_days_than_there_are_change_nothing(tmp_path):
    written(tmp_path, 3)
    before = contents(tmp_path)
    assert len(written(tmp_path, 2)[0]) == 3
    assert contents(tmp_path) == before


def test_a_run_that_broke_off_is_continued_with_the_same_bytes(tmp_path, monkeypatch):
    """Broken off before each of its writes in turn."""
    written(tmp_path / "whole", 2)
    write, count = simulated._write, len(contents(tmp_path / "whole")) + 2
    for survived in range(count):
        folder, left = tmp_path / f"broken {survived}", iter(range(survived))

        def fragile(path, data, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            write(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(simulated, "_write", fragile)
            with pytest.raises(KeyboardInterrupt):
                written(folder, 2)
        written(folder, 2)
        assert contents(folder) == contents(tmp_path / "whole")


def test_another_simulation_and_a_strangers_folder_are_left_alone(tmp_path):
    written(tmp_path / "mine", 1)
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "notes.txt").write_text("keep me")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"another simulation, with seed 5, not 6\. Ask for that one"):
        written(tmp_path / "mine", 2, SMALL.model_copy(update={"seed": 6}))
    with pytest.raises(UsageError, match=r"not empty and holds no simulation\.json"):
        written(tmp_path / "strange", 1)
    assert contents(tmp_path) == before


def test_a_day_that_can_not_be_made_again_stops_the_continuation(tmp_path):
    written(tmp_path, 2)
    record = tmp_path / "simulation.json"
    known = json.loads(record.read_text())
    known["days"][1]["bayes"]["log_loss"] += 1e-9
    record.write_text(json.dumps(known))
    with pytest.raises(IntegrityError, match=r"day 1 \(2026-01-02\) can't be made again"):
        written(tmp_path, 3)
    assert not (tmp_path / "landing" / "2026-01-03").exists()


def test_a_day_without_labels_has_no_bayes_figures(tmp_path):
    settings = SMALL.model_copy(update={"faults": (parse_fault("broken-column:1:acquired"),)})
    spans, _ = written(tmp_path, 3, settings)
    assert [day.bayes is None for day in spans] == [False, True, False]
    assert len(written(tmp_path, 4, settings)[0]) == 4


def test_a_folder_that_can_not_be_written_is_told_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"can't be written .*--out"):
        written(tmp_path / "file" / "below", 1)
