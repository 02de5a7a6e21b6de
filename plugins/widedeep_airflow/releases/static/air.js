// What the page asks of its own server, which only reads, and of Airflow's API, as the person who looks.

/** An answer that is no success: its status, and what the server says of it. */
export class Refused extends Error {
  constructor(status, told) { super(told); this.status = status; }
}

async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", headers: { Accept: "application/json", ...options.headers }, ...options });
  } catch {
    throw new Refused(0, "Airflow's server does not answer.");
  }
  const text = await answer.text();
  let body = null;
  try { body = text ? JSON.parse(text) : null; } catch { /* an error page of a proxy */ }
  if (answer.ok) return body;
  const detail = body?.detail;
  const told = typeof detail === "string" ? detail : Array.isArray(detail) ? detail.map((each) => each.msg).join("; ") : detail?.reason ?? answer.statusText;
  throw new Refused(answer.status, told || `Status ${answer.status}`);
}

export const own = (path) => ask(`api/${path}`);
export const airflow = (path) => ask(`../api/v2/${path}`);
/** Airflow's session cookie is SameSite=Lax and its API takes JSON only: no other site can send this. */
export const send = (method, path, body) =>
  ask(`../api/v2/${path}`, { method, body: JSON.stringify(body), headers: { Accept: "application/json", "Content-Type": "application/json" } });

/** What Airflow says, or null where it does not: the page shows the store's side all the same. */
export const perhaps = (promise) => promise.catch(() => null);

const framed = () => { try { return window.parent !== window && window.parent.document ? window.parent : null; } catch { return null; } };

/** Opens a page of Airflow where the person is: this page stands in a frame that may not navigate by itself. */
export function follow(event) {
  const parent = framed();
  if (!parent || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const link = parent.document.createElement("a");
  link.href = event.currentTarget.href;
  if (event.currentTarget.dataset.new) { link.target = "_blank"; link.rel = "noopener"; }
  parent.document.body.append(link);
  link.click();
  link.remove();
}

/** DAG and run that a store's evidence names: `airflow:DAG/RUN, approved by …`. */
export function runOf(by) {
  const found = /^airflow:([\w.-]+)\/([^,]+)/.exec(by ?? "");
  return found ? { dag: found[1], run: found[2] } : null;
}

export const runAddress = (dag, run, task = "") => new URL(`../dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(run)}${task ? `/tasks/${task}` : ""}`, location.href).href;
export const reportAddress = (key) => new URL(key, location.href).href;

/** Light or dark as Airflow is: of the page around it, else as Airflow keeps it, else as the system is. */
export function followTheme() {
  const parent = framed();
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const around = parent?.document.documentElement;
    let dark = around?.classList.contains("dark") ? true : around?.classList.contains("light") ? false : null;
    if (dark === null) {
      let kept = null;
      try { kept = localStorage.getItem("theme"); } catch { /* no storage */ }
      dark = kept === "dark" || (kept !== "light" && system.matches);
    }
    document.documentElement.classList.toggle("dark", dark);
  };
  if (parent) new MutationObserver(apply).observe(parent.document.documentElement, { attributes: true, attributeFilter: ["class"] });
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  apply();
}
