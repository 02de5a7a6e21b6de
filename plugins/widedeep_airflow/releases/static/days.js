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

/** How far a numeric column is from uniform over its frozen quantiles: .1 is what a mild shift makes, .25 a strong one. */
const shade = (cell) => cell.severity === "critical" || cell.severity === "drastic" ? "h3" : (cell.drift ?? 0) > 0.25 ? "h3" : (cell.drift ?? 0) > 0.1 || cell.severity === "warning" ? "h2" : (cell.drift ?? 0) > 0.05 || cell.severity === "rows" ? "h1" : "h0";

function heat(days) {
  const columns = [...new Set(days.flatMap((day) => day.cells.map((cell) => cell.column)))].sort();
  if (!columns.length) return h("p", { class: "faint" }, "No check has said anything of these days, and no numeric column was measured.");
  const shown = days.slice(-60);
  const cellOf = (day, column) => day.cells.find((cell) => cell.column === column);
  return h("div", null, h("p", { class: "faint" }, "Shade: distance of a numeric column from what it was when its quantiles were fitted. Signs: what a check said (✕ quarantined, ! held, − rows taken out, · warning)."),
    h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Drift heatmap, scrolls sideways" }, h("table", { class: "heat" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, h("small", null, "column")), shown.map((day) => h("th", { scope: "col" }, h("span", null, day.span))))),
      h("tbody", null, columns.map((column) => h("tr", null, h("th", { scope: "row" }, column), shown.map((day) => {
        const cell = cellOf(day, column);
        if (!cell) return h("td", { class: "h0" });
        const told = [`${column} on ${day.span}`, cell.drift !== null && `distance ${fixed(cell.drift, 3)}`, cell.severity && WORD[cell.severity]].filter(Boolean).join(", ");
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
