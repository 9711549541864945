// @ts-check
/**
 * Prompts gone on with by a model as it came and by the edited one, beside one another.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.fact-say/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { clipped, download, csv, h, rendering, small } from "./kit.js";
import { FactPage, bothSay } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = "without and with edits";
    this.notice = this.fromHash();
  }

  build() {
    const { edits, rows } = this.data;
    const digests = edits.map((edit) => edit.digest);
    this.mount(this.head(), this.leadOf(this.data.summary),
      h("section", { "aria-label": "Continuations" },
        h("div", { class: "controls" }, h("h2", {}, "Going on freely"), this.button("CSV", () => download(`${this.fileName("prompts")}.csv`, csv(this.cells()), "text/csv"), { class: "quiet", title: "Save as CSV" })),
        rows.map((row) => bothSay(row))),
      this.trying("", () => digests, edits.length ? "with the edits" : "as it came"),
      this.list(), this.footOf(this.data.notes, "prompts"));
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.all();
  }

  all() {
    this.syncControls();
    this.writeHash([]);
  }

  head() {
    const { edits, provenance: made } = this.data;
    const keys = [["Tab", "the next control"], ["Enter", "go on from the prompt (field focused)"], ["?", "this list"], ["Esc", "close it"]];
    const count = edits.length === 1 ? "1 edit" : `${edits.length || "no"} edits`;
    return h("header", {},
      h("div", {}, h("h1", {}, "What it says now"), h("p", { class: "sub" }, `without and with ${count} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds the theme.")));
  }

  list() {
    const { edits } = this.data;
    const go = this.opens ? h("div", { class: "acts" },
      this.button("Rewrite a fact", () => this.open("facts.edit", {})), this.button("Write one by hand", () => this.open("facts.write", {})),
      edits.length ? this.button("The list of edits", () => this.open("facts.stack", {})) : "") : "";
    if (!edits.length && !go) return "";
    return h("section", { class: "why" }, h("h2", {}, edits.length ? "The edits, in their order" : "No edit yet"),
      edits.length ? h("ol", {}, edits.map((edit) => h("li", { dir: "auto" }, `${edit.facts.map((fact) => clipped(fact, 80)).join("; ")} `, h("small", {}, `${edit.method}, ${edit.name}`)))) : small("A fact can be rewritten in the weights there are, or written by hand as one new neuron."),
      go);
  }

  cells() {
    const next = (one) => one?.next.map((each) => `${each.piece} ${each.probability}`).join(" | ");
    return [["prompt", "as it came", "next", "with the edits", "next", "nats apart"], ...this.data.rows.map((row) => [row.prompt, row.before.text, next(row.before), row.after?.text, next(row.after), row.nats])];
  }
}
