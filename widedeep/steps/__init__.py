"""The chain, one function a step: references in, references out, in the order of the README's diagram.

    start → ingest → validate → train → dry_run → gate → publish → settle

What is settled stays settled: the steps of a settled span do nothing. Every step is derived from its inputs and leaves its result
in the store, so running it again finds that result or makes the same one. torch and Great Expectations take seconds to import:
the steps that need them import them, the others don't pay.
"""

from widedeep.steps.arrival import readiness, validated_too_early
from widedeep.steps.auditing import audit, audits
from widedeep.steps.bootstrap import bootstrap
from widedeep.steps.chain import STEPS, dry_run, gate, ingest, publish, run_span, settle, start, train, validate
from widedeep.steps.erasing import erase, plan_erasure
from widedeep.steps.examination import examine_store, require_safe_store
from widedeep.steps.lane_plan import plan_lane_promotion
from widedeep.steps.news import news
from widedeep.steps.promoting import adopted, compare_lane, decision_of, lane_question, promote_lane
from widedeep.steps.proposing import propose
from widedeep.steps.pruning import plan_prune, prune
from widedeep.steps.replaying import ReplayPlan, new_lane, plan_replay, replay, replayed
from widedeep.steps.reviewing import answered, awaited_review, late_review, question, review, waits_for_review
from widedeep.steps.rollback import RollbackPlan, former_champions, plan_rollback, rehearse_rollback, roll_back
from widedeep.steps.sample import deliver_sample
from widedeep.steps.turn import claimants, claimants_elsewhere, comes_in_turn, later_claimants, turn, unsettled_told
from widedeep.steps.workplace import Workplace, open_workplace

__all__ = [
    "STEPS",
    "ReplayPlan",
    "RollbackPlan",
    "Workplace",
    "adopted",
    "answered",
    "audit",
    "audits",
    "awaited_review",
    "bootstrap",
    "claimants",
    "claimants_elsewhere",
    "comes_in_turn",
    "compare_lane",
    "decision_of",
    "deliver_sample",
    "dry_run",
    "erase",
    "examine_store",
    "former_champions",
    "gate",
    "ingest",
    "lane_question",
    "late_review",
    "later_claimants",
    "new_lane",
    "news",
    "open_workplace",
    "plan_erasure",
    "plan_lane_promotion",
    "plan_prune",
    "plan_replay",
    "plan_rollback",
    "promote_lane",
    "propose",
    "prune",
    "publish",
    "question",
    "readiness",
    "rehearse_rollback",
    "replay",
    "replayed",
    "require_safe_store",
    "review",
    "roll_back",
    "run_span",
    "settle",
    "start",
    "train",
    "turn",
    "unsettled_told",
    "validate",
    "validated_too_early",
    "waits_for_review",
]
