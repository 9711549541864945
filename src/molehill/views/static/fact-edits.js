// @ts-check
/**
 * A file of edits, what undoing takes off, or how two files differ: a line for each edit, by layer,
 * and all of one of them.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schemas
 * molehill.fact-edits/1, molehill.fact-undo/1 and molehill.edits-difference/1, see
 * docs/rooms/facts.md) into `el` and returns its own cleanup. It asks nothing of the network, and
 * every text from the data becomes a text node.
 */

import { clamp, clipped, download, h, minus, percent, rendering, s, sized, small } from "./kit.js";
import { FactPage } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

const STATES = { here: "", gone: "taken off", stays: "stays", later: "made with it", first: "only in A", second: "only in B", both: "in both" };
const TITLES = { list: "The stack, from the first", undo: "What goes and what stays", diff: "What each has" };
/** What the gate's shares are of. */
const GATES = { "bits per byte": "rise of bits per byte", neighbours: "neighbours unchanged", "earlier edits": "earlier facts still said", size: "largest change of a weight", "new facts": "new facts said" };
const ROW = 30;
const HEAD = 40;

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.files.join(" ");
    const first = data.edits.findIndex((edit) => edit.state === "gone");
    this.state = { ...this.state, edit: Math.max(0, first) + 1 };
    this.notice = this.fromHash();
  }

  build() {
    const { edits } = this.data;
    const stage = edits.length ? [this.stage()] : [];
    this.mount(this.head(), this.leadOf(this.data.summary), this.doing(), ...stage, ...this.said(), this.own(), ...this.weights(), this.foot());
    if (edits.length) {
      this.observer = new ResizeObserver(() => this.resized());
      this.observer.observe(this.box);
    }
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    const { edits } = this.data;
    return edits.length ? { edit: (value) => this.take("edit", value, 1, edits.length) } : {};
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    const any = this.data.edits.length > 0;
    if (any) {
      this.draw();
      this.tell();
    }
    this.syncControls();
    this.writeHash(any ? [`edit=${this.state.edit}`] : []);
    if (any) this.say(() => `Edit ${this.state.edit} of ${this.data.edits.length}: ${this.named(this.edit)}${this.stateOf(this.edit)}`);
  }

  get edit() {
    return this.data.edits[this.state.edit - 1];
  }

  /** @param {any} edit */
  named(edit) {
    const fact = edit.facts[0];
    const more = edit.facts.length > 1 ? ` and ${edit.facts.length - 1} more` : "";
    return fact ? `${fact.subject}: ${fact.object}${more}` : edit.name;
  }

  /** @param {any} edit */
  stateOf(edit) {
    return STATES[edit.state] ? `, ${STATES[edit.state]}` : "";
  }

  head() {
    const { files, kind, edits, gone } = this.data;
    const title = kind === "undo" ? `Without ${gone}` : kind === "diff" ? this.asks ? "Two lists of edits" : "Two files of edits" : files[0] || "A file of edits";
    const sub = kind === "diff" ? `A ${files[0]} · B ${files[1]}` : kind === "undo" ? files.filter(Boolean).join(" → ") : `${edits.length} edit${edits.length === 1 ? "" : "s"} in a row`;
    const keys = [["Tab", "the next control"], ["↑ ↓", "the edit before or after (picture focused)"], ["Home End", "the first, the last"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(title, 60)), h("p", { class: "sub", dir: "auto" }, sub)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- in a live host ---------------------------------------------------------------------------

  /** What can be done with the list as a whole. */
  doing() {
    const { kind, edits, file } = this.data;
    const save = file?.base64 ? this.button("Save as safetensors", () => download(file.name, bytes(file.base64), "application/octet-stream"), { title: `${file.bytes.toLocaleString("en")} bytes; every verb takes it with --edits` }) : "";
    const large = file && !file.base64 ? small(`The file would have ${file.bytes.toLocaleString("en")} bytes, more than an answer carries: the lines of Python below make it.`) : "";
    if (!this.asks) return save ? h("div", { class: "acts" }, save) : large;
    const all = edits.map((edit) => edit.digest);
    const without = (place) => all.filter((_, index) => index !== place);
    if (kind === "undo") {
      const place = edits.findIndex((edit) => edit.state === "gone");
      return h("div", { class: "acts" }, this.button("Take it off", () => {
        this.apply(without(place));
        if (this.opens) this.open("facts.stack", {});
      }, { class: "main" }), this.opens ? this.button("Back to the list", () => this.open("facts.stack", {})) : "");
    }
    if (kind === "diff") return "";
    const undo = edits.length ? [this.button("Undo the last", () => this.apply(all.slice(0, -1))), edits.length > 1 ? this.button("Undo all", () => this.apply([])) : ""] : [];
    const make = this.opens ? [this.button("Rewrite a fact", () => this.open("facts.edit", {})), this.button("Write one by hand", () => this.open("facts.write", {}))] : [];
    return [h("div", { class: "acts" }, undo, save, make), large];
  }

  /** What can be done with the edit that is read. */
  doingOne() {
    if (!this.asks || this.data.kind !== "list") return "";
    const all = this.data.edits.map((edit) => edit.digest);
    const place = this.state.edit - 1;
    return h("div", { class: "acts" },
      this.button("Undo this one", () => this.apply(all.filter((_, index) => index !== place))),
      this.opens ? this.button("What would go with it", () => this.open("facts.undo", { gone: all[place] })) : "");
  }

  /** What the edits teach, asked of both models. */
  said() {
    const { said = [], kind } = this.data;
    if (!said.length) return [];
    const names = kind === "undo" ? ["with all", "without it"] : ["as it came", "with the list"];
    const cell = (text, attributes = {}) => h("td", { dir: "auto", ...attributes }, text);
    const rows = said.map((row) => h("tr", {}, h("th", { scope: "row", dir: "auto" }, clipped(row.prompt.trim(), 60)), cell(row.wanted),
      cell(percent(row.wanted_before), { class: "figure" }), cell(percent(row.wanted_after), { class: "figure" }), cell(clipped(row.first_before, 20)), cell(clipped(row.first_after, 20), { class: row.said ? null : "bad" })));
    const heads = ["prompt", "taught", names[0], names[1], `likeliest ${names[0]}`, names[1]];
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index === 2 || index === 3 ? "figure" : null }, name)));
    return [h("section", { class: "why said" }, h("h2", {}, kind === "undo" ? "What taking it off changes" : "What the model says with them"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What is said" }, h("table", {}, h("thead", {}, head), h("tbody", {}, rows))),
      small("Probabilities of the whole object that was taught last for each prompt; then the likeliest next token."))];
  }

  /** A prompt of one's own. */
  own() {
    const { kind, edits } = this.data;
    if (kind === "diff" || !edits.length) return "";
    const stays = edits.filter((edit) => edit.state !== "gone").map((edit) => edit.digest);
    return this.trying(edits[0].facts[0]?.prompt ?? "", () => stays, kind === "undo" ? "without it" : "with the list");
  }

  // --- all edits --------------------------------------------------------------------------------

  stage() {
    this.chart = s("svg", { class: "chart", role: "img", tabindex: 0, "aria-keyshortcuts": "ArrowUp ArrowDown Home End" });
    this.box = h("div", { class: "frame tall around" }, this.chart);
    this.side = h("section", { class: "side", "aria-label": "The edit that is read" });
    this.on(this.chart, "keydown", (event) => this.key(event));
    this.on(this.chart, "click", (event) => {
      const number = event.target.closest?.("[data-edit]")?.dataset.edit;
      if (number) this.change({ edit: Number(number) });
    });
    const undone = this.data.kind === "undo" ? " Hollow: taken off. “Made with it”: stays, but was made for a model that had what is taken off." : "";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, TITLES[this.data.kind]), this.exports("edits", () => this.chart, () => this.cells())),
        this.box,
        h("p", { class: "caption" }, `Down: edits, in the order in which they are applied. Across: layers, up to the last that is changed. The larger the area of a dot, the larger the norm of the change; a diamond is new neurons.${undone}`),
        this.details("As a table", () => this.cells())),
      this.side);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.data.edits.length;
    const to = { ArrowDown: this.state.edit + 1, ArrowRight: this.state.edit + 1, ArrowUp: this.state.edit - 1, ArrowLeft: this.state.edit - 1, Home: 1, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ edit: clamp(to, 1, last) });
    const y = HEAD + (this.state.edit - 1) * ROW;
    this.box.scrollTop = clamp(this.box.scrollTop, y + ROW - this.box.clientHeight, y - HEAD);
  }

  cells() {
    const rows = this.data.edits.flatMap((edit, index) => edit.changes.map((change) => [
      index + 1, edit.name, STATES[edit.state], edit.method, edit.facts.map((fact) => `${fact.prompt} → ${fact.object}`).join("; "),
      change.layer, change.parameter ?? `${change.count} new neurons`, change.rank, change.norm, change.relative, edit.metrics.health, edit.model, edit.after.join(" ")]));
    return [["number", "edit", "state", "method", "facts", "layer", "changes", "rank", "norm", "share of its size", "health", "model", "after"], ...rows];
  }

  draw() {
    const { edits } = this.data;
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    const layers = 1 + Math.max(0, ...edits.flatMap((edit) => edit.changes.map((change) => change.layer ?? 0)));
    const told = edits.some((edit) => STATES[edit.state]) ? 84 : 0;
    const names = clamp(Math.round(width * 0.42), 96, 300);
    const wide = clamp((width - names - told - 8) / layers, 2, 60);
    const x = (layer) => names + (layer + 0.5) * wide;
    const largest = Math.max(1e-12, ...edits.flatMap((edit) => edit.changes.map((change) => change.norm ?? 0)));
    const most = clamp(wide * 0.46, 3, 11);
    const every = [1, 2, 5, 10, 20, 50].find((step) => step * wide >= 24) ?? 100;
    const height = HEAD + edits.length * ROW + 6;
    const axis = Array.from({ length: layers }, (_, layer) => s("g", {},
      s("line", { class: "rule", x1: x(layer), x2: x(layer), y1: HEAD - 6, y2: height - 6 }),
      layer % every === 0 ? s("text", { class: "axis", x: x(layer), y: HEAD - 12, "text-anchor": "middle" }, String(layer)) : ""));
    const rows = edits.map((edit, index) => {
      const y = HEAD + index * ROW + ROW / 2;
      const chosen = index + 1 === this.state.edit;
      const ground = s("rect", { class: chosen ? "ground chosen" : "ground", x: 0, y: y - ROW / 2 + 1, width, height: ROW - 2, rx: 4 });
      const dots = edit.changes.map((change) => this.dot(change, x(change.layer ?? 0), y, most * Math.sqrt(Math.max(0.04, (change.norm ?? 0) / largest))));
      return s("g", { class: `edit ${edit.state}`, "data-edit": index + 1 }, ground,
        s("title", {}, `${edit.name} ${edit.method}: ${this.named(edit)}${this.stateOf(edit)}`),
        s("text", { class: "axis", x: 22, y, dy: "0.35em", "text-anchor": "end" }, String(index + 1)),
        s("text", { class: "name", x: 30, y, dy: "0.35em" }, clipped(this.named(edit), Math.floor((names - 40) / 6.7))),
        dots, told ? s("text", { class: "axis", x: width - 4, y, dy: "0.35em", "text-anchor": "end" }, STATES[edit.state]) : "");
    });
    sized(this.chart, width, height);
    this.chart.setAttribute("aria-label", `${edits.length} edits by layer; chosen: ${this.state.edit}, ${this.named(this.edit)}${this.stateOf(this.edit)}`);
    this.chart.replaceChildren(s("title", {}, "Edits by layer"), ...rows.map((row) => row.firstChild ?? ""), s("text", { class: "axis", x: names, y: 14 }, "layer"), ...axis, ...rows);
    // Grounds first, then the axis, then what stands on both; a click on a ground chooses its edit.
    for (const [index, ground] of [...this.chart.querySelectorAll(":scope > .ground")].entries()) ground.setAttribute("data-edit", String(index + 1));
  }

  /** @param {any} change @param {number} x @param {number} y @param {number} r */
  dot(change, x, y, r) {
    const title = s("title", {}, `${where(change)}: ${size(change)}`);
    if (change.kind !== "neurons") return s("circle", { class: "dot", cx: x, cy: y, r }, title);
    const far = Math.max(5, r) * 1.25;
    return s("path", { class: "dot", d: `M${x},${y - far}L${x + far},${y}L${x},${y + far}L${x - far},${y}Z` }, title);
  }

  // --- one of them ------------------------------------------------------------------------------

  tell() {
    const { edit } = this;
    const health = edit.metrics.health;
    const skipped = ["measures", "health", "held_out", "sizes", "certificates"];
    const entries = (given) => Object.entries(given).filter(([name]) => !skipped.includes(name));
    const list = (pairs) => h("dl", { class: "made" }, pairs.map(([name, value]) => [h("dt", {}, String(name).replaceAll("_", " ")), h("dd", { dir: "auto" }, told(value))]));
    this.side.replaceChildren(
      h("h2", {}, `Edit ${edit.name}`, STATES[edit.state] ? h("span", { class: "state" }, ` ${STATES[edit.state]}`) : ""),
      this.doingOne(),
      h("ul", { class: "taught" }, edit.facts.slice(0, 12).map((fact) => h("li", { dir: "auto" }, `${fact.prompt.trim()} `, h("strong", {}, fact.object)))),
      edit.facts.length > 12 ? small(`and ${edit.facts.length - 12} more, in the JSON.`) : "",
      list([["method", edit.method], ...edit.changes.map((change) => ["changes", `${where(change)}, ${size(change)}`]),
        ...(health ? [["health gate", health]] : []), ["made for", `${edit.model} (${edit.fingerprint.slice(0, 12)})`],
        ["made after", edit.after.length ? edit.after.join(", ") : "no other edit"], ["Molehill", edit.molehill]]),
      ...(edit.metrics.measures ? [h("h3", {}, "Measured by the health gate"), list(Object.entries(edit.metrics.measures).map(([name, value]) => [GATES[name] ?? name, typeof value === "number" ? percent(value) : value]))] : []),
      ...(entries(edit.metrics).length ? [h("h3", {}, "Measured when it was made"), list(entries(edit.metrics))] : []),
      h("details", {}, h("summary", {}, "How it was made"), list([["digest", edit.digest], ...Object.entries(edit.settings)])));
  }

  // --- the weights ------------------------------------------------------------------------------

  weights() {
    const { weights, kind, neurons = [] } = this.data;
    if (!weights.length && !neurons.length) return [];
    const two = kind !== "list";
    const sides = kind === "undo" ? ["before", "after"] : ["what A changes", "what B changes"];
    const heads = ["weight", two ? "norm of the difference" : "norm of the sum", ...(two ? sides : [])];
    const rows = [...weights.map((one) => [one.weight, one.norm, ...(two ? [one.first, one.second] : [])]),
      ...neurons.map((one) => [`new neurons of layer ${one.layer}`, one.first - one.second, one.first, one.second])];
    const body = rows.map(([name, ...values]) => h("tr", {}, h("th", { scope: "row" }, name), values.map((value) => h("td", { class: "figure" }, brief(value)))));
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)));
    const title = two ? "How far the weights are apart" : "What all of them add up to";
    return [h("section", { class: "why" }, h("h2", {}, title),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, h("table", {}, h("thead", {}, head), h("tbody", {}, body))),
      small("Frobenius norms, in the weight's own units."))];
  }

  source() {
    return `Molehill ${this.data.version}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "edits");
  }

  /** @param {number} most */
  signature(most) {
    return [{ text: clipped(this.data.summary[0], most) }, { text: clipped(`${this.data.files.join(" · ")} · Molehill ${this.data.version}`, most) }];
  }
}

/** A text of base64 as bytes. @param {string} text */
function bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** @param {any} change */
function where(change) {
  return change.kind === "neurons" ? `${change.count} new neuron${change.count === 1 ? "" : "s"} in layer ${change.layer}` : `${change.parameter}, rank ${change.rank}`;
}

/** @param {any} change */
function size(change) {
  const norm = `norm ${brief(change.norm)}`;
  return change.relative === null || change.relative === undefined ? norm : `${norm}, ${percent(change.relative)} of its size`;
}

/** @param {number | null} value */
function brief(value) {
  if (value === null || value === undefined) return "not finite";
  return minus(Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4))));
}

/** A setting or a measure in words. @param {any} value @returns {string} */
function told(value) {
  if (Array.isArray(value)) return value.map(told).join(", ") || "none";
  if (typeof value === "object" && value !== null) return Object.entries(value).map(([name, one]) => `${name.replaceAll("_", " ")} ${told(one)}`).join(", ");
  return typeof value === "number" ? brief(value) : String(value);
}
