// One user's list by champion and candidate, side by side, with what the wide and the deep part add to each score.

import { own } from "./air.js";
import { fixed, h, releaseLink, short, signed, state, table } from "./draw.js";

export async function show(path) {
  if (path[0] === "top") return moved(path[1], path[2]);
  const [today, chain] = await Promise.all([own("today"), own("chain?limit=60")]);
  if (!today.champion) return state("unsure", "There is no champion yet.", "Its lists appear here once a first release is promoted.");
  const releases = chain.points.filter((p) => p.release_id && p.state === "whole").map((p) => p.release_id);
  const newest = releases.filter((id) => id !== today.champion.release_id).at(-1) ?? today.champion.release_id;
  const out = h("div", { "aria-live": "polite" });
  const user = h("input", { type: "text", id: "user", required: true, maxlength: "200", value: path[0] ?? "", autocomplete: "off" });
  const one = pick("one", releases, newest), other = pick("other", releases, today.champion.release_id);
  const button = h("button", { class: "main", type: "submit" }, "Rank");
  const submit = async (event) => {
    event?.preventDefault();
    button.disabled = true;
    out.replaceChildren(h("p", { class: "faint" }, "Loading the models in a process of their own: the first time takes some ten seconds…"));
    try {
      out.replaceChildren(lists(await own(`rank?user=${encodeURIComponent(user.value.trim())}&one=${one.value}&other=${other.value}`)));
    } catch (error) {
      out.replaceChildren(state("bad", error.status === 429 ? "Somebody else's list is being made." : "No list.", error.message));
    }
    button.disabled = false;
  };
  const body = h("div", null, h("h2", null, "What would this user see?"), h("form", { onsubmit: submit }, h("label", { for: "user" }, "User", h("small", { class: "faint" }, "as in the contract's user column")), user, h("label", { for: "one" }, "Candidate"), one, h("label", { for: "other" }, "Champion"), other, h("div", null, button)), out);
  if (path[0]) setTimeout(submit, 0);
  return body;
}

const pick = (id, releases, chosen) => h("select", { id }, [...new Set([chosen, ...releases.toReversed()])].map((each) => h("option", { value: each, selected: each === chosen }, each)));

function lists(found) {
  return h("div", null, !found.known && state("unsure", "No day that these releases know has this user.", "The lists follow from what the items alone tell."),
    h("div", { class: "two" }, found.lists.map((list, i) => h("section", null, h("h3", null, i ? "Champion " : "Candidate ", releaseLink(list.release_id)),
      table([{ n: "#" }, "Item", { n: "Score" }, { n: "Wide" }, { n: "Deep" }, { n: "Bias" }], list.items.map((item, at) => {
        const there = found.lists[1 - i]?.items.findIndex((each) => each.item === item.item) ?? -1;
        const moved = there < 0 ? "new" : there === at ? "" : there > at ? `▲${there - at}` : `▼${at - there}`;
        return h("tr", null, h("td", { class: "n" }, String(at + 1), moved && h("small", null, ` ${moved}`)), h("th", { scope: "row" }, item.title ?? item.item, item.title && h("small", null, ` ${item.item}`)), h("td", { class: "n" }, fixed(item.score)), [item.wide, item.deep, item.bias].map((v) => h("td", { class: "n" }, signed(v, 3))));
      }), "loose")))),
    h("p", { class: "faint" }, "Score is the probability; wide, deep and bias are log-odds that add up to it. ▲ and ▼: places against the other list; new: not in it."));
}

async function moved(one, other) {
  const found = await own(`rank/moved?one=${one}&other=${other}`);
  return h("div", null, h("h2", null, "What moved in the lists of ", String(found.users), " sample users"), h("p", null, releaseLink(one), " beside ", releaseLink(other)),
    h("p", null, `Of each user's ${found.k} best items ${(found.kept * found.k).toFixed(1)} are in both lists, on average; ${found.unchanged} of ${found.users} lists hold the same items.`),
    table(["Item", { n: `lists of ${short(one)}` }, { n: `lists of ${short(other)}` }], found.items.map((item) => h("tr", null, h("th", { scope: "row" }, item.title ?? item.item), h("td", { class: "n" }, String(item.one)), h("td", { class: "n" }, String(item.other))))));
}
