// The chain at one glance: the store's side from our server, runs and required actions from Airflow.

import { airflow, follow, own, perhaps, runAddress, runOf } from "./air.js";
import { strip } from "./chain.js";
import { age, DECISIONS, fixed, h, releaseLink, signed, state, tag, when } from "./draw.js";
import { inbox, openApprovals } from "./actions.js";

const RETRAIN = "widedeep_retrain";
const card = (title, ...told) => h("section", { class: "card" }, h("h2", null, title), told);

export async function show(_, { whoLooks }) {
  const runs = `dags/${RETRAIN}/dagRuns?state=running&state=queued&limit=20`;
  const [found, points, dag, active, waiting, asked, who] = await Promise.all([
    own("today"), own("chain?limit=60"), perhaps(airflow(`dags/${RETRAIN}`)), perhaps(airflow(runs)),
    perhaps(airflow(`dags/${RETRAIN}/dagRuns/~/taskInstances?state=deferred&limit=20`)), perhaps(openApprovals()), perhaps(whoLooks())]);
  if (!found.settled && !found.champion) return empty(dag, active);
  return h("div", null,
    found.champion?.frozen && state("unsure", "The live lane is frozen: nothing is promoted.", found.champion.frozen),
    found.problems.length > 0 && state("bad", `${found.problems.length} object${found.problems.length > 1 ? "s" : ""} of the chain can't be read.`, "What can be read is shown. `widedeep verify --all` in a shell names what is wrong.", h("code", null, found.problems.slice(0, 5).join(", "))),
    h("div", { class: "cards" }, champion(found.champion), lastVerdict(found), nextRun(dag, active, waiting), approvals(found, asked), apart(found), pending(found), lanes(found)),
    h("h2", null, "The last days"), points.points.length ? strip(points) : h("p", { class: "faint" }, "Nothing is settled yet."),
    asked?.length > 0 && [h("h2", { id: "inbox" }, "Waiting for an answer"), inbox(asked, who, found.head)]);
}

function empty(dag, active) {
  return h("div", null, state("unsure", "Nothing is published yet.",
    "The first release is trained by the DAG widedeep_bootstrap; daily spans go on from it."),
    h("div", { class: "cards" }, nextRun(dag, active, null)));
}

function champion(found) {
  if (!found) return card("Champion", h("p", { class: "big unsure" }, "none yet"), h("p", null, "Nothing was promoted in the live lane."));
  const run = runOf(found.moved_by);
  return card("Champion", h("p", { class: "big" }, releaseLink(found.release_id)), h("p", null, `of span ${found.span}, for `, h("strong", null, age(found.moved_at))),
    h("p", { class: "faint" }, `move ${found.sequence} (${found.kind}), ${when(found.moved_at)}`),
    run ? h("p", null, h("a", { href: runAddress(run.dag, run.run), onclick: follow }, "the run that made it so")) : h("p", { class: "faint" }, found.moved_by),
    !found.there && h("p", { class: "bad" }, "Its manifest is not there: readers can't load it."));
}

function lastVerdict(found) {
  const { last, last_verdict: verdict } = found;
  if (!last) return card("Last verdict", h("p", null, "none yet"));
  const kind = verdict ? DECISIONS[verdict.decision] : "faint";
  return card("Last verdict", h("p", { class: `big ${kind}` }, last.result), h("p", null, `span ${last.span} `, last.release_id && releaseLink(last.release_id)),
    h("p", null, (verdict?.reasons ?? last.reasons).slice(0, 2).join("; ")),
    verdict?.difference && h("p", { class: "faint" }, `log loss ${signed(verdict.difference.estimate)} [${signed(verdict.difference.lower)}, ${signed(verdict.difference.upper)}], AUC ${fixed(verdict.candidate?.auc)}`));
}

function nextRun(dag, active, waiting) {
  const running = active?.dag_runs ?? [];
  const next = dag?.next_dagrun_run_after ?? dag?.next_dagrun;
  const deferred = waiting?.task_instances ?? [];
  return card("Next run",
    !dag ? h("p", { class: "faint" }, "Airflow does not tell.") : dag.is_paused ? h("p", { class: "big unsure" }, "paused") : h("p", { class: "big" }, running.length ? `${running.length} at work` : next ? when(next) : "none planned"),
    running.slice(0, 3).map((run) => h("p", null, h("a", { href: runAddress(RETRAIN, run.dag_run_id), onclick: follow }, run.logical_date?.slice(0, 10) ?? run.dag_run_id), ` ${run.state}`)),
    deferred.length > 0 && h("p", { class: "unsure" }, `${deferred.length} waiting: ${[...new Set(deferred.map((task) => task.task_id))].join(", ")}`));
}

function approvals(found, asked) {
  const many = asked?.length ?? found.open.length;
  return card("Open approvals", h("p", { class: `big ${many ? "unsure" : ""}` }, String(many)),
    found.open.slice(0, 3).map((each) => h("p", null, `span ${each.span} is held `, each.release_id && releaseLink(each.release_id))),
    many > 0 && h("p", null, h("a", { href: "#/actions" }, "answer")));
}

/** Of the last 30 days, which a person may still mend; older ones are counted. */
function apart(found) {
  const since = new Date(Date.parse(found.head) - 30 * 86400000).toISOString().slice(0, 10);
  const recent = found.quarantined.filter((each) => each.span >= since), older = found.quarantined.length - recent.length;
  const empty = found.no_data.filter((each) => each.span >= since).map((each) => each.span);
  return card("Quarantined, last 30 days", h("p", { class: `big ${recent.length ? "bad" : ""}` }, String(recent.length)),
    recent.slice(-3).map((each) => h("p", null, h("a", { href: "#/data" }, each.span), `: ${each.reasons[0] ?? ""}`)),
    empty.length > 0 && h("p", { class: "faint" }, `no data came on ${empty.slice(-3).join(", ")}`), older > 0 && h("p", { class: "faint" }, `${older} before`));
}

function pending(found) {
  const many = found.pending.length;
  return card("Pending", h("p", { class: "big" }, String(many)), h("p", { class: "faint" }, many ? "settled, and not yet learnt by the champion's line" : "the champion's line has learnt all that is valid"),
    found.pending.slice(-4).map((each) => h("p", null, each.span, " ", tag(each.result), " ", each.release_id && releaseLink(each.release_id))));
}

function lanes(found) {
  if (!found.lanes.length) return null;
  return card("Other lanes", found.lanes.slice(0, 5).map((lane) => h("p", null, h("a", { href: `#/chain/${lane.lane}` }, lane.lane), `: ${lane.settled} settled, up to ${lane.head ?? "–"}${lane.adopted ? ", taken over" : ""}`)));
}
