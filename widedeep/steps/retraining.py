"""A valid snapshot becomes a candidate: warm-started from the as-of parent, trained on what is pending, staged in the store."""

import logging
from collections.abc import Collection, Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from widedeep.artifacts import Candidate, Lineage, Manifest, Outcome, Part, Progress
from widedeep.data.contract import Pending
from widedeep.errors import ContractError
from widedeep.publishing import lanes, releases, snapshots
from widedeep.publishing.erasures import Erased, erasures, forgotten_in
from widedeep.publishing.keys import Signer, load_signer, load_trust
from widedeep.publishing.pending import Plan, plan
from widedeep.publishing.renewals import renewals_told, seen_by
from widedeep.publishing.signing import check_signature
from widedeep.publishing.transfer import file_ref, full_disk_told
from widedeep.steps.arrival import validate_again
from widedeep.steps.records import record
from widedeep.steps.settled import put_aside
from widedeep.steps.turn import check_turn
from widedeep.steps.workplace import Workplace, wanted

if TYPE_CHECKING:
    from widedeep.data.rows import RowsInFile
    from widedeep.model.bundle import Bundle
    from widedeep.training.candidate import TrainingReport

log = logging.getLogger(__name__)

REPORT_FILE = "training.json"


def train(place: Workplace, progress: Progress) -> Progress:
    """Train on the pending rows and the span's own, in date order (first and fifth law).

    Where the span was validated before an earlier one had settled, it is first held against what that one has taught.

    Raises:
        OrderError: an earlier span of the lane is unsettled; nothing was trained.
    """
    check_turn(place, progress)
    valid = validate_again(place, progress)
    if valid.over:
        return valid
    return train_after(place, valid, lanes.history(place.store, progress.lane, progress.span), place.contract.pending)


def train_after(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending) -> Progress:
    """The candidate that follows from these outcomes. One that is staged already is found, not trained again.

    Raises:
        SignatureError: one is staged that no accepted key signed although that is required.
        SettingsError: the signing key can't be used; nothing was trained.
    """
    load_signer(place.settings)
    parent = parent_manifest(place, progress, outcomes)
    planned = plan_after(place, progress, outcomes, rule, parent)
    candidate = _candidate(place, lineage_of(place, progress.span, parent, planned.learnt), parent, inherited_from(parent))
    log.info("%s: candidate %s, child of %s", progress.span, candidate.release_id, candidate.parent or "nobody")
    for reason in put_aside(planned.set_aside):
        log.warning("%s: %s", progress.span, reason)
    return progress.model_copy(update={"candidate": candidate, "set_aside": planned.set_aside})


def twin_of(place: Workplace, champion: Manifest, learnt: tuple[Part, ...]) -> Candidate:
    """The candidate that learns these parts of a champion's history from scratch; found, if it is staged already.

    Raises: as `train_after`.
    """
    span = max(part.span for part in learnt if part.part == "train")
    lineage = lineage_of(place, span, None, learnt).model_copy(update={"twin_of": champion.release_id})
    left_out = tuple(part for part in inherited_from(champion) if part not in learnt)
    return _candidate(place, lineage, None, left_out)


def lineage_of(place: Workplace, span: date, parent: Manifest | None, learnt: tuple[Part, ...]) -> Lineage:
    """All that decides the bytes of a candidate which learns these parts here and now."""
    from widedeep.training.profile import numeric_profile, source_digest

    contract = place.contract
    return Lineage(
        span=span,
        parent=parent.release_id if parent else None,
        learnt=learnt,
        split_digest=contract.split_digest,
        contract_digest=contract.training_digest,
        source_digest=source_digest(),
        seed=contract.training.seed,
        profile=numeric_profile(contract.training),
        erasures=tuple(sorted(erased.erasure_id for erased in erasures(place.store))),
    )


def inherited_from(parent: Manifest | None) -> tuple[Part, ...]:
    """All that a release and its ancestors have learnt."""
    return (*parent.inherited, *parent.lineage.learnt) if parent else ()


def _candidate(place: Workplace, lineage: Lineage, parent: Manifest | None, inherited: tuple[Part, ...]) -> Candidate:
    signer, trust = load_signer(place.settings), load_trust(place.settings)
    found = releases.find_candidate(place.store, lineage.release_id(), trust)
    candidate = found or _train(place, lineage, parent, inherited, signer)
    record(place, "trained", candidate)
    return candidate


def parent_manifest(place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...]) -> Manifest | None:
    """The release to start from: what is signed descends from what was.

    Raises:
        SignatureError: no accepted key signed it although that is required, or a signature does not fit.
    """
    parent = lanes.parent(place.store, progress.lane, outcomes, progress.span)
    manifest = releases.load_manifest(place.store, parent, published=True) if parent else None
    if manifest:
        check_signature(place.store, manifest, load_trust(place.settings))
    return manifest


def plan_after(
    place: Workplace, progress: Progress, outcomes: tuple[Outcome, ...], rule: Pending, parent: Manifest | None
) -> Plan:
    """What the span's candidate learns and what the gate scores, given everything that was settled before it.

    Raises:
        ContractError: the parent's rows were split by another rule, so it may have trained on what would be held out now.
    """
    own = wanted(progress.snapshot, "snapshot", "ingest")
    if parent and parent.lineage.split_digest != place.contract.split_digest:
        raise ContractError(
            f"contract {place.contract.name}: split.salt or split.holdout_share changed since {parent.release_id}, which may "
            "have trained on rows that would be held out now. Put them back; a new rule needs a new chain."
        )
    return plan(outcomes, own, seen_by(place.store, parent), place.contract.split, rule)


def part_rows(place: Workplace, part: Part, forgotten: Collection[str] = ()) -> "RowsInFile":
    """The rows of one side of a snapshot's split, in a scratch file of their own; none of the users with these digests.

    Raises:
        StaleError: an erasure has renewed the rows; what was planned with them has to be planned again.
    """
    import pyarrow.parquet as pq

    from widedeep.data.conform import optional
    from widedeep.data.erased import rows_of_users
    from widedeep.data.rows import RowsInFile
    from widedeep.data.split import is_held_out

    snapshot = snapshots.version(place.store, part.span, part.version)
    with renewals_told(place.store, snapshot):
        path = snapshots.fetch_rows(place.store, snapshot, place.folder())
    with pq.ParquetFile(path) as file:
        users = file.read(columns=[place.contract.user])[place.contract.user]
    held_out = is_held_out(users, place.contract, part.span).to_numpy()
    side = held_out if part.part == "holdout" else ~held_out
    return RowsInFile(path, side & ~rows_of_users(users, forgotten) if forgotten else side, optional(place.contract))


def load_release(place: Workplace, manifest: Manifest, *, optimizer: bool) -> tuple["Bundle", Path]:
    """A release's bundle and the scratch folder with its files, each verified; to score, only what readers need is fetched."""
    from widedeep.model.bundle import READER_FILES, load_bundle
    from widedeep.model.delta_files import FOLDER

    folder = place.folder()
    whole = {file.name for file in manifest.files if not file.name.startswith(FOLDER)}
    releases.download(place.store, manifest, folder, whole if optimizer else READER_FILES)
    return load_bundle(folder, optimizer=optimizer), folder


def _train(
    place: Workplace, lineage: Lineage, parent: Manifest | None, inherited: tuple[Part, ...], signer: Signer | None
) -> Candidate:
    import pyarrow.parquet as pq

    from widedeep.data.catalogue import CATALOGUE_FILE, extend_catalogue, item_columns
    from widedeep.data.rows import chunks
    from widedeep.model.bundle import save_bundle
    from widedeep.model.golden import GOLDEN_FILE, golden_rows
    from widedeep.training.candidate import train_candidate
    from widedeep.training.distributed.machines import Machines

    machines = Machines(place.settings.training_machines, place.settings.training_folder)
    machines.check(place.contract.training)
    before, before_folder = load_release(place, parent, optimizer=True) if parent else (None, None)
    known = [erased for erased in erasures(place.store) if erased.erasure_id in lineage.erasures]
    if before and parent:
        before = _without_erased(before, parent, known, place.contract.user)
    parts = [(part, part_rows(place, part, forgotten_in(known, part.span))) for part in lineage.learnt]
    with full_disk_told(machines.folder / "training"):
        bundle, report = train_candidate(before, parts, place.contract, lineage.seed, place.on_rows, machines)
    del before
    folder = place.folder()
    catalogue = (
        pq.read_table(before_folder / CATALOGUE_FILE) if before_folder and (before_folder / CATALOGUE_FILE).exists() else None
    )
    for _, rows in parts:
        for table in chunks(rows, [*item_columns(place.contract), place.contract.time]):
            catalogue = extend_catalogue(catalogue, table, place.contract)
    with full_disk_told(folder / "payload"):
        save_bundle(bundle, folder)
        pq.write_table(golden_rows(bundle, parts[-1][1], place.contract), folder / GOLDEN_FILE)
        if catalogue:
            pq.write_table(catalogue, folder / CATALOGUE_FILE)
        (folder / REPORT_FILE).write_bytes(report.to_bytes())
        if parent and before_folder and place.contract.publishing.deltas:
            _save_delta(parent, before_folder, bundle, folder)
    log.info("%s: learnt %s", lineage.span, _told(report))
    for warning in report.warnings():
        log.warning("%s: %s", lineage.span, warning)
    return releases.stage(place.store, folder, lineage, inherited, signer, load_trust(place.settings))


def _without_erased(bundle: "Bundle", parent: Manifest, known: Iterable[Erased], user: str) -> "Bundle":
    """The parent without the users who were not forgotten yet when it was trained."""
    from widedeep.training.erased import without_users

    users = {erased.user_sha256 for erased in known if erased.erasure_id not in parent.lineage.erasures}
    return without_users(bundle, user, users) if users else bundle


def _save_delta(parent: Manifest, parent_folder: Path, bundle: "Bundle", folder: Path) -> None:
    """Beside a bundle's files what leads to them from its parent's, if its shape is still the same."""
    from widedeep.model.bundle import READER_FILES, load_bundle
    from widedeep.model.delta import difference, reshaped
    from widedeep.model.delta_files import save_delta

    # Training wrote into the parent's layers, so it is read again.
    base = load_bundle(parent_folder, optimizer=False)
    if fields := reshaped(base.specification, bundle.specification):
        log.info("no delta on %s: %s changed; servers load this release in full", parent.release_id, ", ".join(fields))
        return
    save_delta(difference(base, bundle), parent, [file_ref(name, folder / name) for name in READER_FILES], folder)


def _told(report: "TrainingReport") -> str:
    parts = ", ".join(f"{p.rows} {p.part.part} rows of {p.part.span}" + _left_out(p.left_out) for p in report.parts)
    new = report.warm_start
    grown = f"{new.new_values} new values and {new.new_crosses} new crosses"
    loss = "not a number" if report.log_loss is None else f"{report.log_loss:.4f}"
    return f"{parts}; {grown}; log loss before learning {loss}"


def _left_out(rows: int) -> str:
    return f" (left out {rows}: negatives not in the sample, or rows of weight 0)" if rows else ""
