"""The history of a release as a tree that a person reads."""

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from widedeep.artifacts import ChampionPointer, DryRunReport, Part
from widedeep.steps.lineage import History
from widedeep.steps.records import Record
from widedeep.steps.verdict_told import verdict_told


def tree_of(history: History) -> Tree:
    """Five branches: data, code, who made it, parents, decision."""
    state = "published" if history.published else "a candidate, not published"
    if history.lineage.twin_of:
        state += f", the twin of {history.lineage.twin_of} from scratch"
    tree = Tree(Text(f"{history.release_id} of span {history.span}, {state}", style="bold"))
    _branch(tree, "data", _data(history))
    _branch(tree, "code", _code(history))
    _branch(tree, "made", map(_record, history.records))
    _branch(tree, f"parents ({len(history.parents)})", _parents(history))
    decision = _branch(tree, "decision", [*map(_dry_run, history.dry_runs)])
    for verdict in history.verdicts:
        _branch(decision, f"verdict: {verdict.decision}", verdict_told(verdict))
    for outcome in history.outcomes:
        decision.add(
            Text(f"{outcome.result} in lane {outcome.lane}, {outcome.settled_at:%Y-%m-%d %H:%M} UTC, {outcome.settled_by}")
        )
    for move in history.moves:
        decision.add(Text(_move(move, history)))
    return tree


def _branch(tree: Tree, title: str, lines: Iterable[str]) -> Tree:
    branch = tree.add(Text(title, style="cyan"))
    for line in lines:
        branch.add(Text(line))
    return branch


def _data(history: History) -> Iterable[str]:
    for part in history.lineage.learnt:
        yield f"{part.span} v{part.version} {part.digest[:12]}: {_role(part, history)}"
    if history.inherited:
        spans = [part.span for part in history.inherited]
        what = "left out of what its champion had learnt" if history.lineage.twin_of else "inherited from its parents"
        yield f"{what}: {len(spans)} parts of {len(set(spans))} spans, {min(spans)} to {max(spans)}"


def _role(part: Part, history: History) -> str:
    if part.part == "holdout":
        return "held-out rows, learnt since their time in the gate's pool had passed"
    return "training rows, pending until then" if part in history.pending else "training rows of its own span"


def _code(history: History) -> Iterable[str]:
    made, profile = history.lineage, history.lineage.profile
    digests = {"sources": made.source_digest, "contract": made.contract_digest, "split": made.split_digest}
    yield ", ".join([*(f"{name} {digest[:12]}" for name, digest in digests.items()), f"seed {made.seed}"])
    yield f"{profile.precision} on {profile.instruction_set}, {profile.threads} thread(s), engine {profile.engine}"
    versions = profile.model_dump(exclude={"precision", "instruction_set", "threads", "engine"}, exclude_none=True)
    yield ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))


def _record(record: Record) -> str:
    installed = (
        f"Python {record.python}, {len(record.packages)} packages, contract {record.contract} {record.contract_digest[:12]}"
    )
    return f"{record.deed} {record.at:%Y-%m-%d %H:%M} UTC by {record.by} ({installed})"


def _parents(history: History) -> Iterable[str]:
    for ancestor in history.parents:
        yield f"{ancestor.release_id} of span {ancestor.span}"
    before = history.parents[-1].parent if history.parents else history.lineage.parent
    first = "nobody before: that is the first of its chain"
    yield f"{before}, which was pruned" if before else "nobody: it starts anew" if history.lineage.twin_of else first


def _dry_run(report: DryRunReport) -> str:
    passed = f"{report.rows_scored} rows reproduced, {report.files_verified} files verified"
    return f"dry run: {'; '.join(report.failures) or passed}"


def _move(move: ChampionPointer, history: History) -> str:
    became = move.release_id == history.release_id
    what = f"champion of lane {move.lane}" if became else f"champion of lane {move.lane} no more: {move.release_id} is"
    return f"{what}, by move {move.sequence} ({move.kind}), {move.moved_at:%Y-%m-%d %H:%M} UTC, {move.moved_by}: {move.reason}"
