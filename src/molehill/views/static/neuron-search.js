// @ts-check
/**
 * A search for neurons by a word: where in the model they are, how far beyond chance, and what each
 * asks and adds.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.neuron-search/1, see docs/rooms/facts.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import {
  Page, clamp, clipped, csv, download, h, number, quoted, rendering, s, shown, signed, sized, small,
  ticks,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

/** Heights of the picture's two parts. */
const SCORES = 250;
const COUNTS = 54;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `neurons ${data.kind} ${shown(data.piece)}`;
    this.state = { ...this.state, neuron: nameOf(data.hits[0]) };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.list(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return { neuron: (value) => this.data.hits.some((hit) => nameOf(hit) === value) && this.set("neuron", value) };
  }

  resized() {
    const room = Math.floor(this.box.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.draw();
    this.stick(this.table, undefined);
    this.tell();
    this.mark();
    this.syncControls();
    this.writeHash([`neuron=${this.state.neuron}`]);
    this.say(() => `Neuron ${this.state.neuron}, ${this.place + 1} of ${this.data.hits.length}: ${signed(this.hit.z)}`);
  }

  get place() {
    return this.data.hits.findIndex((hit) => nameOf(hit) === this.state.neuron);
  }

  get hit() {
    return this.data.hits[this.place];
  }

  /** What of a neuron is asked for, in words. */
  get does() {
    return this.data.kind === "writes" ? "write" : "ask for";
  }

  head() {
    const { piece, provenance: made, row } = this.data;
    const keys = [["Tab", "the next control"], ["← →", "the neuron ranked before or after (picture focused)"], ["Home End", "the first, the last listed"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, quoted(piece)),
        h("p", { class: "sub" }, `neurons that ${this.does} it${row ? `, by their ${row} row` : ""} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  // --- where they are ---------------------------------------------------------------------------

  stage() {
    this.chart = s("svg", { class: "chart", role: "img", tabindex: 0, "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.chart);
    this.side = h("section", { class: "side", "aria-label": "The neuron that is read" });
    this.on(this.chart, "keydown", (event) => this.key(event));
    this.on(this.chart, "click", (event) => {
      const name = event.target.closest?.("[data-neuron]")?.dataset.neuron;
      if (name) this.change({ neuron: name });
    });
    const { both_signs: signs, beyond, neurons } = this.data;
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Where they are"), this.exports("layers", () => this.chart, () => this.layerCells())),
        this.box,
        h("p", { class: "caption" }, `Across: layers. Above: the ${this.data.hits.length} neurons that are listed, by their score in standard deviations over the vocabulary; a dash is the best neuron of each layer, listed or not. The band is what the best of ${neurons.toLocaleString("en")} random neurons would reach${signs ? ", on either side" : ""}: ${number(this.data.chance)}. Below: how many neurons of each layer lie beyond it, ${beyond.toLocaleString("en")} in all.`),
        this.details("By layer, as a table", () => this.layerCells())),
      this.side);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.data.hits.length - 1;
    const to = { ArrowRight: this.place + 1, ArrowDown: this.place + 1, ArrowLeft: this.place - 1, ArrowUp: this.place - 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ neuron: nameOf(this.data.hits[clamp(to, 0, last)]) });
  }

  layerCells() {
    return [["layer", "beyond chance", "best z"], ...this.data.layers.map((one) => [one.layer, one.beyond, one.best])];
  }

  draw() {
    const { layers, hits, chance } = this.data;
    const width = Math.max(220, Math.floor(this.box.clientWidth));
    const pad = { left: 34, right: 6, top: 14 };
    const wide = (width - pad.left - pad.right) / layers.length;
    const scores = [...hits.map((hit) => hit.z ?? 0), ...layers.map((one) => one.best ?? 0)];
    const high = Math.max(chance * 1.15, ...scores);
    const low = Math.min(0, ...(this.data.both_signs ? [-chance * 1.15, ...scores] : [0]));
    const y = (value) => pad.top + ((high - clamp(value, low, high)) / (high - low)) * SCORES;
    const x = (layer) => pad.left + (layer + 0.5) * wide;
    const floor = pad.top + SCORES;
    const ground = floor + 30 + COUNTS;
    const steps = ticks(Math.max(high, -low), 4).flatMap((value) => [value, ...(value > 0 ? [-value] : [])]).filter((value) => value >= low && value <= high);
    const parts = [
      s("rect", { class: "band", x: pad.left, y: y(chance), width: width - pad.left - pad.right, height: y(this.data.both_signs ? -chance : 0) - y(chance) }),
      ...steps.map((value) => s("g", {}, s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
        s("text", { class: "axis", x: pad.left - 6, y: y(value), dy: "0.35em", "text-anchor": "end" }, number(value).replace(/\.0+$/, "")))),
      ...layers.map((one) => this.layer(one, x(one.layer), wide, y, floor, ground)),
      ...this.dots(x, wide, y),
      s("text", { class: "axis", x: pad.left, y: floor + 26 }, "beyond chance"),
    ];
    sized(this.chart, width, ground + 20);
    this.chart.setAttribute("aria-label", `${hits.length} neurons by layer and score; chosen: neuron ${this.state.neuron}, ${signed(this.hit.z)}`);
    this.chart.replaceChildren(s("title", {}, "Neurons by layer and score"), ...parts);
  }

  /** One layer: its best neuron, its count, its number. @param {any} one @param {number} x @param {number} wide @param {(value: number) => number} y @param {number} floor @param {number} ground */
  layer(one, x, wide, y, floor, ground) {
    const most = Math.max(1, ...this.data.layers.map((layer) => layer.beyond));
    const tall = (one.beyond / most) * (COUNTS - 16);
    const half = clamp(wide * 0.32, 2, 14);
    const every = [1, 2, 5, 10, 20, 50].find((step) => step * wide >= 24) ?? 100;
    const told = one.layer % every === 0;
    return s("g", {},
      s("title", {}, `layer ${one.layer}: ${one.beyond} beyond chance, the best at ${signed(one.best)}`),
      one.best === null ? "" : s("line", { class: "best", x1: x - half, x2: x + half, y1: y(one.best), y2: y(one.best) }),
      one.beyond ? s("rect", { class: "count", x: x - half, y: ground - tall, width: 2 * half, height: Math.max(1, tall), rx: 1 }) : "",
      one.beyond && wide >= 20 ? s("text", { class: "axis", x, y: ground - tall - 4, "text-anchor": "middle" }, String(one.beyond)) : "",
      s("line", { class: "rule", x1: x - wide / 2, x2: x + wide / 2, y1: ground, y2: ground }),
      told ? s("text", { class: "axis", x, y: ground + 15, "text-anchor": "middle" }, String(one.layer)) : "");
  }

  /** The neurons that are listed; those of one layer beside one another. @param {(layer: number) => number} x @param {number} wide @param {(value: number) => number} y */
  dots(x, wide, y) {
    const seen = new Map();
    const dots = this.data.hits.map((hit) => {
      const before = seen.get(hit.layer) ?? 0;
      seen.set(hit.layer, before + 1);
      const steps = [0, 0.5, -0.5, 0.25, -0.25, 0.75, -0.75];
      const name = nameOf(hit);
      const beyond = Math.abs(hit.z ?? 0) > this.data.chance;
      const chosen = name === this.state.neuron;
      const dot = s("circle", { class: `dot${beyond ? "" : " weak"}${chosen ? " chosen" : ""}`, "data-neuron": name, cx: x(hit.layer) + steps[before % steps.length] * Math.min(wide * 0.42, 16), cy: y(hit.z ?? 0), r: chosen ? 6 : 4 }, s("title", {}, `neuron ${name}: ${signed(hit.z)}`));
      return { dot, chosen };
    });
    return [...dots.filter((one) => !one.chosen), ...dots.filter((one) => one.chosen)].map((one) => one.dot);
  }

  // --- one of them ------------------------------------------------------------------------------

  tell() {
    const { hit, place } = this;
    const words = (list) => h("ul", { class: "words", dir: "auto" }, list.map((one) => h("li", {}, shown(one.piece), h("i", {}, signed(one.z)))));
    const row = this.data.row ? `${this.data.row} row` : "row";
    const inside = Math.abs(hit.z ?? 0) <= this.data.chance ? ", within what chance reaches" : "";
    this.side.replaceChildren(
      h("h2", {}, `Neuron ${nameOf(hit)}`),
      small(`Number ${place + 1} of ${this.data.hits.length} listed; score ${signed(hit.z)}${inside}.`),
      h("h3", {}, `Its ${row} asks for`), words(hit.matched),
      h("h3", {}, "and is against"), words(hit.opposed),
      h("h3", {}, "Its column promotes"), words(hit.promoted),
      h("h3", {}, "and demotes"), words(hit.demoted),
      h("h3", {}, "All of it"),
      h("p", {}, h("code", {}, `molehill facts read ${nameOf(hit)}`)), small("of the same model, with the same edits."));
  }

  // --- all of them ------------------------------------------------------------------------------

  list() {
    const { hits } = this.data;
    const row = this.data.row ? `${this.data.row} row` : "row";
    const heads = ["neuron", "score", `${row} asks for`, `${row} is against`, "column promotes", "column demotes"];
    const few = (words) => words.slice(0, 4).map((one) => shown(one.piece)).join(", ");
    this.rows = hits.map((hit) => {
      const choose = this.button(nameOf(hit), () => this.change({ neuron: nameOf(hit) }), { class: "quiet", title: `Read neuron ${nameOf(hit)}` });
      return h("tr", { class: Math.abs(hit.z ?? 0) > this.data.chance ? null : "weak" }, h("th", { scope: "row" }, choose), h("td", { class: "figure" }, signed(hit.z)),
        [hit.matched, hit.opposed, hit.promoted, hit.demoted].map((words) => h("td", { dir: "auto" }, few(words))));
    });
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index === 1 ? "figure" : null }, name)));
    const cells = () => [["layer", "neuron", "z", "score", ...heads.slice(2)],
      ...hits.map((hit) => [hit.layer, hit.index, hit.z, hit.score, ...[hit.matched, hit.opposed, hit.promoted, hit.demoted].map(few)])];
    const save = this.button("CSV", () => download(`${this.fileName("neurons")}.csv`, csv(cells()), "text/csv"), { class: "quiet", title: "Save the neurons as CSV" });
    this.table = h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Neurons" }, h("table", { class: "hits" }, h("thead", {}, head), h("tbody", {}, this.rows)));
    this.on(this.table, "scroll", () => this.stick(this.table, undefined));
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, `The ${hits.length} that are listed`), save),
      this.table,
      small("Faint: within what chance reaches."));
  }

  mark() {
    this.rows.forEach((row, index) => {
      if (index === this.place) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    });
  }

  foot() {
    return this.footOf(this.data.notes, "search");
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(`Neurons of ${this.data.provenance.model} that ${this.does} ${quoted(this.data.piece)}`, room) }, ...super.signature(room)];
  }
}

/** @param {any} hit */
function nameOf(hit) {
  return `${hit.layer}.${hit.index}`;
}
