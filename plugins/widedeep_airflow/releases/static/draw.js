// Elements, numbers and SVG. Texts are always set as text, never as markup: whatever was delivered stays words.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(4)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
export const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

export const short = (id) => (id ? id.slice(0, 10) : "none");
export const count = (value) => (value === null || value === undefined ? "–" : value.toLocaleString("en-GB"));
export const fixed = (value, digits = 4) => (value === null || value === undefined ? "–" : value.toFixed(digits).replace("-", "−").replace(/^(−?)0\./, "$1."));
export const signed = (value, digits = 4) => (value === null || value === undefined ? "–" : (value > 0 ? "+" : "") + fixed(value, digits));
/** A figure of a model with its interval, if it has one. */
export const within = (quality, name, digits = 4) => {
  const interval = quality[`${name}_interval`], value = fixed(quality[name], digits);
  return interval ? `${value} [${fixed(interval.lower, digits)}, ${fixed(interval.upper, digits)}]` : value;
};
export const percent = (value, digits = 1) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)}\u202f%`);
export const when = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : "–");
export const bytes = (value) => (value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(1)} GiB` : value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MiB` : `${Math.max(1, Math.round(value / 1024))} KiB`);

export function age(text) {
  const minutes = Math.max(0, Date.now() - Date.parse(text)) / 60000;
  if (minutes < 90) return `${Math.round(minutes)} min`;
  if (minutes < 60 * 48) return `${Math.round(minutes / 60)} h`;
  return `${Math.round(minutes / 1440)} days`;
}

export const RESULTS = { promoted: "good", held: "unsure", rejected: "bad", quarantined: "bad", "no data": "faint", learnt: "faint", added: "faint" };
export const DECISIONS = { promote: "good", hold: "unsure", reject: "bad" };
export const tag = (word) => h("span", { class: `tag ${RESULTS[word] ?? DECISIONS[word] ?? "faint"}` }, word ?? "can't be read");
export const releaseLink = (id) => (id ? h("a", { class: "id", href: `#/release/${id}` }, short(id)) : "–");
export const table = (heads, rows, kind = "") =>
  h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "Table, scrolls sideways" },
    h("table", { class: kind },
      h("thead", null, h("tr", null, heads.map((head) => head === "" ? h("td") : h("th", { scope: "col", class: head.n ? "n" : null }, head.n ?? head)))),
      h("tbody", null, rows)));

/** A state that the page can't do without saying: what is wrong, and what to do next. */
export const state = (kind, title, ...told) => h("div", { class: `state ${kind}`, role: "status" }, h("strong", null, title), told.map((each) => h("p", null, each)));

export function axis(low, high, start, end) {
  const reach = high - low || 1;
  const at = (value) => start + ((Math.min(Math.max(value, low), high) - low) / reach) * (end - start);
  const ticks = (about = 3) => {
    const rough = reach / about, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((times) => reach / (power * times) <= about);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) found.push(i * step || 0); // no −0
    return found;
  };
  return { at, ticks, low, high, unit: (end - start) / reach };
}

/** The shape of a result, so that colour alone tells nothing. */
export function mark(result, x, y, problem) {
  if (problem) return s("text", { x, y: y + 4, "text-anchor": "middle", class: "m-broken" }, "?");
  const cross = `M${x - 4},${y - 4}L${x + 4},${y + 4}M${x - 4},${y + 4}L${x + 4},${y - 4}`;
  switch (result) {
    case "promoted": return s("circle", { cx: x, cy: y, r: 4, class: "m-promoted" });
    case "held": return s("path", { d: `M${x},${y - 5}L${x + 5},${y}L${x},${y + 5}L${x - 5},${y}Z`, class: "m-held" });
    case "rejected": return s("path", { d: cross, class: "m-rejected" });
    case "quarantined": return s("path", { d: `M${x},${y - 5}L${x + 5},${y + 4}L${x - 5},${y + 4}Z`, class: "m-quarantined" });
    case "no data": return s("circle", { cx: x, cy: y, r: 3.5, class: "m-none" });
    default: return s("rect", { x: x - 2, y: y - 2, width: 4, height: 4, class: "m-learnt" });
  }
}
