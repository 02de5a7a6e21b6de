"""A simulated store on disk, day by day: `landing/<span>/` as it is delivered, `truth/<span>.parquet`, and what is known of both.

`simulation.json` names a day only after its files are complete. So a folder that was left half-way is continued with the same
bytes, and more days are appended to the same first ones.
"""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from widedeep.artifacts import FileRef, MetricReport, Value, sha256
from widedeep.data.tables import parquet_bytes
from widedeep.errors import IntegrityError, UsageError
from widedeep.evaluation.metrics import measure
from widedeep.publishing import layout
from widedeep.simulation import SimulatedDay, Simulation, SimulationSettings
from widedeep.simulation.settings import LABEL, ROW_ID
from widedeep.steps.workplace import Workplace

RECORD, LANDING, TRUTH, FILE = "simulation.json", "landing", "truth", "rows.parquet"


class SimulatedSpan(Value):
    """One day on disk. `bayes` measures the true probabilities on the delivered labels; None where all labels are null."""

    span: date
    rows: int
    bayes: MetricReport | None
    files: tuple[FileRef, FileRef]


class SimulationRecord(Value):
    """All that a folder holds. `days` begin with day 0."""

    settings: SimulationSettings
    days: tuple[SimulatedSpan, ...]


def simulate(
    settings: SimulationSettings, count: int, folder: Path, on_day: Callable[[int, int], None]
) -> tuple[SimulatedSpan, ...]:
    """Write the first `count` days; those that stand there stay. `on_day(days done, days)` hears of each.

    Raises:
        UsageError: the folder holds something else, and nothing was written; or it can't be written, and can be continued.
        IntegrityError: a day that stands there can't be made again. The days after it were not written.
    """
    record = _opened(settings, folder)
    for day in Simulation(settings).days(count if count > len(record.days) else 0):
        if day.day < len(record.days):
            _require_equal(day, record.days[day.day], folder)
        else:
            record = record.model_copy(update={"days": (*record.days, _written(day, folder))})
            _write(folder / RECORD, _pretty(record))
        on_day(day.day + 1, count)
    return record.days


def deliver_simulated(place: Workplace, folder: Path, spans: tuple[SimulatedSpan, ...]) -> None:
    """Put the spans into the store's landing area, where the contract wants them; those that are there already stay.

    Raises:
        IntegrityError: a span was delivered with other bytes. Those before it are delivered.
    """
    for day in spans:
        key = layout.delivery(place.contract.delivery.prefix, day.span) + FILE
        place.store.upload(key, folder / day.files[0].name)


def _opened(settings: SimulationSettings, folder: Path) -> SimulationRecord:
    path = folder / RECORD
    if path.exists():
        record = SimulationRecord.from_bytes(path.read_bytes(), str(path))
        _require_same(settings, record.settings, folder)
        return record
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not empty and holds no {RECORD}, wanted a new folder. Name another one with --out.")
    record = SimulationRecord(settings=settings, days=())
    _write(path, _pretty(record))
    return record


def _require_same(settings: SimulationSettings, there: SimulationSettings, folder: Path) -> None:
    asked, has = settings.model_dump(mode="json"), there.model_dump(mode="json")
    if changed := [f"{name.replace('_', ' ')} {has[name]}, not {asked[name]}" for name in has if asked[name] != has[name]]:
        raise UsageError(
            f"{folder}: holds another simulation, with {'; '.join(changed)}. Ask for that one, or name another folder with --out."
        )


def _require_equal(day: SimulatedDay, there: SimulatedSpan, folder: Path) -> None:
    if (day.rows.num_rows, _bayes(day)) != (there.rows, there.bayes):
        raise IntegrityError(
            f"{folder}: day {day.day} ({day.span}) can't be made again: another version of this simulator or of numpy wrote it. "
            "Simulate all days anew, into another folder."
        )


def _written(day: SimulatedDay, folder: Path) -> SimulatedSpan:
    truth = pa.table({ROW_ID: day.rows[ROW_ID], "probability": pa.array(day.probability)})
    contents = {f"{LANDING}/{day.span}/{FILE}": day.rows, f"{TRUTH}/{day.span}.parquet": truth}
    landing, known = (_file(folder, name, parquet_bytes(table)) for name, table in contents.items())
    return SimulatedSpan(span=day.span, rows=day.rows.num_rows, bayes=_bayes(day), files=(landing, known))


def _file(folder: Path, name: str, data: bytes) -> FileRef:
    _write(folder / name, data)
    return FileRef(name=name, size_bytes=len(data), sha256=sha256(data))


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: can't be written ({error.strerror}). Make room, or name another folder with --out.") from error


def _pretty(record: SimulationRecord) -> bytes:
    return json.dumps(record.model_dump(mode="json"), indent=1).encode() + b"\n"


def _bayes(day: SimulatedDay) -> MetricReport | None:
    labels = day.rows[LABEL]
    if labels.null_count:
        return None
    users = day.rows["user_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return measure(labels.to_numpy().astype(np.float64), day.probability, users.astype(np.int64))
