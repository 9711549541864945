// @ts-check
/**
 * A graph of direct effects: words of the prompt below, layers above them, the next words on top;
 * choose a node to see what it is made of and what it makes.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.features-graph/1, see docs/rooms/features.md) into `el` and returns its own cleanup. It
 * asks nothing of the network, and every text from the data becomes a text node.
 */

import {
  Page, adjustable, clamp, clipped, h, number, percent, s, shape, shown, signed, sized, small,
} from "./kit.js";

const render = adjustable(() => View, () => [
  { name: "nodes", label: "Nodes: share of the influence", min: 0.3, max: 1, step: 0.05, told: percent },
  { name: "edges", label: "Edges: share of what is left", min: 0.5, max: 1, step: 0.02, told: percent },
]);
export default { render };

const ROW = 46;
const PAD = { left: 46, right: 12, top: 16, bottom: 44 };
const COLOURS = { feature: "c1", error: "c8", embedding: "c3", logit: "c2" };
const SHAPES = { feature: 0, error: 3, embedding: 1, logit: 2 };
const KINDS = { feature: "feature", error: "error of an MLP", embedding: "word of the prompt", logit: "next word" };

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.prompt;
    this.nodes = data.nodes;
    this.into = this.nodes.map(() => /** @type {any[]} */ ([]));
    this.out = this.nodes.map(() => /** @type {any[]} */ ([]));
    for (const [source, target, weight] of data.edges) {
      this.into[target].push({ node: source, weight });
      this.out[source].push({ node: target, weight });
    }
    for (const list of [...this.into, ...this.out]) list.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
    this.state.node = Math.max(0, this.nodes.findIndex((node) => node.kind === "logit"));
    this.notice = this.fromHash();
  }

  takers() {
    return {
      node: (value) => {
        const found = this.nodes.findIndex((node) => node.id === value);
        return found >= 0 && this.set("node", found);
      },
    };
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.frame);
    this.on(document, "keydown", (event) => this.key(event));
    this.on(this.figure, "click", (event) => {
      const chosen = event.target.closest?.("[data-node]");
      if (chosen) this.change({ node: Number(chosen.dataset.node) });
    });
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  head() {
    const made = this.data.provenance;
    const keys = [["← → ↑ ↓", "the nearest node on that side"], ["Home", "the likeliest next word"], ["Enter", "in a list: go there"], ["?", "this list"], ["Esc", "close it"]];
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(this.data.prompt, 60)), h("p", { class: "sub" }, `what made the next word · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), this.helpOf(keys, "The address holds what you see: copy it to come back.")));
  }

  stage() {
    this.figure = s("svg", { class: "graph", role: "img", tabindex: 0 });
    this.frame = h("div", { class: "frame scroll" }, this.figure);
    this.chosen = h("div", { class: "side", "aria-live": "off" });
    const { whole, shown: kept } = this.data.counts;
    const legend = Object.entries(KINDS).map(([kind, name]) => h("li", {}, this.sign(kind), name));
    const edges = () => [["source", "target", "effect"], ...this.data.edges.map(([source, target, weight]) => [this.nodes[source].name, this.nodes[target].name, weight])];
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "From the prompt up to the next word"), this.exports("graph", () => this.figure, edges)),
        this.frame,
        h("ul", { class: "words" }, legend),
        h("p", { class: "caption" }, `${kept.feature} of ${whole.feature} active features and ${kept.edges.toLocaleString("en")} of ${whole.edges.toLocaleString("en")} effects. The larger a sign, the more it matters for the next words. Lines are the chosen node's: solid for what adds, dashed for what takes away, the thicker the more.`),
        this.details("All nodes as a table", () => this.nodeRows())),
      this.chosen);
  }

  /** @param {string} kind */
  sign(kind) {
    return s("svg", { class: `marker ${COLOURS[kind]}`, viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: shape(SHAPES[kind], 5) }));
  }

  nodeRows() {
    return [["node", "kind", "value", "influence"], ...this.nodes.map((node) => [node.name, KINDS[node.kind], node.value, node.influence])];
  }

  all() {
    this.drawEdges();
    this.drawChosen();
    this.syncControls();
    this.writeHash([`node=${this.nodes[this.state.node].id}`]);
    const node = this.nodes[this.state.node];
    this.say(() => `${node.name}, ${number(node.value)}. Largest parts: ${this.into[this.state.node].slice(0, 3).map((one) => `${this.nodes[one.node].name} ${signed(one.weight)}`).join(", ") || "none"}.`);
  }

  resized() {
    const room = Math.max(240, Math.floor(this.frame.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.drawNodes();
    this.all();
  }

  /** Where every node stands: its token's column, its layer's row, side by side where several share both. */
  place() {
    const { pieces, n_layers: layers } = this.data;
    const level = (node) => (node.kind === "embedding" ? 0 : node.kind === "logit" ? layers + 1 : node.layer + 1);
    const cells = new Map();
    this.nodes.forEach((node, index) => {
      const key = `${level(node)},${node.position}`;
      cells.set(key, [...(cells.get(key) ?? []), index]);
    });
    const most = pieces.map((_, position) => Math.max(1, ...[...cells].filter(([key]) => key.endsWith(`,${position}`)).map(([, own]) => Math.min(own.length, 12))));
    const total = most.reduce((sum, count) => sum + count, 0);
    const each = Math.max(15, (this.room - PAD.left - PAD.right) / total);
    this.width = Math.max(this.room, PAD.left + PAD.right + each * total);
    this.height = PAD.top + PAD.bottom + ROW * (layers + 1);
    const starts = most.reduce((sums, count) => [...sums, sums[sums.length - 1] + count * each], [PAD.left]);
    const y = (row) => this.height - PAD.bottom - row * ROW;
    /** @type {{x: number, y: number}[]} */
    this.at = [];
    for (const [key, own] of cells) {
      const [row, position] = key.split(",").map(Number);
      const wide = starts[position + 1] - starts[position];
      own.forEach((index, place) => {
        this.at[index] = { x: starts[position] + ((place + 0.5) * wide) / own.length, y: y(row) + (own.length > 12 ? (place % 2 ? 7 : -7) : 0) };
      });
    }
    return { starts, y, layers };
  }

  drawNodes() {
    const { starts, y, layers } = this.place();
    const names = Array.from({ length: layers + 2 }, (_, row) => s("text", { class: "axis", x: PAD.left - 10, y: y(row), dy: "0.32em", "text-anchor": "end" }, row === 0 ? "word" : row > layers ? "next" : String(row - 1)));
    const rules = Array.from({ length: layers + 2 }, (_, row) => s("line", { class: "rule", x1: PAD.left, x2: this.width - PAD.right, y1: y(row), y2: y(row) }));
    const words = this.data.pieces.map((piece, position) => {
      const wide = starts[position + 1] - starts[position];
      return s("text", { x: starts[position] + wide / 2, y: this.height - 18, "text-anchor": "middle" }, s("title", {}, piece), clipped(shown(piece), Math.max(2, Math.floor(wide / 7))));
    });
    const most = Math.max(1e-12, ...this.nodes.map((node) => node.influence ?? 0));
    const nodes = this.nodes.map((node, index) => {
      const size = node.kind === "logit" ? 3.5 + 4 * Math.sqrt(node.probability ?? 0) : 3 + 5 * Math.sqrt((node.influence ?? 0) / most);
      return s("g", { class: `node ${COLOURS[node.kind]}`, "data-node": index, transform: `translate(${this.at[index].x.toFixed(1)},${this.at[index].y.toFixed(1)})` },
        s("title", {}, `${node.name}: ${number(node.value)}`), s("circle", { class: "target", r: 11 }), s("path", { d: shape(SHAPES[node.kind], size) }));
    });
    this.lines = s("g", {});
    this.ring = s("circle", { class: "ring", r: 11 });
    sized(this.figure, this.width, this.height);
    this.figure.setAttribute("aria-label", "Nodes by token and layer; arrow keys choose one");
    this.figure.replaceChildren(...rules, ...names, ...words, this.lines, ...nodes, this.ring);
  }

  drawEdges() {
    const chosen = this.state.node;
    const edges = [...this.into[chosen].map((one) => ({ ...one, from: one.node, to: chosen })), ...this.out[chosen].map((one) => ({ ...one, from: chosen, to: one.node }))];
    const most = Math.max(1e-12, ...edges.map((one) => Math.abs(one.weight)));
    this.lines.replaceChildren(...edges.map((one) => {
      const [a, b] = [this.at[one.from], this.at[one.to]];
      const middle = (a.y + b.y) / 2;
      return s("path", { class: `edge ${one.weight < 0 ? "minus" : "plus"}`, d: `M${a.x.toFixed(1)},${a.y.toFixed(1)}C${a.x.toFixed(1)},${middle} ${b.x.toFixed(1)},${middle} ${b.x.toFixed(1)},${b.y.toFixed(1)}`, "stroke-width": (0.4 + 3.6 * Math.abs(one.weight) / most).toFixed(2) });
    }));
    const joined = new Set([chosen, ...edges.flatMap((one) => [one.from, one.to])]);
    for (const node of this.figure.querySelectorAll(".node")) node.classList.toggle("far", !joined.has(Number(/** @type {SVGElement} */ (node).dataset.node)));
    this.ring.setAttribute("cx", this.at[chosen].x.toFixed(1));
    this.ring.setAttribute("cy", this.at[chosen].y.toFixed(1));
    if (this.frame.scrollWidth > this.frame.clientWidth) this.frame.scrollLeft = clamp(this.frame.scrollLeft, this.at[chosen].x + 40 - this.frame.clientWidth, this.at[chosen].x - 40);
  }

  drawChosen() {
    const chosen = this.state.node;
    const node = this.nodes[chosen];
    const figures = [[node.kind === "error" || node.kind === "embedding" ? "length" : node.kind === "logit" ? "score" : "value", number(node.value)],
      ...(node.probability === undefined ? [] : [["probability", percent(node.probability)]]), ...(node.kind === "logit" ? [] : [["influence", number(node.influence)]])];
    const made = node.kind === "feature" || node.kind === "logit";
    const rest = [["others", node.unlisted], ["biases", node.bias]];
    this.chosen.replaceChildren(
      h("h2", { dir: "auto" }, this.sign(node.kind), " ", node.name),
      h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      node.kind === "feature" && this.opens && this.data.here?.[node.layer] ? h("p", {}, this.button("Its card", () => this.open("features.card", { features: this.data.here[node.layer], numbers: [node.number] }))) : "",
      h("h3", {}, "Made of"),
      made ? this.list(this.into[chosen], rest) : small("It is where this graph begins: nothing is added up to it."),
      h("h3", {}, "Goes into"),
      this.out[chosen].length ? this.list(this.out[chosen], []) : small("Nothing above it."));
  }

  /** @param {any[]} entries @param {any[][]} rest */
  list(entries, rest) {
    const most = Math.max(1e-12, ...entries.map((one) => Math.abs(one.weight)), ...rest.map(([, value]) => Math.abs(value ?? 0)));
    const bar = (value) => {
      const made = h("span", { class: `bar${value < 0 ? " back" : ""}` });
      made.style.width = `${(100 * Math.abs(value)) / most}%`;
      return h("span", { class: "track" }, made);
    };
    const rows = entries.slice(0, 14).map((one) => h("li", {}, this.button(this.nodes[one.node].name, () => this.change({ node: one.node }), { class: "quiet" }), bar(one.weight), h("span", { class: "value" }, signed(one.weight))));
    const left = entries.slice(14);
    const told = [...(left.length ? [[`${left.length} more`, left.reduce((sum, one) => sum + one.weight, 0)]] : []), ...rest].filter(([, value]) => value !== null);
    return h("ul", { class: "bars" }, rows, told.map(([name, value]) => h("li", {}, h("span", { class: "rest" }, name), bar(value), h("span", { class: "value" }, signed(value)))));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest?.("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "?") return this.dialog.showModal();
    if (event.key === "Home") {
      event.preventDefault();
      return this.change({ node: Math.max(0, this.nodes.findIndex((node) => node.kind === "logit")) });
    }
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way || this.dialog.open || (target !== this.figure && target.closest?.(".scroll"))) return;
    const here = this.at[this.state.node];
    let [best, found] = [Infinity, -1];
    this.at.forEach((there, index) => {
      const [x, y] = [there.x - here.x, there.y - here.y];
      const along = x * way[0] + y * way[1];
      const aside = Math.abs(x * way[1]) + Math.abs(y * way[0]);
      if (along > 1 && aside * 3 + along < best) [best, found] = [aside * 3 + along, index];
    });
    if (found >= 0) {
      event.preventDefault();
      this.change({ node: found });
    }
  }

  foot() {
    const { replacement, completeness } = this.data.scores;
    return this.footOf([
      `Replacement ${percent(replacement)}: the share of the influence that reaches words of the prompt rather than errors. Completeness ${percent(completeness)}: the share of nodes' inputs, weighted by influence, that is no error. Both of the whole graph, before pruning.`,
      this.data.closing_error === null ? "Biases are unknown: sums cannot be checked." : `Every node's parts add up to its value, to within ${this.data.closing_error.toExponential(1)}; “others” are parts that are not in the graph.`,
      ...this.data.notes,
    ], "graph");
  }
}
