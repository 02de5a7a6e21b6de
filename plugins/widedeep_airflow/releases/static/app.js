// Which view the address names, and what is shown while it can't be.

import { followTheme, own, Refused } from "./air.js";
import { h, state } from "./draw.js";
import * as actions from "./actions.js";
import * as chain from "./chain.js";
import * as days from "./days.js";
import * as rank from "./rank.js";
import * as release from "./release.js";
import * as today from "./today.js";

const VIEWS = [
  ["today", "Today", today], ["chain", "Chain", chain], ["release", "Release", release],
  ["data", "Data", days], ["try", "Try it", rank], ["actions", "Actions", actions],
];

const main = document.getElementById("main");
let turn = 0;
let rights = null;

/** Who looks, and which DAGs that person may start: asked once. */
export const whoLooks = () => (rights ??= own("rights").catch((error) => { rights = null; throw error; }));

function tabs(current) {
  document.getElementById("tabs").replaceChildren(...VIEWS.map(([name, title]) =>
    h("a", { href: `#/${name}`, "aria-current": name === current ? "page" : null }, title)));
}

function trouble(error) {
  if (!(error instanceof Refused)) {
    console.error(error);
    return state("bad", "This view could not be drawn.", "That is a fault of the page. The same figures: `widedeep releases`, `widedeep spans` in a shell.");
  }
  const title = { 401: "You are not logged in.", 403: "You may not see this.", 404: "Not found.", 503: "The store can't be read now.", 0: "No answer." }[error.status] ?? `The server refuses (${error.status}).`;
  const next = { 401: "Log in to Airflow, then reload this page.", 403: "It takes the right to read runs of widedeep_retrain." }[error.status];
  return state(error.status === 404 ? "unsure" : "bad", title, error.message, ...(next ? [next] : []),
    h("button", { type: "button", onclick: show }, "Look again"));
}

async function show() {
  const mine = ++turn;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const [current, title, view] = VIEWS.find(([each]) => each === name) ?? VIEWS[0];
  tabs(current);
  document.title = `${title} · Releases`;
  main.setAttribute("aria-busy", "true");
  const timer = setTimeout(() => mine === turn && main.replaceChildren(h("p", { class: "faint" }, "Reading the store…")), 250);
  let shown;
  try { shown = await view.show(rest, { whoLooks }); } catch (error) { shown = trouble(error); }
  clearTimeout(timer);
  if (mine !== turn) return;
  main.replaceChildren(shown);
  main.setAttribute("aria-busy", "false");
  performance.mark(`shown-${current}`);
}

followTheme();
addEventListener("hashchange", () => { show(); scrollTo(0, 0); });
show();
