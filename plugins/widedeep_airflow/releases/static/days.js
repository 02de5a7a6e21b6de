// The days as they were delivered, and which columns drifted on which of them.

import { follow, own, reportAddress } from "./air.js";
import { count, fixed, h, s, state, table, tag } from "./draw.js";

const FEW = 30, MORE = 60;
const WORD = { critical: "quarantined", drastic: "held for a person", rows: "rows taken out", warning: "warning" };
const SIGN = { critical: "✕", drastic: "!", rows: "−", warning: "·" };

export async function show() {
  const page = await own(`days?limit=${FEW}`);
  if (!page.days.length) return state("unsure", "No day was delivered yet.", "What is ingested appears here, before it is settled.");
  const body = h("div");
  const draw = (pages) => {
    const days = pages.flatMap((each) => each.days), before = pages[0].before;
    body.replaceChildren(h("h2", null, "Drift: columns by days"), heat(days), h("h2", null, `Days (${days.length} of ${page.total})`), list(days),
      before ? h("button", { type: "button", onclick: async (event) => { event.target.disabled = true; draw([await own(`days?limit=${MORE}&before=${before}`), ...pages]); } }, "Show older days") : "");
  };
  draw([page]);
  return body;
}

/** How near a column came to what is told: beyond its limit, beyond half of it, or what a check said where that weighs more. */
const near = ({ drift }) => (drift ? drift.effect / (drift.limit || 1e-9) : 0);
const shade = (cell) => cell.severity === "critical" || cell.severity === "drastic" ? "h3" : near(cell) > 1 || cell.severity === "warning" ? "h2" : near(cell) > 0.5 || cell.severity === "rows" ? "h1" : "h0";

function heat(days) {
  const columns = [...new Set(days.flatMap((day) => day.cells.map((cell) => cell.column)))].sort();
  if (!columns.length) return h("p", { class: "faint" }, "No check has said anything of these days, and too few days came before them to measure drift.");
  const shown = days.slice(-60);
  const cellOf = (day, column) => day.cells.find((cell) => cell.column === column);
  return h("div", null, h("p", { class: "faint" }, "Shade: how far a column, the label rate or the number of rows has moved since past days, from half of what is told on. Signs: what a check said (✕ quarantined, ! held, − rows taken out, · warning)."),
    h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Drift heatmap, scrolls sideways" }, h("table", { class: "heat" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, h("small", null, "column")), shown.map((day) => h("th", { scope: "col" }, h("span", null, day.span))))),
      h("tbody", null, columns.map((column) => h("tr", null, h("th", { scope: "row" }, column), shown.map((day) => {
        const cell = cellOf(day, column);
        if (!cell) return h("td", { class: "h0" });
        const told = [`${column} on ${day.span}`, cell.drift && `moved by ${fixed(cell.drift.effect, 3)} (${cell.drift.measure}), told from ${fixed(cell.drift.limit, 3)} on`, cell.severity && WORD[cell.severity]].filter(Boolean).join(", ");
        return h("td", { class: shade(cell), title: told }, SIGN[cell.severity] ?? "");
      })))))));
}

function list(days) {
  return table(["Span", "Settled as", "Versions", { n: "Rows" }, { n: "Rows taken out" }, "What the checks found", "Report"], days.toReversed().map((day) =>
    h("tr", null, h("th", { scope: "row" }, day.span), h("td", null, day.result ? tag(day.result) : h("span", { class: "faint" }, "not yet"), day.problems.length > 0 && h("p", { class: "bad" }, `${day.problems.length} object can't be read`)),
      h("td", null, day.versions.map((v) => `v${v.version}`).join(", ") || "–"), h("td", { class: "n" }, count(day.versions.at(-1)?.rows)), h("td", { class: "n" }, count(day.taken_out)),
      h("td", null, found(day.findings)), h("td", null, day.report ? h("a", { href: reportAddress(day.report), onclick: follow, "data-new": "1", "aria-label": `Data Docs of ${day.span}` }, "Data Docs") : "–"))));
}

function found(findings) {
  if (!findings.length) return h("span", { class: "faint" }, "nothing");
  const line = (f) => h("li", null, h("strong", { class: f.severity === "critical" || f.severity === "drastic" ? "bad" : "unsure" }, WORD[f.severity]), ": ", f.message);
  return h("div", null, h("ul", { class: "plain" }, findings.slice(0, 2).map(line)), findings.length > 2 && h("details", null, h("summary", null, `${findings.length - 2} more`), h("ul", { class: "plain" }, findings.slice(2).map(line))));
}
