"""A release read again, all of it: what can be checked is not believed, and all that is wrong is told at once.

What it looks at: the manifest and its id, every byte of every file, that the files make a model, that the delta leads to them,
the parents up to the bootstrap, that the evidence is about these bytes and unchanged, the data that were learnt, the signatures
of the release and of its evidence, and the pointers that lead to it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.text import Text

from widedeep.artifacts import Manifest, ReleaseId, Value
from widedeep.errors import IntegrityError, UsageError
from widedeep.publishing import layout, releases, snapshots
from widedeep.publishing.keys import Signer, load_trust
from widedeep.publishing.store import ObjectStore
from widedeep.steps.evidence import UNREADABLE, check_evidence
from widedeep.steps.named import parents
from widedeep.steps.signatures import check_moves, check_signatures, check_witnesses
from widedeep.steps.workplace import Workplace


class Check(Value):
    """One thing that was looked at: what was seen, and what is wrong with it. Not `done` is what could not be looked at."""

    name: str
    seen: str
    problems: tuple[str, ...] = ()
    done: bool = True

    @property
    def result(self) -> str:
        return "wrong" if self.problems else "ok" if self.done else "left"


class Verification(Value):
    """What was found in one release. Without `problems` it is sound."""

    release_id: ReleaseId
    checks: tuple[Check, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        return tuple(problem for check in self.checks for problem in check.problems)

    def told(self) -> Text:
        """A line for each check, and below it what is wrong."""
        text = Text(f"{self.release_id}: {'sound' if not self.problems else f'{len(self.problems)} problem(s)'}", style="bold")
        for check in self.checks:
            text.append(f"\n  {check.result:5} ", style={"wrong": "red", "ok": "green"}.get(check.result, "yellow"))
            text.append(f"{check.name}: {check.seen}", style="not bold")
            text.append("".join(f"\n        {problem}" for problem in check.problems), style="not bold red")
        return text


def verify(
    place: Workplace,
    release_id: str,
    on_file: Callable[[int, int], None],
    sound: set[str] | None = None,
    signer: Signer | None = None,
) -> Verification:
    """Check one release, whatever is wrong with it.

    `on_file(files read, files in all)` hears of each. Parents up to one of `sound` are walked and added to it: who verifies
    many releases does not walk the same chain for each. With a `signer`, a release with no problem is signed before its signature
    is looked at, and so are its evidence and the pointers that lead to it: they may be from before there was this key.

    Raises:
        StoreUnavailableError, StoreAccessError, DiskFullError: it can't be told.
    """
    store = place.store
    manifest, first = _manifest(store, release_id)
    if manifest is None:
        return Verification(release_id=release_id, checks=(first,))
    with TemporaryDirectory(dir=place.scratch) as folder:  # room for one release, however many are verified
        files = _files(store, manifest, Path(folder), on_file)
        model = _bundle(Path(folder), files)
        delta = _delta(store, manifest, Path(folder), files)
    checks = (
        first,
        files,
        model,
        delta,
        _parents(store, manifest, set() if sound is None else sound),
        _told("evidence", check_evidence(store, manifest)),
        _data(store, manifest),
    )
    trust, signer = load_trust(place.settings), None if any(check.problems for check in checks) else signer
    signature = _told("signature", check_signatures(store, manifest, trust, signer))
    witnesses = _told("witnesses", check_witnesses(store, manifest, trust, signer))
    moves = _told("moves", check_moves(store, manifest, trust, signer))
    return Verification(release_id=release_id, checks=(*checks, signature, witnesses, moves))


def _told(name: str, found: tuple[str, list[str]]) -> Check:
    return Check(name=name, seen=found[0], problems=tuple(found[1]))


def _manifest(store: ObjectStore, release_id: str) -> tuple[Manifest | None, Check]:
    """The published manifest or, if that can't be read, the staged one: they should be the same."""
    found: list[Manifest] = []
    problems: list[str] = []
    for published in (True, False):
        try:
            found.append(releases.load_manifest(store, release_id, published=published))
        except UNREADABLE as error:
            problems.append(str(error))
    if len({manifest.content_digest() for manifest in found}) > 1:
        problems.append(f"{release_id}: its manifest is not the one that was judged, {layout.candidate(release_id)}.")
    seen = f"format {found[0].format}, span {found[0].lineage.span}, the id follows from its lineage" if found else "unreadable"
    return (found[0] if found else None), Check(name="manifest", seen=seen, problems=tuple(problems))


def _files(store: ObjectStore, manifest: Manifest, folder: Path, on_file: Callable[[int, int], None]) -> Check:
    problems: list[str] = []
    for read, file in enumerate(manifest.files):
        on_file(read, len(manifest.files))
        try:
            releases.download(store, manifest, folder, {file.name})
        except IntegrityError as error:
            problems.append(str(error))
    size_bytes = sum(file.size_bytes for file in manifest.files)
    seen = f"{len(manifest.files)} read again, {size_bytes:,} bytes{_strays(store, manifest)}"
    return Check(name="files", seen=seen, problems=tuple(problems))


def _strays(store: ObjectStore, manifest: Manifest) -> str:
    """What a crashed writer of other bytes has left there. No reader sees it."""
    named = {layout.release_file(manifest.release_id, file) for file in manifest.files}
    named |= {layout.candidate(manifest.release_id), layout.manifest(manifest.release_id)}
    about = layout.signatures(manifest.release_id), layout.comings(manifest.release_id)
    found = store.keys(layout.release(manifest.release_id))
    strays = sum(key not in named and not key.startswith(about) for key in found)
    return f"; {strays} more that the manifest does not name" if strays else ""


def _bundle(folder: Path, files: Check) -> Check:
    from widedeep.model.bundle import load_bundle

    if files.problems:
        return Check(name="model", seen="not loaded, since a file is damaged", done=False)
    try:
        bundle = load_bundle(folder, optimizer=True)
    except IntegrityError as error:
        return Check(name="model", seen="does not load", problems=(str(error),))
    sizes = len(bundle.vocabularies.values), len(bundle.vocabularies.crosses)
    return Check(name="model", seen=f"loads, with {sizes[0]:,} values and {sizes[1]:,} crosses")


def _delta(store: ObjectStore, manifest: Manifest, folder: Path, files: Check) -> Check:
    """That it gives the model bit for bit is what the dry run has seen; its bytes are those that the manifest names."""
    from widedeep.model.delta_files import FOLDER, check_leads, check_reaches, load_delta

    if not any(file.name.startswith(FOLDER) for file in manifest.files):
        return Check(name="delta", seen="none: servers load this release in full")
    if files.problems:
        return Check(name="delta", seen="not read, since a file is damaged", done=False)
    try:
        header, _ = load_delta(folder)
        stands = store.get(layout.manifest(header.base)) is not None
        if stands:
            check_leads(header, releases.load_manifest(store, header.base, published=True), manifest)
        else:
            check_reaches(header, manifest)
    except UNREADABLE as error:
        return Check(name="delta", seen="leads elsewhere", problems=(str(error),))
    return Check(name="delta", seen=f"leads to it from {header.base}{'' if stands else ', which was pruned'}")


def _parents(store: ObjectStore, manifest: Manifest, sound: set[str]) -> Check:
    walked: list[str] = []
    problems: list[str] = []
    last = manifest
    try:
        for parent in parents(store, manifest):
            problems += _misfits(last, parent)
            walked.append(parent.release_id)
            last = parent
            if parent.release_id in sound:
                break
    except UNREADABLE as error:
        problems.append(str(error))
    pruned = last.lineage.parent and not problems and last.release_id not in sound
    if not problems:
        sound.update(walked)
    end = f"{last.lineage.parent}, which was pruned" if pruned else last.release_id
    return Check(name="parents", seen=f"{len(walked)} read, up to {end}", problems=tuple(problems))


def _misfits(child: Manifest, parent: Manifest) -> Iterator[str]:
    if parent.lineage.span >= child.lineage.span:
        yield f"{child.release_id}: its parent {parent.release_id} is of span {parent.lineage.span}, wanted an earlier one."
    if child.inherited != (*parent.inherited, *parent.lineage.learnt):
        yield f"{child.release_id}: what it says it inherited is not what {parent.release_id} had learnt."


def _data(store: ObjectStore, manifest: Manifest) -> Check:
    problems: list[str] = []
    gone = 0
    for part in manifest.lineage.learnt:
        try:
            snapshot = snapshots.version(store, part.span, part.version)
        except UsageError:
            gone += 1
            continue
        except UNREADABLE as error:
            problems.append(str(error))
            continue
        gone += not any(True for _ in store.keys(snapshot.file.name))
        if snapshot.digest != part.digest:
            problems.append(
                f"span {part.span} v{part.version}: has rows {snapshot.digest[:16]}…, wanted those learnt, {part.digest[:16]}…."
            )
    seen = f"{len(manifest.lineage.learnt)} parts learnt{f', of {gone} the rows are kept no more' if gone else ''}"
    return Check(name="data", seen=seen, problems=tuple(problems))
