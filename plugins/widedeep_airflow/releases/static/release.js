// One release: lineage as a graph, what it consists of, what was decided and why, and what sets it apart from another.

import { follow, own, reportAddress, runAddress, runOf } from "./air.js";
import { axis, bytes, count, DECISIONS, fixed, h, percent, releaseLink, s, short, signed, state, table, tag, when, within } from "./draw.js";

export async function show([id, versus, other]) {
  if (!id) return newest();
  if (versus === "vs" && other) return compare(id, other);
  const found = await own(`releases/${id}`);
  return found.state ? broken(found) : whole(found);
}

async function newest() {
  const chain = await own("chain?limit=60");
  const releases = chain.points.filter((p) => p.release_id).toReversed();
  if (!releases.length) return state("unsure", "No release yet.", "The first one appears here when a run has made it.");
  return h("div", null, h("h2", null, "The newest releases"), table(["Span", "Release", "Result", "Why"], releases.slice(0, 40).map((p) =>
    h("tr", null, h("th", { scope: "row" }, p.span), h("td", null, releaseLink(p.release_id), p.champion ? " ★ champion" : ""), h("td", null, tag(p.result)), h("td", null, (p.verdict?.reasons ?? p.reasons).slice(0, 1).join(""))))));
}

function broken(found) {
  return h("div", null, h("h2", null, "Release ", h("span", { class: "id" }, found.release_id)), state("bad", found.state === "damaged" ? "This release is damaged." : "This release is not whole.", found.told),
    h("details", { open: true }, h("summary", null, `${found.keys.length} objects stand there`), h("ul", null, found.keys.slice(0, 60).map((key) => h("li", null, h("code", null, key))))));
}

function whole(found) {
  const verdict = found.verdicts.at(-1);
  const settled = found.settled[0];
  return h("div", null,
    h("h2", null, "Release ", h("span", { class: "id" }, found.release_id), " of span ", found.span, " ", settled && tag(settled.result), " ", !found.published && h("span", { class: "tag faint" }, "not published")),
    found.problems.length > 0 && state("bad", "Part of its evidence can't be read.", found.problems.join(", ")),
    verdict && decision(found, verdict),
    h("h2", null, "Where it comes from"), graph(found), made(found),
    h("div", { class: "two" }, h("section", null, h("h2", null, "What became of it"), fate(found)), h("section", null, h("h2", null, "Dry run"), rehearsal(found))),
    h("h2", null, "What training did"), training(found),
    h("h2", null, "Warm-start debt"), debts(found),
    h("h2", null, `Files (${found.files.length})`), table(["File", { n: "Size" }, "SHA-256", "Stands"], found.files.map((f) => h("tr", null, h("th", { scope: "row" }, f.name), h("td", { class: "n" }, bytes(f.size_bytes)), h("td", null, h("code", { title: f.sha256 }, f.sha256.slice(0, 16))), h("td", { class: f.there ? "" : "bad" }, f.there ? "yes" : "gone")))),
    versusForm(found), report(found));
}

function decision(found, verdict) {
  const figures = [["candidate", verdict.candidate], ["champion", verdict.champion]].filter(([, q]) => q);
  const d = verdict.difference;
  return h("section", { class: "card", "aria-label": "Decision" }, h("p", null, h("span", { class: `tag ${DECISIONS[verdict.decision]}` }, verdict.decision), verdict.champion_id ? [" compared with ", releaseLink(verdict.champion_id)] : " by absolute checks: there was no champion"),
    h("ul", null, verdict.reasons.map((reason) => h("li", null, reason))),
    figures.length > 0 && table(["", { n: "AUC" }, { n: "NE" }, { n: "Calibration" }, { n: "Log loss" }, { n: "Rows" }, { n: "Users" }], figures.map(([name, q]) =>
      h("tr", null, h("th", { scope: "row" }, name), [within(q, "auc"), within(q, "ne"), within(q, "calibration", 3), fixed(q.log_loss), count(q.rows), count(q.users)].map((v) => h("td", { class: "n" }, v))))),
    d && h("p", { class: "faint" }, `In brackets: ${percent(d.level, 0)} intervals over users.`),
    d && h("p", null, `Log loss, candidate − champion: ${signed(d.estimate)}, ${percent(d.level, 0)} interval ${signed(d.lower)} to ${signed(d.upper)}`),
    found.answers.map((a) => h("p", null, h("strong", null, a.answer === "accept" ? "Accepted" : "Rejected"), ` by ${a.by} on ${when(a.at)}: ${a.reason}`)));
}

/** Columns from data to champion; each node is a box with words, so that a reader and a screen see the same. */
function graph(found) {
  const spans = [...new Map(found.learnt.map((p) => [`${p.span}v${p.version}`, p])).values()];
  const shown = spans.slice(-6);
  const parts = (p) => found.learnt.filter((each) => each.span === p.span && each.version === p.version).map((each) => (each.part === "train" ? "training rows" : "held-out rows")).join(", ");
  const trained = found.deeds.find((d) => d.deed === "trained"), published = found.deeds.find((d) => d.deed === "published");
  const verdict = found.verdicts.at(-1), approved = found.answers.find((a) => a.answer === "accept");
  const columns = [
    [...(spans.length > shown.length ? [{ lines: [`${spans.length - shown.length} more spans`] }] : []), ...shown.map((p) => ({ lines: [`${p.span} v${p.version}`, parts(p)], href: "#/data" }))],
    [found.parent ? { lines: ["parent", short(found.parent), found.ancestors[0] ? `of span ${found.ancestors[0].span}` : "pruned"], href: `#/release/${found.parent}` } : { lines: ["no parent", "a model from scratch"] },
      { lines: ["contract", trained?.contract ?? "", found.code.contract_digest.slice(0, 12)] }, { lines: ["code", found.code.source_digest.slice(0, 12), `seed ${found.code.seed}`] }],
    [{ lines: ["release", short(found.release_id), `of span ${found.span}`], kind: "own" }],
    [{ lines: ["dry run", found.dry_runs.length ? (found.dry_runs.at(-1).failures.length ? "failed" : "passed") : "none kept"], kind: found.dry_runs.at(-1)?.failures.length ? "bad" : "" },
      { lines: ["gate", verdict ? verdict.decision : "no verdict"], kind: verdict ? DECISIONS[verdict.decision] : "" }],
    [approved ? { lines: ["approved", approved.by.replace(/^.*answered by /, "by ")], kind: "good" } : null, { lines: ["published", published ? when(published.at).slice(0, 16) : "not published"] },
      ...found.moves.slice(-2).map((m) => ({ lines: [m.release_id === found.release_id ? `champion of ${m.lane}` : `left: ${m.kind}`, `move ${m.sequence}`], kind: m.release_id === found.release_id ? "good" : "unsure" }))].filter(Boolean),
  ];
  const W = 150, H = 52, DX = 190, DY = 64, rows = Math.max(...columns.map((c) => c.length)), height = rows * DY + 8;
  const place = (c, r, n) => [c * DX + 4, 4 + (r + (rows - n) / 2) * DY];
  const edges = [], nodes = [];
  columns.forEach((column, c) => column.forEach((node, r) => {
    const [x, y] = place(c, r, column.length);
    const next = columns[c + 1] ?? [];
    const targets = c < 2 ? [[2, 0, 1]] : next.map((_, i) => [c + 1, i, next.length]);
    if (c === 0 || c === 1 || c === 2 || c === 3) for (const target of targets) {
      const [tx, ty] = place(...target);
      const [x1, y1, x2, y2] = [x + W, y + H / 2, tx, ty + H / 2];
      edges.push(s("path", { d: `M${x1},${y1}C${x1 + 30},${y1} ${x2 - 40},${y2} ${x2},${y2}`, class: "edge" }));
    }
    const words = node.lines.filter(Boolean).map((line, i) => s("text", { x: x + 8, y: y + 17 + 14 * i, "font-weight": i ? null : "600" }, line.length > 22 ? `${line.slice(0, 21)}…` : line, s("title", null, line)));
    const box = [s("rect", { x, y, width: W, height: H, rx: 5 }), words];
    nodes.push(s("g", { class: `node ${node.kind ?? ""}` }, node.href ? s("a", { href: node.href, "aria-label": node.lines.join(" ") }, box) : box));
  }));
  const width = columns.length * DX - (DX - W) + 8;
  const told = `Lineage: ${spans.length} spans, ${found.parent ? `parent ${found.parent}` : "no parent"}, gate ${verdict?.decision ?? "none"}`;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": told }, edges, nodes);
  svg.style.minWidth = "46em";
  svg.style.maxWidth = "70em";
  return h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Lineage graph, scrolls sideways" }, svg);
}

/** By version of a span: which of its rows. */
function pieces(list) {
  const by = Map.groupBy(list, (p) => `${p.span} v${p.version}`);
  return [...by].map(([name, parts]) => `${name} (${parts.map((p) => (p.part === "train" ? "training" : "held-out")).join(" and ")} rows)`).join(", ") || "nothing";
}

function made(found) {
  const run = (by) => { const at = runOf(by); return at ? h("a", { href: runAddress(at.dag, at.run), onclick: follow }, `${at.dag}, ${at.run}`) : by; };
  const docs = Object.entries(found.data_docs);
  return h("dl", null,
    found.deeds.toSorted((a, b) => a.at.localeCompare(b.at)).flatMap((d) => [h("dt", null, d.deed), h("dd", null, `${when(d.at)} by `, run(d.by), `, contract ${d.contract} ${d.contract_digest.slice(0, 12)}, Python ${d.python}`)]),
    h("dt", null, "learnt"), h("dd", null, pieces(found.learnt)),
    h("dt", null, "inherited"), h("dd", null, found.inherited ? `${count(found.inherited)} parts, ${found.inherited_from} to ${found.inherited_until}` : "nothing"),
    h("dt", null, "parents"), h("dd", null, found.ancestors.length ? found.ancestors.flatMap((a, i) => [i ? " ← " : "", releaseLink(a.release_id)]) : "none", found.ancestors.at(-1)?.parent ? " ← …" : ""),
    h("dt", null, "numbers"), h("dd", null, Object.entries(found.code.profile).filter(([, v]) => v !== null).map(([k, v]) => `${k} ${v}`).join(", ")),
    docs.length > 0 && [h("dt", null, "GX Data Docs"), h("dd", null, docs.slice(-6).map(([span, key]) => [h("a", { href: reportAddress(key), onclick: follow, "data-new": "1" }, span), " "]))]);
}

function fate(found) {
  if (!found.settled.length && !found.moves.length) return h("p", { class: "faint" }, "No lane has settled its span with it.");
  const tasks = (by) => { const at = runOf(by); return at && at.dag === "widedeep_retrain" ? h("p", null, "Tasks: ", ["validate", "train", "dry_run", "gate", "publish", "settle"].map((task) => [h("a", { href: runAddress(at.dag, at.run, task), onclick: follow }, task), " "])) : null; };
  return h("div", null, found.settled.map((o) => h("div", null, h("p", null, tag(o.result), ` in lane ${o.lane}, ${when(o.at)}`), h("ul", null, o.reasons.map((r) => h("li", null, r))), tasks(o.by))),
    found.moves.length > 0 && h("ul", { class: "plain" }, found.moves.map((m) => h("li", null, h("strong", null, m.release_id === found.release_id ? `champion of ${m.lane}` : `no longer champion of ${m.lane}`), ` by move ${m.sequence} (${m.kind}), ${when(m.at)}, ${m.by}: ${m.reason}`))));
}

function rehearsal(found) {
  const run = found.dry_runs.at(-1);
  if (!run) return h("p", { class: "faint" }, "No dry run is kept.");
  const sides = [["candidate", run.score_ms], ["champion", run.champion_ms]].filter(([, times]) => times.length);
  return h("div", null, run.failures.length ? h("ul", { class: "bad" }, run.failures.map((f) => h("li", null, f))) : h("p", { class: "good" }, `passed: ${count(run.rows_scored)} rows reproduced`),
    sides.length > 0 && histogram(sides),
    h("dl", null, [["candidate p50 / p99", `${fixed(run.score_p50_ms, 2)} / ${fixed(run.score_p99_ms, 2)} ms`], ["champion p50 / p99", `${fixed(run.champion_p50_ms, 2)} / ${fixed(run.champion_p99_ms, 2)} ms`], ["loads in", run.load_s === null ? "–" : `${run.load_s.toFixed(2)} s`], ["memory at most", run.peak_rss_mb === null ? "–" : `${Math.round(run.peak_rss_mb)} MB`], ["rankings like the champion's", percent(run.rank_agreement)]].flatMap(([dt, dd]) => [h("dt", null, dt), h("dd", null, dd)])));
}

function histogram(sides) {
  const every = sides.flatMap(([, times]) => times).sort((a, b) => a - b), BINS = 24, W = 420;
  const high = 1.05 * every[Math.floor(0.95 * (every.length - 1))] || 1;
  const shares = sides.map(([kind, times]) => { const bins = Array(BINS).fill(0); for (const t of times) bins[Math.min(BINS - 1, Math.floor((BINS * t) / high))] += 1 / times.length; return [kind, bins]; });
  const x = axis(0, high, 40, W - 10), y = axis(0, 1.05 * Math.max(...shares.flatMap(([, bins]) => bins)), 140, 8);
  const outline = (bins) => bins.flatMap((v, i) => [[x.at((high * i) / BINS), y.at(v)], [x.at((high * (i + 1)) / BINS), y.at(v)]]).map((p) => p.map((v) => v.toFixed(1)).join(",")).join(" ");
  const told = sides.map(([kind, times]) => `${kind} half within ${fixed([...times].sort((a, b) => a - b)[Math.floor(times.length / 2)], 2)} ms`).join("; ");
  return h("figure", null, h("figcaption", { class: "key" }, h("strong", null, "Latency of requests"), "candidate solid, champion dashed; the slowest are in the last bar"),
    s("svg", { viewBox: `0 0 ${W} 172`, role: "img", "aria-label": `Latency: ${told}` }, y.ticks().map((v) => [s("line", { x1: 40, x2: W - 10, y1: y.at(v), y2: y.at(v), class: "grid" }), s("text", { x: 35, y: y.at(v) + 4, "text-anchor": "end", class: "dim" }, percent(v, 0))]), x.ticks(5).map((v) => s("text", { x: x.at(v), y: 155, "text-anchor": "middle", class: "dim" }, `${Number(v.toPrecision(3))}`)), shares.map(([kind, bins]) => s("polyline", { points: outline(bins), class: kind })), s("text", { x: W / 2, y: 170, "text-anchor": "middle", class: "dim" }, "milliseconds")));
}

function training(found) {
  const t = found.training;
  if (!t) return h("p", { class: "faint" }, "Its training report is not there.");
  return h("dl", null, [["rows learnt", count(t.rows)], ["vocabulary", `+${count(t.new_values)} values, +${count(t.new_crosses)} crosses; −${count(t.evicted_values)} values, −${count(t.evicted_crosses)} crosses${t.refused ? `; ${count(t.refused)} found no room` : ""}; ${bytes(t.table_bytes)}`],
    ["unseen before", `${percent(t.unseen_crosses)} of the newest rows' crosses, ${percent(t.oov)} of their values`], ["warm start", `${t.carried} tensors carried; started anew: ${t.initialised.join("; ") || "none"}`]].flatMap(([dt, dd]) => [h("dt", null, dt), h("dd", null, dd)]));
}

function debts(found) {
  if (!found.audits.length) return h("p", { class: "faint" }, "No audit has compared it with a twin from scratch.");
  return h("ul", { class: "plain" }, found.audits.map(({ debt, over, limit, ...a }) => h("li", null,
    `owes ${signed(debt.estimate)} of log loss, ${percent(debt.level, 0)} interval ${signed(debt.lower)} to ${signed(debt.upper)}, to `, releaseLink(a.twin), `, which learnt its last ${a.spans} spans anew, ${count(a.rows)} rows: `,
    h("span", { class: `tag ${over ? "bad" : "good"}` }, over ? "shown to be above" : "not shown to be above"), ` the limit of ${fixed(limit)}`)));
}

function versusForm(found) {
  const input = h("input", { type: "text", id: "other", required: true, pattern: "r-[0-9a-f]{16}", placeholder: "r-…", value: found.parent ?? "" });
  return h("form", { onsubmit: (event) => { event.preventDefault(); location.hash = `#/release/${found.release_id}/vs/${input.value.trim()}`; } },
    h("h2", null, "Beside another release"), h("label", { for: "other" }, "Release id", h("small", { class: "faint" }, "its parent is filled in")), input, h("div", null, h("button", { class: "main", type: "submit" }, "Show what differs")));
}

function report(found) {
  const page = found.reports.at(-1);
  if (!page) return h("p", { class: "faint" }, "The gate's report on it is not there.");
  return h("section", null, h("h2", null, "The gate's report"), h("p", null, h("a", { href: reportAddress(page), onclick: follow, "data-new": "1" }, "Open it by itself")),
    h("details", null, h("summary", null, "Show it here"), h("iframe", { src: page, title: "The gate's report", loading: "lazy", sandbox: "" })));
}

async function compare(one, other) {
  const found = await own(`releases/${one}/difference?other=${other}`);
  if (found.state) return broken(found);
  const sides = (title, rows) => [h("h2", null, `${title} (${rows.length})`), rows.length ? table(["", short(one), short(other)], rows.map((r) => h("tr", null, h("th", { scope: "row" }, r.name), h("td", null, r.one ?? "–"), h("td", null, r.other ?? "–")))) : h("p", { class: "faint" }, "the same in both")];
  return h("div", null, h("h2", null, releaseLink(one), " beside ", releaseLink(other)),
    sides("Figures of the gate, each on its own day's rows", found.figures), sides("Contract", found.contract), sides("Configuration of the model", found.specification), sides("Inputs", found.inputs),
    h("h2", null, "Data learnt by itself"), h("dl", null, h("dt", null, `only ${short(one)}`), h("dd", null, pieces(found.only_one)), h("dt", null, `only ${short(other)}`), h("dd", null, pieces(found.only_other))),
    sides("Vocabulary and training", found.training), sides("Files", found.files),
    h("p", null, h("a", { href: `#/try/top/${one}/${other}` }, "What moved in the lists of sample users"), " (it loads both models, which takes some seconds)"));
}
