"""The report on a decision: its figures and its page stand beside the verdict, and are stored before it.

So whoever finds a verdict finds its report, but for verdicts from before there were any. Of two pages the first stands.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from widedeep.artifacts import DryRunReport, FileRef, Manifest, Part, sha256
from widedeep.data.catalogue import CATALOGUE_FILE
from widedeep.evaluation.report.values import Link, Report
from widedeep.publishing import layout, releases
from widedeep.publishing.keys import load_signer
from widedeep.steps.retraining import load_release
from widedeep.steps.workplace import Workplace, stored

if TYPE_CHECKING:
    import pyarrow as pa

    from widedeep.evaluation.audience import Audience, Floats
    from widedeep.evaluation.holdout import Holdout
    from widedeep.evaluation.report.compiling import Work


def holdout_of(place: Workplace, manifest: Manifest, rows: "pa.Table", weights: "Floats") -> "Holdout":
    """Held-out rows as they are measured; items of this release's catalogue are what the audience is asked about."""
    import pandas as pd
    import pyarrow.parquet as pq

    from widedeep.evaluation.audience import gather
    from widedeep.evaluation.holdout import Holdout
    from widedeep.features.encoding import labels

    y, catalogue, folder = labels(rows, place.contract).astype("float64"), None, place.folder()
    if CATALOGUE_FILE in {file.name for file in manifest.files}:
        releases.download(place.store, manifest, folder, {CATALOGUE_FILE})
        catalogue = pq.read_table(folder / CATALOGUE_FILE)
    users, _ = pd.factorize(rows[place.contract.user].to_pandas())
    audience, confidence = gather(rows, y, catalogue, place.contract), place.contract.gate.confidence
    return Holdout(y, users.astype("int64"), weights, audience, confidence=confidence)


def sliced(place: Workplace, asked: "Holdout", rows: "pa.Table", champion: "Work") -> "Holdout":
    """The same rows with their slices, which also depend on what the champion knows."""
    from widedeep.evaluation.slices import slices

    return replace(asked, slices=slices(rows, asked.users, place.contract, champion.vocabularies))


def work_of(place: Workplace, manifest: Manifest, rows: "pa.Table", audience: "Audience | None") -> "Work":
    """What a release makes of held-out rows, and of the audience. Nothing of its tensors stays in memory."""
    from widedeep.evaluation.report.compiling import work

    bundle, _ = load_release(place, manifest, optimizer=False)
    return work(manifest.release_id, bundle, rows, audience, place.contract)


def scores_of(place: Workplace, manifest: Manifest, rows: "pa.Table") -> "Floats":
    """(B,) what a release makes of held-out rows, and no more."""
    from widedeep.model.scorer import scored_as_served

    bundle, _ = load_release(place, manifest, optimizer=False)
    with scored_as_served(bundle, place.contract) as scores:
        return scores(rows)


def bare_report(
    place: Workplace,
    manifest: Manifest,
    compared_with: Manifest | None,
    holdout: tuple[Part, ...],
    rehearsal: DryRunReport | None,
) -> Report:
    """A report on which nothing is measured yet."""
    return Report(
        release_id=manifest.release_id,
        manifest_sha256=manifest.content_digest(),
        lineage=manifest.lineage,
        compared_with=compared_with.release_id if compared_with else None,
        holdout=holdout,
        dry_run=rehearsal,
        links=_links(place, manifest, compared_with, holdout),
    )


def save_report(place: Workplace, report: Report, verdict_name: str) -> str:
    """Store page and figures under the verdict's name, unless they stand there. Returns the page's key."""
    from widedeep.evaluation.report.page import page

    key = layout.decision_report(layout.evidence(report.release_id, verdict_name))
    place.store.create(key, page(report))
    standing = stored(place.store, key)
    drawn = report.model_copy(update={"page": FileRef(name=key, size_bytes=len(standing), sha256=sha256(standing))})
    releases.save_evidence(place.store, report.release_id, layout.evidence_name(key), drawn, load_signer(place.settings))
    return key


def _links(place: Workplace, manifest: Manifest, compared_with: Manifest | None, holdout: tuple[Part, ...]) -> tuple[Link, ...]:
    """Reports on the data that it was judged on and that it learnt last, and on what it is compared with."""
    spans = sorted({manifest.lineage.span, *(part.span for part in holdout)})
    keys = {f"data report of span {span}": layout.validations(span) for span in spans}
    if compared_with:
        keys[f"report on {compared_with.release_id}"] = layout.evidences(compared_with.release_id)
    found = ((name, key) for name, below in keys.items() for key in sorted(place.store.keys(below)))
    return tuple(Link(name=name, key=key) for name, key in found if layout.begins_report(key))
