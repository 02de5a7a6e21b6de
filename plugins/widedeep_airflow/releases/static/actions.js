// What a person decides. Each goes to Airflow's own API as that person: Airflow asks who may, starts the run, and keeps who it was.

import { airflow, follow, own, perhaps, runAddress, send } from "./air.js";
import { h, state, table, when } from "./draw.js";

const KNOWN = [
  ["widedeep_rollback", "Roll back", "A former champion becomes champion again, after a dry run and an approval."],
  ["widedeep_freeze", "Freeze or thaw", "Promote nothing in a lane until it is thawed; runs go on."],
  ["widedeep_promote_lane", "Promote a lane", "Live takes over another lane, after a comparison and an approval."],
  ["widedeep_replay", "Replay from a day", "The days from there on once more, in a lane of their own."],
  ["widedeep_requeue", "Requeue a day", "Repaired or re-delivered rows of a settled day are learnt by the next candidate."],
  ["widedeep_audit", "Audit warm starts", "How much better a model from scratch on the same days would be."],
  ["widedeep_retrain", "Run a day", "One span by hand."],
];

/** Required actions of the chain's DAGs that nobody has answered. */
export async function openApprovals() {
  const found = await airflow("dags/~/dagRuns/~/hitlDetails?response_received=false&limit=100");
  return found.hitl_details.filter((each) => each.task_instance.dag_id.startsWith("widedeep_") && each.task_instance.state === "awaiting_input");
}

export async function show([dag], { whoLooks }) {
  const [there, asked, who, now] = await Promise.all([airflow("dags?dag_id_pattern=widedeep&limit=100"), perhaps(openApprovals()), perhaps(whoLooks()), perhaps(own("today"))]);
  const paused = new Map(there.dags.map((each) => [each.dag_id, each.is_paused]));
  const form = h("div");
  const choose = async (name) => { form.replaceChildren(h("p", { class: "faint" }, "Reading its form…")); try { form.replaceChildren(await formOf(name, paused.get(name), who)); form.querySelector("input,select,textarea,button")?.focus(); } catch (error) { form.replaceChildren(state("bad", "Its form can't be read.", error.message)); } };
  const body = h("div", null,
    h("h2", { id: "inbox" }, "Waiting for an answer"), asked === null ? h("p", { class: "faint" }, "Airflow does not tell, or you may not see required actions.") : asked.length ? inbox(asked, who, now?.head) : h("p", { class: "faint" }, "Nothing."),
    h("h2", null, "Start"), table(["", "What it does", "State"], KNOWN.map(([name, title, what]) => {
      const exists = paused.has(name), may = who?.may_start?.[name] ?? true;
      return h("tr", null, h("td", null, h("button", { type: "button", disabled: !exists || !may, onclick: () => choose(name) }, title)), h("td", null, what, " ", h("code", null, name)),
        h("td", null, !exists ? h("span", { class: "faint" }, "not in this Airflow") : !may ? h("span", { class: "faint" }, "you may not start it") : paused.get(name) ? "paused" : "ready"));
    })), form);
  if (dag && paused.has(dag)) choose(dag);
  return body;
}

function field(name, param) {
  const schema = param.schema ?? {}, types = [schema.type].flat(), id = `field-${name}`;
  const told = h("label", { for: id }, schema.title ?? name, h("small", { class: "faint" }, param.description ?? schema.description ?? ""));
  const options = schema.enum ?? null;
  let input;
  if (options) input = h("select", { id }, options.map((each) => h("option", { value: String(each), selected: each === param.value }, String(each))));
  else if (types.includes("boolean")) input = h("input", { id, type: "checkbox", checked: Boolean(param.value) });
  else if (schema.format === "date") input = h("input", { id, type: "date", value: param.value ?? "", required: !types.includes("null") });
  else input = h("input", { id, type: "text", value: param.value ?? "", required: types.includes("string") && !types.includes("null"), minlength: schema.minLength ?? null, pattern: schema.pattern && schema.pattern !== "\\S" ? schema.pattern.replace(/^\^|\$$/g, "") : null, autocomplete: "off" });
  const read = () => {
    if (types.includes("boolean")) return input.checked;
    if (options) return options.find((each) => String(each) === input.value);
    if (input.value.trim() === "" && types.includes("null")) return null;
    if (types.includes("integer") || types.includes("number")) return Number(input.value);
    return input.value.trim();
  };
  return { name, body: [told, input], read };
}

/** The form that the DAG's own Params make, and a reason where it has none of its own. */
async function formOf(name, paused, who) {
  const details = await airflow(`dags/${name}/details`);
  const [, title] = KNOWN.find(([each]) => each === name);
  const fields = Object.entries(details.params ?? {}).map(([key, param]) => field(key, param));
  const hasReason = fields.some((each) => each.name === "reason");
  const note = hasReason ? null : h("textarea", { id: "note", rows: "2", required: true, minlength: "3" });
  const unpause = paused ? h("input", { type: "checkbox", checked: true, id: "unpause" }) : null;
  const said = h("div", { "aria-live": "assertive" });
  const button = h("button", { class: "main", type: "submit" }, `${title}: start`);
  const submit = async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      if (unpause?.checked) await send("PATCH", `dags/${name}?update_mask=is_paused`, { is_paused: false });
      const conf = Object.fromEntries(fields.map((each) => [each.name, each.read()]));
      const reason = note ? note.value.trim() : conf.reason;
      const run = await send("POST", `dags/${name}/dagRuns`, { logical_date: null, conf, note: reason });
      said.replaceChildren(state("good", `Started as ${run.dag_run_id}.`, h("a", { href: runAddress(name, run.dag_run_id), onclick: follow }, "Look at the run"), h("a", { href: "#/actions", onclick: () => setTimeout(() => dispatchEvent(new HashChangeEvent("hashchange")), 0) }, "What it asks appears above, once it asks")));
    } catch (error) {
      said.replaceChildren(state("bad", error.status === 403 ? "You may not start this (403)." : `Airflow refuses (${error.status}).`, error.message));
    }
    button.disabled = false;
  };
  return h("section", { class: "card", "aria-label": title }, h("h2", null, `${title}, as ${who?.user ?? "you"}`), h("form", { onsubmit: submit, novalidate: false }, fields.map((each) => each.body),
    note && [h("label", { for: "note" }, "Reason", h("small", { class: "faint" }, "kept as the run's note")), note],
    unpause && h("label", { class: "check", for: "unpause" }, unpause, "the DAG is paused: let it run"), h("div", null, button), said));
}

/** Each question with its reasons, and its options as buttons. `head`: the last day that the live lane has settled. */
export function inbox(asked, who, head) {
  return h("div", null, asked.map((each) => question(each, who, head)));
}

/** Of a candidate that no answer can make champion any more: a later day has been settled since. */
const superseded = (subject, head) => head > (/^Promote the candidate of span (\d{4}-\d\d-\d\d) of lane live\?/.exec(subject)?.[1] ?? "9999");

function question(asked, who, head) {
  const task = asked.task_instance;
  const where = `dags/${task.dag_id}/dagRuns/${encodeURIComponent(task.dag_run_id)}/taskInstances/${task.task_id}/${task.map_index ?? -1}/hitlDetails`;
  const fields = Object.entries(asked.params ?? {}).map(([name, param]) => field(name, { ...param, schema: { ...param.schema, type: [param.schema?.type, "null"].flat() } }));
  fields.forEach((each) => { const id = `${task.id}-${each.name}`; each.body[0].setAttribute("for", id); each.body[1].id = id; });
  const said = h("div", { "aria-live": "assertive" });
  const many = asked.options.length > 4;
  const select = many ? h("select", { "aria-label": "Answer" }, asked.options.map((option) => h("option", { value: option }, option))) : null;
  const answer = async (option) => {
    buttons.forEach((each) => { each.disabled = true; });
    try {
      await send("PATCH", where, { chosen_options: [option], params_input: Object.fromEntries(fields.map((each) => [each.name, each.read() ?? ""])) });
      said.replaceChildren(state("good", `Answered: ${option}.`, h("a", { href: runAddress(task.dag_id, task.dag_run_id), onclick: follow }, "Look at the run")));
    } catch (error) {
      said.replaceChildren(state("bad", error.status === 403 ? "You may not answer this (403)." : `Airflow refuses (${error.status}).`, error.message));
      buttons.forEach((each) => { each.disabled = false; });
    }
  };
  const buttons = many ? [h("button", { class: "main", type: "button", onclick: () => answer(select.value) }, "Answer")]
    : asked.options.map((option) => h("button", { type: "button", class: /accept|approve/i.test(option) ? "main" : "", onclick: () => answer(option) }, option));
  return h("section", { class: "card", "aria-label": asked.subject }, h("h3", null, asked.subject), h("p", { class: "faint" }, `${task.dag_id}, asked ${when(asked.created_at)}${who ? `; you answer as ${who.user}` : ""}`), superseded(asked.subject, head) && state("unsure", `Superseded: ${head} has been settled since.`, "The pointer stays, whatever is answered; an answer closes the question."), words(asked.body ?? ""), fields.map((each) => each.body), h("div", { class: "bar" }, select, buttons), said);
}

/** The little Markdown that our own questions use: fenced text, links to reports of ours, paragraphs. All else stays words. */
function words(text) {
  return text.split(/```(?:text)?\n?/).map((piece, i) => (i % 2 ? h("pre", null, piece.trimEnd()) : piece.split(/\n{2,}/).filter((p) => p.trim()).map((p) => h("p", null, linked(p)))));
}

function linked(text) {
  const found = [];
  let from = 0;
  for (const link of text.matchAll(/\[([^\]]+)\]\((https?:\/\/[^)\s]+)\)/g)) {
    const key = /\/widedeep\/((?:evidence|validation)\/[\w./-]+)$/.exec(link[2])?.[1];
    found.push(text.slice(from, link.index), key ? h("a", { href: new URL(key, location.href).href, onclick: follow, "data-new": "1" }, link[1]) : link[0]);
    from = link.index + link[0].length;
  }
  return [...found, text.slice(from)];
}
