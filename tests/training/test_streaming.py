"""A part that is read from its file, chunk by chunk, is learnt as the same part in memory; no more than two chunks are held."""

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from widedeep.artifacts import Part
from widedeep.data import rows as rows_module
from widedeep.data.contract import Training
from widedeep.data.rows import RowsInFile, RowsInMemory
from widedeep.model.bundle import save_bundle
from widedeep.training.candidate import train_candidate
from widedeep.training.sampling import sampled, sampled_rows

GROUP = 10


@pytest.fixture(autouse=True)
def small_groups(monkeypatch):
    monkeypatch.setattr(rows_module, "GROUP_ROWS", GROUP)
    monkeypatch.setattr(rows_module, "CHUNK_GROUPS", 3)


def in_file(tmp_path, table, kept=None):
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, row_group_size=GROUP)
    return RowsInFile(path, np.ones(len(table), bool) if kept is None else kept)


def part(start):
    return Part(span=start, version=1, digest="0" * 64, part="train")


def files(bundle, folder):
    folder.mkdir()
    save_bundle(bundle, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("negative_rate", [1.0, 0.5])
def test_a_part_from_its_file_gives_the_payload_of_the_same_part_in_memory(make_contract, make_rows, tmp_path, negative_rate):
    contract = make_contract(training=Training(batch_size=16, negative_rate=negative_rate))
    table, own = make_rows(0, count=125), part(date(2026, 1, 1))
    made = [train_candidate(None, [(own, rows)], contract, 7, lambda *_: None) for rows in (table, in_file(tmp_path, table))]
    (one, report), (other, same) = made
    assert report == same
    assert report.rows + report.parts[0].left_out == 125
    assert files(one, tmp_path / "one") == files(other, tmp_path / "other")


def test_rows_that_a_split_leaves_out_are_not_learnt(make_contract, make_rows, tmp_path):
    contract, table = make_contract(), make_rows(0, count=60)
    kept = np.arange(60) % 2 == 0
    rows = in_file(tmp_path, table, kept)
    streamed, report = train_candidate(None, [(part(date(2026, 1, 1)), rows)], contract, 7, lambda *_: None)
    _, wanted = train_candidate(None, [(part(date(2026, 1, 1)), table.filter(pa.array(kept)))], contract, 7, lambda *_: None)
    assert report.rows == 30
    assert report.parts[0].coverage == wanted.parts[0].coverage
    assert report.parts[0].growth == wanted.parts[0].growth
    assert all(torch.isfinite(t).all() for t in streamed.weights.values())


def test_chunks_are_read_one_ahead_and_not_all_at_once(make_contract, make_rows, tmp_path, monkeypatch):
    rows, learnt, most_ahead = in_file(tmp_path, make_rows(0, count=300)), [0], [0]
    read = []
    original = RowsInFile.group

    def group(self, number, columns=None):
        if columns is None:  # growth and quantiles read columns, training reads whole rows
            read.append(number)
            most_ahead[0] = max(most_ahead[0], len(read) * GROUP - learnt[0])
        return original(self, number, columns)

    monkeypatch.setattr(RowsInFile, "group", group)
    train_candidate(None, [(part(date(2026, 1, 1)), rows)], make_contract(), 7, lambda done, _: learnt.__setitem__(0, done))
    assert sorted(read) == list(range(30))
    assert most_ahead[0] <= 3 * 3 * GROUP, "the chunk in use, the next one, and one that is being read"


def test_sampling_group_by_group_is_sampling_the_whole(make_contract, make_rows, tmp_path):
    contract = make_contract(training=Training(negative_rate=0.4))
    table, own = make_rows(0, count=125), part(date(2026, 1, 1))
    streamed = sampled_rows(in_file(tmp_path, table), contract, own, 3)
    whole = sampled(table, contract, own, 3)
    assert pa.concat_tables(rows_module.chunks(streamed)).equals(whole)
    assert streamed.num_rows == len(whole) < 125
    assert sampled_rows(RowsInMemory(table), contract, own, 3).starts.tolist() == streamed.starts.tolist()
