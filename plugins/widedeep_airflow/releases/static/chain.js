// A lane along time. Every panel shares one window of days: wheel, drag, buttons and keys move it, hovering reads a day.

import { own, perhaps, runOf, send } from "./air.js";
import { axis, count, fixed, h, mark, percent, releaseLink, s, short, signed, state, table, tag, when, within } from "./draw.js";

const LEFT = 52, RIGHT = 10, GAP = 8;
const DAY = 86400000;
const MOST_MARKS = 400; // beyond it single days lie closer than a pixel or two: lines stay, marks would be a smear
const NEWEST = 120, PAGE = 400;

const time = (point) => Date.parse(point.span) / DAY;
/** Both ends of an interval of the candidate or the champion, as the gate told it. */
const reachOf = (side, name) => (point) => ends(point.verdict?.[side]?.[`${name}_interval`]);
const ends = (interval) => interval && [interval.lower, interval.upper];

const candidateOf = (name) => (point) => point.verdict?.candidate?.[name] ?? null;
const championOf = (name) => (point) => point.verdict?.champion?.[name] ?? null;

const both = (name) => [reachOf("candidate", name), reachOf("champion", name)];

const PANELS = [
  { name: "AUC", lines: [candidateOf("auc"), championOf("auc")], reach: both("auc"), format: (v) => fixed(v, 3), note: "candidate ● and champion ■, intervals over users" },
  { name: "Normalised entropy", lines: [candidateOf("ne"), championOf("ne")], reach: both("ne"), format: (v) => fixed(v, 3), note: "candidate ● and champion ■, intervals over users; lower is better" },
  { name: "Calibration Σp/Σy", lines: [candidateOf("calibration"), championOf("calibration")], reach: both("calibration"), ideal: 1, format: (v) => fixed(v, 2), note: "1 is ideal; candidate ● and champion ■, intervals over users" },
  { name: "Log loss, candidate − champion", lines: [(p) => p.verdict?.difference?.estimate ?? null], reach: [(p) => ends(p.verdict?.difference)], ideal: 0, format: (v) => signed(v, 3), note: "the gate's interval over users; below 0 the candidate is better" },
  { name: "Vocabulary: rows given and taken", bars: [(p) => p.learnt && p.learnt.new_values + p.learnt.new_crosses, (p) => p.learnt && -(p.learnt.evicted_values + p.learnt.evicted_crosses)], format: (v) => count(Math.round(v)), note: "up: new values and crosses; down: evicted" },
  { name: "Table size", lines: [(p) => p.learnt?.table_bytes ?? null], zero: true, format: (v) => `${(v / 2 ** 20).toFixed(v < 2 ** 24 ? 1 : 0)} MiB`, note: "of all values and crosses that have rows" },
  { name: "Unseen crosses", lines: [(p) => p.learnt?.unseen_crosses ?? null, (p) => p.learnt?.oov ?? null], zero: true, format: (v) => percent(v, 0), note: "share of the day's crosses (●) and values (■) that the parent had no rows for" },
  { name: "Warm-start debt", lines: [(p) => p.owed?.debt.estimate ?? null], reach: [(p) => ends(p.owed?.debt)], ideal: 0, format: (v) => signed(v, 4), note: "log loss, champion − a twin from scratch, by the weekly audit; above 0 the chain is worse" },
  { name: "Duration of the steps", stack: true, format: (v) => (v >= 120 ? `${Math.round(v / 60)} min` : `${Math.round(v)} s`), note: "by task, from Airflow" },
];

const STEPS = ["ingest", "validate", "wait_turn", "train", "dry_run", "gate", "publish", "settle"];

export async function show([lane = "live"]) {
  const first = await own(`chain?lane=${lane}&limit=${NEWEST}`);
  if (!first.points.length) {
    return h("div", null, lanePicker(first), state("unsure", `Nothing is settled in lane ${lane} yet.`, "Its first day appears here when a run has settled it."));
  }
  const view = new View(first);
  view.older(first.before);
  return view.body;
}

function lanePicker(chain) {
  const names = chain.lanes.includes(chain.lane) ? chain.lanes : [chain.lane, ...chain.lanes];
  return h("label", null, "Lane ", h("select", { onchange: (event) => { location.hash = `#/chain/${event.target.value}`; } },
    names.map((name) => h("option", { value: name, selected: name === chain.lane }, name))));
}

/** All panels of one lane, and the window of days that they show. */
class View {
  constructor(chain) {
    this.chain = chain;
    this.points = chain.points;
    this.others = [];
    this.durations = new Map();
    this.cursor = null;
    this.window = null;
    this.tip = h("div", { class: "tip", hidden: true });
    this.told = h("p", { class: "faint", "aria-live": "polite" });
    this.count = h("span", { class: "faint", role: "status" });
    this.panels = h("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `Lane ${chain.lane} along time. Left and right read a day, Enter opens its release, plus and minus zoom, Home shows all.` });
    this.rows = h("div");
    const zoom = (label, act) => h("button", { type: "button", onclick: act }, label);
    this.body = h("div", null,
      h("div", { class: "bar" }, lanePicker(chain), zoom("30 days", () => this.last(30)), zoom("90 days", () => this.last(90)), zoom("All", () => this.all()), zoom("+", () => this.zoom(0.5)), zoom("−", () => this.zoom(2)), zoom("◂", () => this.pan(-0.5)), zoom("▸", () => this.pan(0.5)), this.count),
      key(), this.told, this.panels, h("details", null, h("summary", null, "The same as a table"), this.rows));
    this.last(90, false);
    this.listen();
    requestAnimationFrame(() => this.draw());
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.panels);
    perhaps(this.loadOthers());
  }

  /** Older pages, one after the other, drawn as they come. */
  async older(before) {
    while (before && (this.body.isConnected || this.points.length <= NEWEST)) {
      let page;
      try { page = await own(`chain?lane=${this.chain.lane}&limit=${PAGE}&before=${before}`); } catch { this.count.textContent = "older days can't be read now"; return; }
      this.points = [...page.points, ...this.points];
      before = page.before;
      this.draw();
    }
  }

  async loadOthers() {
    const names = this.chain.lanes.filter((name) => name !== this.chain.lane).slice(0, 6);
    this.others = await Promise.all(names.map((name) => own(`chain?lane=${name}&limit=200`)));
    if (this.others.length) this.draw();
  }

  last(days, draw = true) {
    const end = time(this.points.at(-1));
    this.window = [Math.max(end - days, time(this.points[0])) - 0.5, end + 0.5];
    if (draw) this.draw();
  }
  all() { this.window = [time(this.points[0]) - 0.5, time(this.points.at(-1)) + 0.5]; this.draw(); }
  zoom(times, at = (this.window[0] + this.window[1]) / 2) {
    const [from, to] = this.window, reach = Math.max(5, (to - from) * times), share = (at - from) / (to - from);
    this.shift(at - share * reach, reach);
  }
  pan(share) { const reach = this.window[1] - this.window[0]; this.shift(this.window[0] + share * reach, reach); }
  shift(from, reach) {
    const low = time(this.points[0]) - 0.5, high = time(this.points.at(-1)) + 0.5;
    reach = Math.min(reach, high - low);
    from = Math.min(Math.max(from, low), high - reach);
    this.window = [from, from + reach];
    this.draw();
  }

  visible() { return this.points.filter((point) => time(point) >= this.window[0] && time(point) <= this.window[1]); }

  draw() {
    const width = this.panels.clientWidth;
    if (!width) return;
    const shown = this.visible();
    const x = axis(...this.window, LEFT, width - RIGHT);
    this.x = x;
    this.width = width;
    const focused = document.activeElement === this.panels;
    this.panels.replaceChildren(this.lanes(shown, x, width), ...PANELS.map((panel) => this.panel(panel, shown, x, width)).filter(Boolean), this.tip);
    if (focused) this.panels.focus();
    this.count.textContent = `${shown.length} of ${this.chain.total} days${this.points.length < this.chain.total ? `, ${this.points.length} loaded` : ""}`;
    this.rows.replaceChildren(rows(shown.slice(-60)));
    this.measure(shown);
    this.point(this.cursor, false);
  }

  lanes(shown, x, width) {
    const lanes = [{ lane: this.chain.lane, points: shown }, ...this.others.map((other) => ({ lane: other.lane, points: other.points.filter((p) => time(p) >= this.window[0] && time(p) <= this.window[1]) }))];
    const height = 24 * lanes.length + 22;
    const parts = lanes.map(({ lane, points }, i) => {
      const y = 14 + 24 * i;
      return [s("line", { x1: LEFT, x2: width - RIGHT, y1: y, y2: y, class: "grid" }),
        s("text", { x: 0, y: y + 4, class: "dim" }, lane.length > 8 ? `${lane.slice(0, 7)}…` : lane, s("title", null, lane)),
        (points.length > MOST_MARKS ? points.filter((p) => p.result !== "promoted" && p.result !== "learnt") : points).map((p) => mark(p.result, x.at(time(p)), y, p.state === "unreadable")),
        points.filter((p) => p.champion).map((p) => s("circle", { cx: x.at(time(p)), cy: y, r: 7, fill: "none", class: "candidate" })),
        points.filter((p) => p.withdrawn).map((p) => s("line", { x1: x.at(time(p)) - 6, x2: x.at(time(p)) + 6, y1: y, y2: y, class: "axis" }))];
    });
    return h("figure", null, h("figcaption", null, h("strong", null, "How each day ended"), "a ring is the champion now; struck through is withdrawn"),
      s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary(shown) }, parts, dates(x, height - 18)));
  }

  panel(panel, shown, x, width) {
    if (panel.stack) return this.stack(panel, shown, x, width);
    const height = 108, bottom = height - 6;
    const values = shown.flatMap((p) => [...(panel.lines ?? panel.bars).map((of) => of(p)), ...(panel.reach ?? []).flatMap((of) => of(p) ?? []).map((v) => clipped(v, shown, panel))]).filter((v) => v !== null && v !== undefined);
    if (!values.length) return null;
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (panel.zero || panel.bars) low = Math.min(low, 0);
    if (panel.ideal !== undefined) { low = Math.min(low, panel.ideal); high = Math.max(high, panel.ideal); }
    const pad = (high - low || Math.abs(high) || 1) * 0.06;
    const y = axis(low === 0 ? 0 : low - pad, high + pad, bottom, GAP);
    const grid = apart(y.ticks(), panel).map((v) => [s("line", { x1: LEFT, x2: width - RIGHT, y1: y.at(v), y2: y.at(v), class: "grid" }), s("text", { x: LEFT - 5, y: y.at(v) + 4, "text-anchor": "end", class: "dim" }, panel.format(v))]);
    const parts = panel.bars ? bars(panel, shown, x, y) : lines(panel, shown, x, y);
    const ideal = panel.ideal === undefined ? null : s("line", { x1: LEFT, x2: width - RIGHT, y1: y.at(panel.ideal), y2: y.at(panel.ideal), class: "ideal" });
    return h("figure", null, h("figcaption", { class: "key" }, h("strong", null, panel.name), panel.note),
      s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": told(panel, shown) }, grid, ideal, parts));
  }

  stack(panel, shown, x, width) {
    const known = shown.filter((p) => this.durations.has(p.span));
    if (!known.length) return null;
    const height = 118, bottom = height - 6;
    const total = (p) => Object.values(this.durations.get(p.span)).reduce((a, b) => a + b, 0);
    const y = axis(0, Math.max(...known.map(total)) * 1.05 || 1, bottom, GAP);
    const half = Math.max(1, Math.min(9, 0.38 * x.unit));
    const parts = known.flatMap((p) => {
      let from = 0;
      return STEPS.map((step, i) => {
        const value = this.durations.get(p.span)[step] ?? 0, top = from + value;
        const bar = value > 0 && s("rect", { x: x.at(time(p)) - half, width: 2 * half, y: y.at(top), height: Math.max(0.5, y.at(from) - y.at(top)), class: `s${i}` });
        from = top;
        return bar;
      });
    });
    const grid = apart(y.ticks(), panel).map((v) => [s("line", { x1: LEFT, x2: width - RIGHT, y1: y.at(v), y2: y.at(v), class: "grid" }), s("text", { x: LEFT - 5, y: y.at(v) + 4, "text-anchor": "end", class: "dim" }, panel.format(v))]);
    const keys = STEPS.map((step, i) => h("span", null, swatch(i), step));
    return h("figure", null, h("figcaption", null, h("strong", null, panel.name), keys), s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${panel.name} of ${known.length} days` }, grid, parts));
  }

  /** Durations of what is in sight, as far as Airflow still has the runs. */
  async measure(shown) {
    const missing = shown.filter((p) => !this.durations.has(p.span) && !p.asked && runOf(p.settled_by)?.dag === "widedeep_retrain").slice(-60);
    if (!missing.length) return;
    for (const point of missing) point.asked = true;
    const runs = new Map(missing.map((p) => [runOf(p.settled_by).run, p.span]));
    const found = await perhaps(send("POST", "dags/~/dagRuns/~/taskInstances/list", { dag_ids: ["widedeep_retrain"], dag_run_ids: [...runs.keys()], page_limit: 100 * Math.ceil(runs.size / 10) }));
    for (const task of found?.task_instances ?? []) {
      const span = runs.get(task.dag_run_id);
      if (span && task.duration) this.durations.set(span, { ...this.durations.get(span), [task.task_id]: task.duration });
    }
    if (found) this.draw();
  }

  listen() {
    const at = (event) => { const box = this.panels.getBoundingClientRect(); return this.window[0] + ((event.clientX - box.left - LEFT) / (this.width - LEFT - RIGHT)) * (this.window[1] - this.window[0]); };
    this.panels.addEventListener("pointermove", (event) => { this.pointer = event; this.point(this.nearest(at(event)), true, event); });
    this.panels.addEventListener("pointerleave", () => { this.tip.hidden = true; this.line?.remove(); });
    this.panels.addEventListener("wheel", (event) => { if (!event.ctrlKey && !event.shiftKey) return; event.preventDefault(); this.zoom(event.deltaY > 0 ? 1.25 : 0.8, at(event)); }, { passive: false });
    this.panels.addEventListener("pointerdown", (event) => { this.from = [event.clientX, at(event)]; });
    this.panels.addEventListener("pointerup", (event) => {
      if (!this.from) return;
      const [px, from] = this.from;
      this.from = null;
      if (Math.abs(event.clientX - px) > 12) { const to = at(event); this.shift(Math.min(from, to), Math.max(5, Math.abs(to - from))); return; }
      this.open(this.nearest(at(event)));
    });
    this.panels.addEventListener("keydown", (event) => {
      const shown = this.visible(), i = shown.indexOf(this.cursor);
      const act = { ArrowRight: () => this.point(shown[Math.min(i + 1, shown.length - 1)]), ArrowLeft: () => this.point(shown[i < 0 ? shown.length - 1 : Math.max(i - 1, 0)]), Enter: () => this.open(this.cursor), "+": () => this.zoom(0.5), "-": () => this.zoom(2), Home: () => this.all(), End: () => this.last(30) }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
  }

  nearest(day) { return this.visible().reduce((best, p) => (!best || Math.abs(time(p) - day) < Math.abs(time(best) - day) ? p : best), null); }
  open(point) { if (point?.release_id) location.hash = `#/release/${point.release_id}`; }

  point(point, tell = true, event = null) {
    this.line?.remove();
    this.cursor = point;
    if (!point || !this.x) { this.tip.hidden = true; return; }
    const x = this.x.at(time(point));
    this.line = s("svg", { class: "overlay", "aria-hidden": "true" });
    for (const svg of this.panels.querySelectorAll("svg[role=img]")) {
      svg.querySelector(".cursor")?.remove();
      svg.append(s("line", { x1: x, x2: x, y1: 0, y2: svg.viewBox.baseVal.height, class: "cursor" }));
    }
    if (!tell) return;
    this.tip.replaceChildren(...readings(point, this.durations.get(point.span)));
    this.tip.hidden = false;
    const box = this.panels.getBoundingClientRect();
    const y = event ? event.clientY - box.top + 14 : 30;
    const right = x + 14, fits = right + this.tip.offsetWidth <= box.width;
    this.tip.style.left = `${Math.max(0, fits ? right : x - 14 - this.tip.offsetWidth)}px`; // never over the day that it tells of
    this.tip.style.top = `${y}px`;
    if (!event) this.told.textContent = [...this.tip.children].map((p) => p.textContent).join("; ");
  }
}

/** One interval may be so wide that nothing else could be read: the middle one of them is drawn whole, and wider ones as far. */
function clipped(value, shown, panel) {
  if (panel.range?.of !== shown) {
    const known = (readers) => shown.flatMap((p) => (readers ?? []).map((of) => of(p))).filter((v) => v !== null && v !== undefined);
    const own = known(panel.lines), reaches = known(panel.reach);
    panel.range = { of: shown, low: Math.min(...own, middle(reaches.map(([low]) => low))), high: Math.max(...own, middle(reaches.map(([, high]) => high))) };
  }
  return Math.min(Math.max(value, panel.range.low), panel.range.high);
}

const middle = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

function lines(panel, shown, x, y) {
  const few = shown.length <= MOST_MARKS / 4;
  return panel.lines.map((of, i) => {
    const known = shown.filter((p) => of(p) !== null && of(p) !== undefined);
    const places = known.map((p) => [x.at(time(p)), y.at(of(p))]);
    const within = panel.reach?.[i] ?? (() => null), aside = i ? 2 : 0; // two intervals of one day stand side by side
    const reach = known.filter(within).map((p) => [x.at(time(p)) + aside, ...within(p).map((v) => y.at(clipped(v, shown, panel)))]);
    return [
      few ? reach.map(([at, a, b]) => s("line", { x1: at, x2: at, y1: a, y2: b, class: i ? "reach champion" : "reach" })) : !i && reach.length > 1 && s("polygon", { points: [...reach.map(([at, a]) => `${at},${a}`), ...reach.toReversed().map(([at, , b]) => `${at},${b}`)].join(" "), class: "band" }),
      s("polyline", { points: places.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join(" "), class: i ? "champion" : "candidate" }),
      few && places.map(([a, b]) => (i ? s("rect", { x: a - 2.5, y: b - 2.5, width: 5, height: 5, class: "sq" }) : s("circle", { cx: a, cy: b, r: 3, class: "dot" })))];
  });
}

/** Ticks whose words repeat say nothing. */
const apart = (ticks, panel) => ticks.filter((v, i) => !i || panel.format(v) !== panel.format(ticks[i - 1]));

function bars(panel, shown, x, y) {
  const half = Math.max(0.5, Math.min(9, 0.38 * x.unit));
  return shown.flatMap((p) => panel.bars.map((of, i) => {
    const value = of(p);
    if (!value) return null;
    const [top, end] = [y.at(Math.max(value, 0)), y.at(Math.min(value, 0))];
    return s("rect", { x: x.at(time(p)) - half, width: 2 * half, y: top, height: Math.max(0.5, end - top), class: i ? "fill2" : "fill" });
  }));
}

const swatch = (i) => s("svg", { viewBox: "0 0 10 10", class: "sw", "aria-hidden": "true" }, s("rect", { width: 10, height: 10, class: `s${i}` }));

function dates(x, y) {
  const span = x.high - x.low;
  const step = [1, 2, 7, 14, 30, 91, 182, 365, 730].find((days) => days * x.unit > 78) ?? 1460;
  const found = [s("line", { x1: x.at(x.low), x2: x.at(x.high), y1: y, y2: y, class: "axis" })];
  for (let day = Math.ceil(x.low / step) * step; day <= x.high; day += step) {
    if (span > 0) found.push(s("text", { x: x.at(day), y: y + 14, "text-anchor": day - x.low < step / 3 ? "start" : "middle", class: "dim" }, new Date(day * DAY).toISOString().slice(step > 300 ? 0 : 2, 10)));
  }
  return found;
}

function summary(points) {
  const counts = {};
  for (const point of points) counts[point.result ?? "can't be read"] = (counts[point.result ?? "can't be read"] ?? 0) + 1;
  const range = points.length ? `, ${points[0].span} to ${points.at(-1).span}` : "";
  return `${points.length} days${range}: ${Object.entries(counts).map(([result, many]) => `${many} ${result}`).join(", ")}`;
}

function told(panel, points) {
  const of = (panel.lines ?? panel.bars)[0];
  const known = points.filter((p) => of(p) !== null && of(p) !== undefined);
  if (!known.length) return panel.name;
  const values = known.map(of);
  return `${panel.name}: ${panel.format(Math.min(...values))} to ${panel.format(Math.max(...values))}, ${panel.format(values.at(-1))} on ${known.at(-1).span}`;
}

function readings(point, durations) {
  const { verdict, learnt } = point;
  const line = (...told) => h("p", null, ...told);
  const quality = (name, q) => q && line(`${name}: AUC ${within(q, "auc")}, NE ${within(q, "ne")}, calibration ${within(q, "calibration", 3)}`);
  return [line(h("strong", null, point.span), " ", tag(point.result), point.champion ? " champion" : "", point.withdrawn ? " withdrawn" : ""),
    point.release_id && line(short(point.release_id), point.state === "pruned" ? ", its files were pruned" : point.state === "unreadable" ? ", damaged" : ""),
    quality("candidate", verdict?.candidate), quality("champion", verdict?.champion),
    verdict?.difference && line(`log loss ${signed(verdict.difference.estimate)} [${signed(verdict.difference.lower)}, ${signed(verdict.difference.upper)}]`),
    learnt && line(`${count(learnt.rows)} rows learnt; +${count(learnt.new_values + learnt.new_crosses)} −${count(learnt.evicted_values + learnt.evicted_crosses)} vocabulary rows; ${percent(learnt.unseen_crosses)} crosses unseen`),
    point.owed && line(`owes ${signed(point.owed.debt.estimate)} [${signed(point.owed.debt.lower)}, ${signed(point.owed.debt.upper)}] to a twin from scratch`),
    durations && line(`${Math.round(Object.values(durations).reduce((a, b) => a + b, 0))} s of work`),
    (verdict?.reasons ?? point.reasons).slice(0, 2).map((reason) => line(reason))].flat().filter(Boolean);
}

function key() {
  const one = (result) => h("span", null, s("svg", { viewBox: "0 0 14 14", class: "sw", "aria-hidden": "true" }, mark(result, 7, 7)), result);
  return h("p", { class: "bar faint" }, ["promoted", "held", "rejected", "quarantined", "no data", "learnt"].map(one), h("span", null, "· drag to zoom, Ctrl and wheel to zoom, click to open"));
}

function rows(points) {
  return table(["Span", "Result", "Release", { n: "AUC" }, { n: "NE" }, { n: "Calibration" }, { n: "Loss difference" }, { n: "Unseen crosses" }, "Settled"],
    points.toReversed().map((p) => h("tr", null, h("th", { scope: "row" }, p.span), h("td", null, tag(p.result)), h("td", null, releaseLink(p.release_id)),
      h("td", { class: "n" }, fixed(p.verdict?.candidate?.auc)), h("td", { class: "n" }, fixed(p.verdict?.candidate?.ne)), h("td", { class: "n" }, fixed(p.verdict?.candidate?.calibration, 3)),
      h("td", { class: "n" }, signed(p.verdict?.difference?.estimate)), h("td", { class: "n" }, percent(p.learnt?.unseen_crosses)), h("td", null, when(p.settled_at)))));
}

/** The newest days as one line of marks, each a link. */
export function strip(chain) {
  const list = chain.points.slice(-30);
  return h("div", { class: "wide", tabindex: "0", role: "group", "aria-label": "The newest days" }, h("table", null,
    h("thead", null, h("tr", null, ["Span", "Result", "Release", "Why"].map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", null, list.toReversed().slice(0, 10).map((p) => h("tr", null, h("th", { scope: "row" }, p.span), h("td", null, tag(p.result)), h("td", null, releaseLink(p.release_id), p.champion ? " ★ champion" : ""),
      h("td", null, (p.verdict?.reasons ?? p.reasons).slice(0, 1).join("")))))));
}
