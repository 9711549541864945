// @ts-check
/**
 * Where a model's parameters are: the whole as one bar of its groups, part by part, layer by layer.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.account/1, see docs/howto/ledger.md) into `el` and returns its own cleanup. It asks
 * nothing of the network, and every text from the data becomes a text node.
 */

import { Page, clamp, h, percent, rendering, s, sentenceCase, sized } from "./kit.js";

const render = rendering(() => View);
export default { render };

/** The MLPs stand first, so that their end and the mark of two thirds are on one scale. */
const GROUPS = { mlp: ["MLPs", "c5"], attention: ["attention", "c1"], norm: ["norms", "c8"], embedding: ["embeddings", "c3"], head: ["unembedding", "c4"] };
const SCOPES = { rest: "without embeddings", all: "all of it" };
const TABLES = ["embedding", "head"];
const TALL = 26;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `${data.model} parameters`;
    const mlp = data.parts.findIndex((part) => part.group === "mlp");
    this.state = { ...this.state, scope: "rest", part: Math.max(0, mlp) };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.byLayer(), this.footOf(this.data.notes, "account"));
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
    return {
      scope: (value) => Object.hasOwn(SCOPES, value) && this.set("scope", value),
      part: (value) => this.take("part", value, 0, this.data.parts.length - 1),
    };
  }

  resized() {
    const room = Math.max(220, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.drawLayers();
    this.all();
  }

  all() {
    this.drawWhole();
    this.drawParts();
    this.tell();
    this.syncControls();
    this.writeHash([`scope=${this.state.scope}`, `part=${this.state.part}`]);
    this.say(() => `${sentenceCase(this.part.part)}: ${this.part.total.toLocaleString("en")}, ${this.shareOf(this.part)}`);
  }

  get part() {
    return this.data.parts[this.state.part];
  }

  /** The parts that are looked at: all, or without what grows with the vocabulary. */
  within(part) {
    return this.state.scope === "all" || !TABLES.includes(part.group);
  }

  get whole() {
    return this.state.scope === "all" ? this.data.total : this.data.non_embedding;
  }

  /** @param {any} part */
  shareOf(part) {
    const [share, of] = this.state.scope === "all" ? [part.share, "of all"] : [part.share_non_embedding, "of what is no embedding"];
    return share === null ? `${percent(part.share)} of all` : `${percent(share)} ${of}`;
  }

  head() {
    const made = this.data.provenance;
    const keys = [["↑ ↓", "the part before or after (bars focused)"], ["Home End", "the first, the last part"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", {}, this.data.total.toLocaleString("en")), h("p", { class: "sub" }, `parameters of ${made.model}, and where they are`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  stage() {
    this.bar = s("svg", { class: "whole-model", role: "img" });
    this.figure = s("svg", { class: "parts", role: "img", tabindex: 0, "aria-keyshortcuts": "ArrowUp ArrowDown Home End" });
    this.box = h("div", { class: "frame" }, this.bar, this.figure);
    this.told = h("section", { class: "side told", "aria-label": "The chosen part" });
    const choose = (event) => {
      const part = event.target.closest?.("[data-part]")?.dataset.part;
      if (part) this.change({ part: Number(part) });
    };
    this.on(this.figure, "click", choose);
    this.on(this.bar, "click", choose);
    this.on(this.figure, "keydown", (event) => this.key(event));
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Part by part"), this.exports("parts", () => this.figure, () => this.rows())),
        h("div", { class: "picks" }, this.segments("scope", "What is counted", SCOPES)),
        this.box,
        h("p", { class: "caption" }, "Above: the whole, as one bar of its groups; the dashed line stands at two thirds. Below: every part, in the order of the forward pass."),
        this.details("The parts as a table", () => this.rows())),
      this.told);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const last = this.data.parts.length - 1;
    const to = { ArrowDown: this.state.part + 1, ArrowUp: this.state.part - 1, Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ part: clamp(to, 0, last) });
  }

  rows() {
    return [["part", "group", "layers", "weights", "biases", "all", "share", "share without embeddings"],
      ...this.data.parts.map((part) => [part.part, GROUPS[part.group][0], part.layers || "", part.weights, part.biases, part.total, part.share, part.share_non_embedding ?? ""])];
  }

  drawWhole() {
    const [width, top, tall] = [this.room, 20, 34];
    let x = 0;
    const marks = [];
    const parts = Object.entries(GROUPS).map(([group, [name, colour]]) => {
      const own = this.data.parts.filter((part) => part.group === group && this.within(part));
      const count = own.reduce((sum, part) => sum + part.total, 0);
      if (!count) return null;
      const [from, wide] = [x, (width * count) / this.whole];
      x += wide;
      if (wide > 70) marks.push(s("text", { class: "axis", x: from + 2, y: top + tall + 15 }, `${name} ${percent(count / this.whole)}`));
      return s("rect", { class: `part ${colour}`, "data-part": this.data.parts.indexOf(own[0]), x: from, y: top, width: Math.max(1, wide - 1), height: tall }, s("title", {}, `${name}: ${count.toLocaleString("en")}, ${percent(count / this.whole)}`));
    });
    const third = (2 * width) / 3;
    sized(this.bar, width, top + tall + 26);
    this.bar.setAttribute("aria-label", `The whole by groups: ${Object.entries(GROUPS).map(([group, [name]]) => `${name} ${(this.data.groups[group] ?? 0).toLocaleString("en")}`).join(", ")}`);
    this.bar.replaceChildren(...parts.filter(Boolean), s("line", { class: "halo", x1: third, x2: third, y1: top - 6, y2: top + tall + 3 }), s("line", { class: "third", x1: third, x2: third, y1: top - 6, y2: top + tall + 3 }),
      s("text", { class: "axis", x: third, y: 10, "text-anchor": "middle" }, "two thirds"), ...marks);
  }

  drawParts() {
    const { parts } = this.data;
    const width = this.room;
    const [names, values] = [Math.min(160, Math.round(width * 0.4)), 130];
    const largest = Math.max(...parts.filter((part) => this.within(part)).map((part) => part.total));
    const rows = parts.map((part, index) => {
      const y = index * TALL + 2;
      const there = this.within(part);
      const wide = Math.min(1, part.total / largest) * (width - names - values);
      return s("g", { class: index === this.state.part ? "row chosen" : "row", "data-part": index },
        s("title", {}, part.does),
        s("rect", { class: "touch", x: 1, y, width: width - 2, height: TALL - 2, rx: 3 }),
        s("text", { class: "name", x: names - 10, y: y + TALL / 2, dy: "0.3em", "text-anchor": "end" }, part.part),
        there ? s("rect", { class: `size ${GROUPS[part.group][1]}`, x: names, y: y + 5, width: Math.max(1, wide), height: TALL - 12, rx: 2 }) : s("text", { class: "axis", x: names, y: y + TALL / 2, dy: "0.3em" }, "not counted"),
        s("text", { x: width - 6, y: y + TALL / 2, dy: "0.3em", "text-anchor": "end" }, part.total.toLocaleString("en"), s("tspan", { class: "axis" }, there ? ` ${percent(this.state.scope === "all" ? part.share : part.share_non_embedding)}` : "")));
    });
    sized(this.figure, width, parts.length * TALL + 4);
    this.figure.setAttribute("aria-label", `${parts.length} parts; chosen: ${this.part.part}, ${this.part.total.toLocaleString("en")}`);
    this.figure.replaceChildren(s("title", {}, "Parameters by part"), ...rows);
  }

  /** What the chosen part is, and where its insides can be looked at. */
  tell() {
    const { part } = this;
    const { sizes } = this.data;
    const figures = [["parameters", part.total.toLocaleString("en")], ["of all", percent(part.share)], ...(part.share_non_embedding === null ? [] : [["without embeddings", percent(part.share_non_embedding)]]),
      ...(part.layers ? [["in each layer", Math.round(part.total / part.layers).toLocaleString("en")], ["layers", String(part.layers)]] : []), ["biases among them", part.biases.toLocaleString("en")]];
    const of = { mlp: ["neuron", "Look into one neuron", { layer: sizes.layers - 1, neuron: 0 }], attention: ["attention", "See the heads at work", {}], embedding: ["lens", "Where the vectors go from here", {}], head: ["lens", "Read words from vectors", {}] }[part.group];
    const known = this.model.get("catalogue")?.questions;
    const opens = this.opens && of && (!known || known.some((one) => one.name === of[0]));
    this.told.replaceChildren(
      h("h2", {}, sentenceCase(part.part)), h("p", {}, part.does),
      h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "tools" }, opens ? this.button(of[1], () => this.open(of[0], of[2])) : ""),
      h("h3", {}, "The model"),
      h("p", { class: "small" }, `${sizes.layers} layers, ${sizes.heads} heads each; the stream is ${sizes.d_model.toLocaleString("en")} wide, an MLP has ${sizes.d_mlp.toLocaleString("en")} neurons; ${sizes.d_vocab.toLocaleString("en")} tokens.`));
  }

  // --- layer by layer ------------------------------------------------------------------------------

  byLayer() {
    this.layers = s("svg", { class: "layers", role: "img" });
    const cells = () => [["layer", "attention", "MLP", "norms"], ...this.data.layers.map((layer, number) => [number, layer.attention, layer.mlp, layer.norm])];
    const same = this.data.layers.every((layer) => ["attention", "mlp", "norm"].every((group) => layer[group] === this.data.layers[0][group]));
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Layer by layer"), this.exports("layers", () => this.layers, cells)),
      h("div", { class: "frame" }, this.layers),
      h("ul", { class: "words" }, ["attention", "mlp", "norm"].map((group) => h("li", {}, h("span", { class: `swatch ${GROUPS[group][1]}` }), GROUPS[group][0]))),
      h("p", { class: "caption" }, same ? "All layers are of one size." : "Layers differ in size."),
      this.details("The layers as a table", cells));
  }

  drawLayers() {
    const { layers } = this.data;
    const [width, tall, floor] = [Math.max(220, this.layers.parentElement.clientWidth), 120, 22];
    const step = width / layers.length;
    const most = Math.max(...layers.map((layer) => layer.attention + layer.mlp + layer.norm));
    const every = Math.max(1, Math.ceil(22 / step));
    const bars = layers.map((layer, number) => {
      let y = tall + 4;
      const parts = ["attention", "mlp", "norm"].map((group) => {
        const size = (tall * layer[group]) / most;
        y -= size;
        return s("rect", { class: GROUPS[group][1], x: number * step + step * 0.12, y, width: step * 0.76, height: size });
      });
      return s("g", {}, s("title", {}, `layer ${number}: attention ${layer.attention.toLocaleString("en")}, MLP ${layer.mlp.toLocaleString("en")}, norms ${layer.norm.toLocaleString("en")}`), parts,
        number % every ? null : s("text", { class: "axis", x: (number + 0.5) * step, y: tall + floor, "text-anchor": "middle" }, String(number)));
    });
    sized(this.layers, width, tall + floor + 6);
    this.layers.setAttribute("aria-label", `Parameters of ${layers.length} layers`);
    this.layers.replaceChildren(s("title", {}, "Parameters by layer"), ...bars);
  }
}
