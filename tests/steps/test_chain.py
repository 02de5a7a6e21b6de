"""The laws of the chain, walked through the real steps on a real store: order, one result per span, nothing valid lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from widedeep.artifacts import LIVE, DryRunReport, Manifest, Verdict
from widedeep.errors import ContractError, OrderError, PermanentError, UnknownOutcomeError
from widedeep.publishing import lanes, releases
from widedeep.publishing.pointer import champion
from widedeep.steps import bootstrap, dry_run, gate, ingest, publish, readiness, run_span, settle, start, train, validate


def manifest_of(chain, release) -> Manifest:
    return releases.load_manifest(chain.place.store, release, published=True)


def learnt(manifest: Manifest) -> list[tuple[int, str]]:
    return [(part.span.day, part.part) for part in manifest.lineage.learnt]


def test_a_history_becomes_the_first_champion_and_every_span_of_it_is_settled(begun):
    pointer = champion(begun.place.store, LIVE)
    assert pointer.release_id == begun.first.release
    assert [o.result for o in lanes.outcomes(begun.place.store, LIVE)] == ["learnt", "learnt", "promoted"]
    # Days 2 and 3 of March are past the pool window of one span; the held-out users of the 4th are not.
    assert learnt(manifest_of(begun, pointer.release_id)) == [
        (2, "holdout"),
        (2, "train"),
        (3, "holdout"),
        (3, "train"),
        (4, "train"),
    ]


def test_the_first_release_is_judged_by_absolute_checks_only_and_says_so(begun):
    verdict = Verdict.from_bytes(begun.place.store.get(_only_verdict(begun, begun.first.release)).data)
    assert verdict.absolute_checks_only
    assert verdict.champion is None


def test_the_same_history_in_another_store_gives_the_same_release_byte_for_byte(chain, history):
    learnt, first = history
    for n in range(3):
        chain.deliver(n)
    assert bootstrap(chain.place, chain.day(0), chain.day(2)).release == first.release
    payload = list(learnt.keys(f"releases/{first.release}/"))
    assert payload == list(chain.place.store.keys(f"releases/{first.release}/"))
    assert all(learnt.get(key).data == chain.place.store.get(key).data for key in payload)


def test_a_daily_span_warm_starts_from_the_champion_and_learns_yesterdays_held_out_rows(begun_apart):
    begun_apart.deliver(3)
    progress = run_span(begun_apart.place, begun_apart.day(3))
    manifest = manifest_of(begun_apart, progress.release)
    assert manifest.lineage.parent == begun_apart.first.release
    assert learnt(manifest) == [(4, "holdout"), (5, "train")]


def test_running_a_settled_span_again_finds_its_outcome_and_writes_nothing(begun):
    begun.deliver(3)
    once = run_span(begun.place, begun.day(3))
    before = list(begun.place.store.keys(""))
    again = run_span(begun.place, begun.day(3))
    assert (again.result, again.release) == (once.result, once.release)
    assert list(begun.place.store.keys("")) == before


def test_every_step_done_twice_gives_the_same_references(begun):
    begun.deliver(3)
    progress = start(begun.place, begun.day(3))
    for step in (ingest, validate, train, dry_run, gate):
        after = step(begun.place, progress)
        assert step(begun.place, progress) == after
        progress = after
    assert publish(begun.place, progress).release == publish(begun.place, progress).release
    assert settle(begun.place, progress) == settle(begun.place, progress)


def test_a_second_history_is_refused_and_the_first_is_found_again(begun):
    assert bootstrap(begun.place, begun.day(0), begun.day(2)).release == begun.first.release
    with pytest.raises(OrderError, match="empty lane"):
        bootstrap(begun.place, begun.day(1), begun.day(2))


def test_a_span_before_which_another_is_unsettled_is_not_trained(begun):
    begun.deliver(4)
    with pytest.raises(OrderError, match="2026-03-05 of lane live is unsettled: clear or run 2026-03-05 first"):
        run_span(begun.place, begun.day(4))


def test_a_span_that_nobody_delivers_is_settled_as_no_data_and_the_chain_goes_on(begun):
    assert run_span(begun.place, begun.day(3)).result == "no data"
    begun.deliver(4)
    progress = run_span(begun.place, begun.day(4))
    assert learnt(manifest_of(begun, progress.release)) == [(4, "holdout"), (6, "train")]


def test_before_its_deadline_a_missing_span_is_waited_for(begun):
    early = replace(begun.place, clock=lambda: datetime(2026, 3, 6, 1, tzinfo=UTC))
    waiting = readiness(early, start(early, begun.day(3)))
    assert waiting.until == datetime(2026, 3, 6, 6, tzinfo=UTC)
    with pytest.raises(OrderError, match="nothing is delivered below"):
        run_span(early, begun.day(3))
    assert lanes.head(begun.place.store, LIVE) == begun.day(2)


def test_where_labels_take_days_to_be_true_a_missing_span_is_waited_for_so_many_days_longer(begun):
    patient = with_contract(begun, label_delay=3)
    early = replace(patient, clock=lambda: datetime(2026, 3, 9, 1, tzinfo=UTC))
    assert readiness(early, start(early, begun.day(3))).until == datetime(2026, 3, 9, 6, tzinfo=UTC)
    assert readiness(patient, start(patient, begun.day(3))) is None


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda rows: rows.drop_columns("price"), "price"),
        (lambda rows: rows.set_column(4, "price", pa.array(["dear"] * len(rows))), "price"),
        (lambda rows: rows.slice(0, 0), "rows"),
        (lambda rows: rows.set_column(7, "clicked", pa.array([True] * len(rows))), "label"),
    ],
    ids=["missing column", "wrong type", "empty", "one class"],
)
def test_a_damaged_span_is_quarantined_in_words_and_the_chain_goes_on_without_it(begun, damage, words):
    begun.deliver(3, damage(begun.rows(3)))
    assert run_span(begun.place, begun.day(3)).result == "quarantined"
    outcome = lanes.outcomes(begun.place.store, LIVE)[-1]
    assert any(words in reason for reason in outcome.reasons)
    begun.deliver(4)
    progress = run_span(begun.place, begun.day(4))
    assert learnt(manifest_of(begun, progress.release)) == [(4, "holdout"), (6, "train")]


def test_a_truncated_file_is_quarantined_and_stays_where_it_was_delivered(begun):
    begun.deliver(3, data=b"PAR1 and then the cable broke")
    assert run_span(begun.place, begun.day(3)).result == "quarantined"
    assert "rows.parquet" in lanes.outcomes(begun.place.store, LIVE)[-1].reasons[0]
    key = f"landing/{begun.day(3)}/rows.parquet"
    assert begun.place.store.get(key).data == b"PAR1 and then the cable broke"


def test_a_span_of_unseen_users_only_is_trained_and_judged(begun):
    rows = begun.rows(3)
    new = pa.array([f"new-{c}" for c in rows["customer"].to_pylist()])
    begun.deliver(3, rows.set_column(0, "customer", new))
    assert run_span(begun.place, begun.day(3)).decision in ("promote", "hold", "reject")


def test_a_rejected_span_stays_pending_and_is_learnt_by_the_next_candidate(begun):
    begun.deliver(3)
    begun.deliver(4)
    strict = replace(begun.place, contract=begun.place.contract.model_copy(update={"gate": _impossible(begun)}))
    assert run_span(strict, begun.day(3)).result == "rejected"
    pointer = champion(begun.place.store, LIVE)
    assert pointer.release_id == begun.first.release
    progress = run_span(begun.place, begun.day(4))
    assert learnt(manifest_of(begun, progress.release)) == [(4, "holdout"), (5, "holdout"), (5, "train"), (6, "train")]


def test_a_rejected_candidate_is_never_published(begun):
    begun.deliver(3)
    strict = replace(begun.place, contract=begun.place.contract.model_copy(update={"gate": _impossible(begun)}))
    progress = run_span(strict, begun.day(3))
    assert progress.release is None
    assert [r.release_id for r in releases.releases(begun.place.store)] == [begun.first.release]


def test_a_held_span_is_settled_published_unpromoted_and_pending(begun):
    begun.deliver(3)
    timid = begun.place.contract.gate.model_copy(update={"min_users": 10_000})
    place = replace(begun.place, contract=begun.place.contract.model_copy(update={"gate": timid}))
    progress = run_span(place, begun.day(3))
    assert progress.result == "held"
    assert manifest_of(begun, progress.release)
    assert champion(begun.place.store, LIVE).release_id == begun.first.release


def test_a_candidate_that_a_server_could_not_reproduce_is_rejected(begun):
    begun.deliver(3)
    progress = walked(begun, begun.day(3), ingest, validate, train)
    report = DryRunReport(
        release_id=progress.candidate.release_id,
        manifest_sha256=progress.candidate.manifest_sha256,
        failures=("scores differ from the trainer's by up to 3.00e-01",),
    )
    key = releases.save_evidence(begun.place.store, progress.candidate.release_id, "dry-run-of-the-test", report)
    progress = gate(begun.place, progress.model_copy(update={"dry_run": key}))
    verdict = Verdict.from_bytes(begun.place.store.get(progress.verdict).data)
    assert (verdict.decision, verdict.reasons) == ("reject", report.failures)


def test_a_candidate_that_diverged_is_rejected_in_words_and_the_chain_goes_on(begun):
    begun.deliver(3)
    begun.deliver(4)
    wild = begun.place.contract.training.adagrad.model_copy(update={"learning_rate": 1e20})
    training = begun.place.contract.training.model_copy(update={"adagrad": wild})
    progress = run_span(with_contract(begun, training=training), begun.day(3))
    assert progress.result == "rejected"
    assert run_span(begun.place, begun.day(4)).result in {"promoted", "held", "rejected"}


def hurried(chain):
    """The chain's place with no time at all for a dry run."""
    return with_contract(chain, dry_run=chain.place.contract.dry_run.model_copy(update={"timeout": timedelta(milliseconds=50)}))


def test_a_dry_run_in_which_the_champion_is_too_slow_as_well_holds_nothing_against_the_candidate(begun_apart):
    begun_apart.deliver(3)
    progress = walked(begun_apart, begun_apart.day(3), ingest, validate, train)
    with pytest.raises(UnknownOutcomeError, match="the machine is at fault"):
        dry_run(hurried(begun_apart), progress)
    report = DryRunReport.from_bytes(begun_apart.place.store.get(dry_run(begun_apart.place, progress).dry_run).data)
    assert report.failures == ()
    assert report.champion == begun_apart.first.release
    assert report.champion_ms


def test_a_dry_run_that_is_too_slow_twice_with_no_champion_beside_it_rejects_but_only_under_its_own_limit(chain):
    chain.deliver(0)
    progress = walked(chain, chain.day(0), ingest, validate, train)
    late = gate(chain.place, dry_run(hurried(chain), progress))
    assert late.decision == "reject"
    (reason,) = Verdict.from_bytes(chain.place.store.get(late.verdict).data).reasons
    assert reason.startswith("twice: candidate: could not be asked")
    assert gate(chain.place, dry_run(chain.place, progress)).decision != "reject"


def test_a_dry_run_that_the_store_refuses_holds_nothing_against_the_candidate(begun_apart):
    begun_apart.deliver(3)
    progress = walked(begun_apart, begun_apart.day(3), ingest, validate, train)
    refused = {**begun_apart.place.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}
    with pytest.raises(PermanentError, match="not to blame"):
        dry_run(replace(begun_apart.place, environment=refused), progress)
    assert dry_run(begun_apart.place, progress).dry_run


def test_a_span_of_one_user_is_undecided_not_a_fault(begun):
    rows = begun.rows(3)
    begun.deliver(3, rows.set_column(0, "customer", pa.array(["c1"] * len(rows))))
    assert run_span(begun.place, begun.day(3)).result == "held"


def test_a_changed_split_is_refused_since_its_held_out_rows_may_be_learnt_already(begun):
    begun.deliver(3)
    other = begun.place.contract.split.model_copy(update={"salt": "another"})
    place = replace(begun.place, contract=begun.place.contract.model_copy(update={"split": other}))
    with pytest.raises(ContractError, match=r"split\.salt or split\.holdout_share changed"):
        run_span(place, begun.day(3))
    assert lanes.head(begun.place.store, LIVE) == begun.day(2)


def test_no_gate_scores_a_row_that_either_model_trained_on(begun):
    begun.deliver(3)
    progress = run_span(begun.place, begun.day(3))
    verdict = Verdict.from_bytes(begun.place.store.get(progress.verdict).data)
    scored = {(p.span, p.digest, p.part) for p in verdict.holdout}
    assert scored
    assert not scored & manifest_of(begun, progress.release).seen()
    assert not scored & manifest_of(begun, begun.first.release).seen()


def test_a_span_behind_the_head_goes_to_a_lane_of_its_own_and_live_stays(begun):
    begun.deliver(3)
    begun.deliver(-1)
    run_span(begun.place, begun.day(3))
    live = champion(begun.place.store, LIVE)
    progress = run_span(begun.place, begun.day(-1))
    assert progress.lane == "replay-2026-03-01"
    assert champion(begun.place.store, LIVE) == live


def test_a_history_without_a_usable_span_says_so_and_settles_nothing(chain):
    with pytest.raises(PermanentError, match="no usable span"):
        bootstrap(chain.place, chain.day(0), chain.day(1))
    assert lanes.outcomes(chain.place.store, LIVE) == ()


def test_daily_spans_wait_for_the_history(chain):
    expecting = chain.place.settings.model_copy(update={"history_start": chain.day(0)})
    place = replace(chain.place, settings=expecting)
    chain.deliver(3)
    assert "history is not learnt yet" in readiness(place, start(place, chain.day(3))).reason


def walked(chain, span, *steps):
    progress = start(chain.place, span)
    for step in steps:
        progress = step(chain.place, progress)
    return progress


def with_contract(chain, **sections):
    return replace(chain.place, contract=chain.place.contract.model_copy(update=sections))


def _impossible(chain):
    return chain.place.contract.gate.model_copy(update={"auc_at_least": 1.0})


def _only_verdict(chain, release: str) -> str:
    (key,) = [key for key in chain.place.store.keys(f"evidence/{release}/") if "verdict" in key]
    return key
