// @ts-check
/**
 * A ledger as a river: bands from source words through heads, neurons and layers into the sum, as
 * wide as what they bring. What is above nothing runs solid, what is below it hatched.
 *
 * A part of the ledger's view (see ledger.js), not a view of its own: the page gives it the data
 * `river` of molehill.ledger/1, its state and its exports.
 */

import { clipped, h, number, percent, quoted, s, scientific, sentenceCase, signed, sized, small } from "./kit.js";

/**
 * @typedef {{column: number, kind: string, name: string, others: number, rows: number, value: number | null,
 *   up: number | null, down: number | null, rows_up: number | null, rows_down: number | null}} Node
 * @typedef {{path: number[], rows: number, value: number | null}} Flow
 * @typedef {{a: number, b: number, less: boolean, size: number, from: number, to: number}} Link
 */

export const RIVERS = { words: "from words", writers: "heads and neurons", layers: "layers" };

const HEADS = { source: "comes from", writer: "written by", layer: "in layer", sum: "adds up to" };
/** What runs through from one column to the next under its own name is named once. */
const THROUGH = ["embedding", "position", "type", "start", "bias", "error", "constant"];
const BANDS = 300;
const WIDE = 10;
const TOP = 30;
/** Below this a picture scrolls in its box instead of losing its names. */
const LEAST = { words: 760, writers: 560, layers: 320 };

let rivers = 0;

export class River {
  /** @param {any} page the ledger's view @param {(node: any) => any} opener buttons that open what a node is */
  constructor(page, opener) {
    this.page = page;
    this.opener = opener;
    this.id = `river-${(rivers += 1)}`;
    /** @type {((flow: Flow) => boolean) | null} */
    this.pointed = null;
  }

  get level() {
    return this.page.data.river[this.page.state.river];
  }

  /** @returns {number | null} */
  get chosen() {
    const { node } = this.page.state;
    return node !== null && node < this.level.nodes.length ? node : null;
  }

  section() {
    const { page } = this;
    this.figure = s("svg", { class: "river", role: "application", tabindex: 0, "aria-roledescription": "diagram", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown Enter Escape" });
    this.box = h("div", { class: "frame scroll" }, this.figure);
    this.told = h("div", { class: "told" });
    page.on(this.figure, "pointerover", (event) => this.point(event.target));
    page.on(this.figure, "pointerleave", () => this.point(null));
    page.on(this.figure, "click", (event) => this.click(event.target));
    page.on(this.figure, "keydown", (event) => this.key(event));
    page.on(this.box, "scroll", () => page.stick(this.box, undefined));
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Where it comes from, as a river"), page.exports("river", () => this.figure, () => this.rows())),
      h("div", { class: "scroll picks" }, page.segments("river", "Level of detail", RIVERS)),
      this.box, this.told,
      h("p", { class: "caption" }, "A band is as wide as what it brings, net of the rows that it gathers: solid raises the sum, hatched lowers it. Within a column the largest are named and all others are one band with their count, so that every column adds up to the same. ",
        page.data.features ? "Features stand in place of what wrote at their site." : "Neurons read the token itself, so they come from no other word."),
      page.details("The river as a table", () => this.rows()));
  }

  /** Every flow with the names on its way. */
  rows() {
    const { columns, nodes, flows } = this.level;
    const named = columns.slice(0, -1).map((column) => HEADS[column]);
    return [[...named, "rows", "value"], ...flows.map((flow) => [
      ...named.map((_, column) => nodes[flow.path.find((node) => nodes[node].column === column) ?? -1]?.name ?? ""), flow.rows, flow.value])];
  }

  // --- where everything stands -------------------------------------------------------------------

  /** @param {number} room */
  layout(room) {
    const { columns, nodes, flows } = this.level;
    const width = Math.max(LEAST[this.page.state.river], room);
    const step = (width - 118 - WIDE) / (columns.length - 1);
    const gross = nodes.map((node) => (node.up ?? 0) - (node.down ?? 0));
    const scale = BANDS / Math.max(1e-12, gross.at(-1) ?? 0);
    const slots = nodes.map((node, index) => Math.max(gross[index] * scale + 3, node.kind === "sum" ? 0 : 14));
    const full = columns.map((_, column) => nodes.reduce((sum, node, index) => sum + (node.column === column ? slots[index] : 0), 0));
    const tall = Math.max(...full);
    const counts = columns.map((_, column) => nodes.filter((node) => node.column === column).length);
    const next = columns.map((_, column) => TOP + (tall - full[column]) / (counts[column] + 1));
    this.places = nodes.map((node, index) => {
      const slot = slots[index];
      const size = gross[index] * scale;
      const y = next[node.column] + (slot - size) / 2;
      next[node.column] += slot + (tall - full[node.column]) / (counts[node.column] + 1);
      return { x: node.column * step, y, size, up: (node.up ?? 0) * scale };
    });
    this.scale = scale;
    this.links = this.linked(flows, nodes);
    return { width, height: TOP + tall + 8, step };
  }

  /** Flows along the same way and of the same sign are one band. @param {Flow[]} flows @param {Node[]} nodes @returns {Link[]} */
  linked(flows, nodes) {
    const found = new Map();
    for (const { path, value } of flows) {
      const less = (value ?? 0) < 0;
      for (let place = 1; place < path.length; place += 1) {
        const name = `${path[place - 1]} ${path[place]} ${less}`;
        const link = found.get(name) ?? { a: path[place - 1], b: path[place], less, size: 0, from: 0, to: 0 };
        link.size += Math.abs(value ?? 0) * this.scale;
        found.set(name, link);
      }
    }
    const links = [...found.values()];
    const stack = (end, other, mark) => nodes.forEach((_, node) => {
      let up = this.places[node].y;
      let down = up + this.places[node].up;
      for (const link of links.filter((one) => one[end] === node).sort((p, q) => p[other] - q[other])) {
        link[mark] = link.less ? down : up;
        if (link.less) down += link.size;
        else up += link.size;
      }
    });
    stack("a", "b", "from");
    stack("b", "a", "to");
    return links;
  }

  // --- the picture -------------------------------------------------------------------------------

  draw() {
    const { nodes, columns } = this.level;
    const { width, height, step } = this.layout(Math.max(240, Math.floor(this.box.clientWidth)));
    sized(this.figure, width, height);
    const bands = this.links.map((link, index) => s("path", { class: link.less ? "band back" : "band", "data-link": index, d: this.ribbon(link, link.size), ...this.filled(link.less) },
      s("title", {}, `${nodes[link.a].name} to ${nodes[link.b].name}: ${signed((link.less ? -1 : 1) * link.size / this.scale)}`)));
    this.over = s("g", { class: "over" });
    this.figure.replaceChildren(s("title", {}, "Where it comes from"), this.hatch(),
      ...columns.map((column, index) => s("text", { class: "axis", x: index * step + (index === columns.length - 1 ? WIDE : 0), y: 12, "text-anchor": index === columns.length - 1 ? "end" : "start" }, HEADS[column])),
      s("g", { class: "bands" }, bands), this.over, ...nodes.map((_, index) => this.node(index, step)), this.end());
    this.figure.setAttribute("aria-label", `River of ${nodes.length} bands in ${columns.length} columns into ${this.page.what}: ${number(this.page.data.read.measured)}`);
    this.page.stick(this.box, undefined);
    this.light();
  }

  hatch() {
    return s("defs", {}, s("pattern", { id: this.id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      s("rect", { class: "ground", width: 5, height: 5 }), s("rect", { class: "less", width: 2.4, height: 5 })));
  }

  /** @param {boolean} less */
  filled(less) {
    return less ? { fill: `url(#${this.id})` } : {};
  }

  /** @param {Link} link @param {number} size */
  ribbon(link, size) {
    const [x0, x1] = [this.places[link.a].x + WIDE, this.places[link.b].x];
    const middle = (x0 + x1) / 2;
    const f = (value) => value.toFixed(2);
    return `M${f(x0)},${f(link.from)}C${f(middle)},${f(link.from)} ${f(middle)},${f(link.to)} ${f(x1)},${f(link.to)}V${f(link.to + size)}C${f(middle)},${f(link.to + size)} ${f(middle)},${f(link.from + size)} ${f(x0)},${f(link.from + size)}Z`;
  }

  /** @param {number} index */
  runs(index) {
    const node = this.level.nodes[index];
    return THROUGH.includes(node.kind) && this.links.some((link) => link.b === index);
  }

  /** @param {number} index @param {number} step */
  node(index, step) {
    const node = this.level.nodes[index];
    const { x, y, size, up } = this.places[index];
    const through = this.runs(index);
    const sum = node.kind === "sum";
    const part = (from, tall, less) => (tall > 0 ? s("rect", { class: `${through ? "through " : ""}${less ? "back" : "more"}`, x, y: from, width: WIDE, height: Math.max(tall, through ? 0 : 0.7), ...this.filled(less) }) : null);
    const letters = Math.floor((step - WIDE - 12) / 6.3);
    const name = node.kind === "source" ? node.name : node.name.replace(/^attention of layer /, "attention ").replace(/^MLP of layer /, "MLP ");
    const label = `${clipped(name, Math.max(4, letters - 7))} `;
    return s("g", { class: `node${node.others ? " others" : ""}`, "data-node": index },
      s("title", {}, this.sentence(node)),
      s("rect", { class: "touch", x: x - 4, y: Math.min(y, y + size / 2 - 8), width: WIDE + 8, height: Math.max(size, 16) }),
      [part(y, up, false), part(y + up, size - up, true)].filter(Boolean),
      through || sum ? null : s("text", { class: "name", x: x + WIDE + 6, y: y + size / 2, dy: "0.35em" }, label, s("tspan", { class: "axis" }, signed(node.value))));
  }

  /** The sum at the end: what is left of both sides, and by how much the rows miss the model's own number. */
  end() {
    const { read } = this.page.data;
    const { x, y, size, up } = this.places.at(-1) ?? { x: 0, y: 0, size: 0, up: 0 };
    const left = Math.abs((read.total ?? 0) * this.scale);
    const less = (read.total ?? 0) < 0;
    const from = less ? y + size - left : y;
    const at = x + WIDE + 6;
    const node = this.level.nodes.at(-1);
    const line = (dy, text, more = {}) => s("text", { x: at + 14, y: from + left / 2, dy, ...more }, text);
    return s("g", { class: "end" },
      s("title", {}, `Above nothing ${signed(node?.up)}, below ${signed(node?.down)}; together ${number(read.total)}`),
      s("rect", { class: "net", x: at, y: from, width: 5, height: Math.max(1, left) }),
      line("-0.5em", number(read.total), { class: "total" }), line("1em", "closing error", { class: "axis" }), line("2.2em", scientific(read.closing_error), { class: "axis" }),
      up > 12 && size - up > 12 ? s("text", { class: "axis", x: x - 6, y: y + size + 16, "text-anchor": "end" }, `${signed(node?.up)} ${signed(node?.down)}`) : null);
  }

  // --- one path ----------------------------------------------------------------------------------

  /** What is lit: what is pointed at, else what was chosen. */
  light() {
    const { chosen, pointed } = this;
    const through = pointed ?? (chosen === null ? null : (flow) => flow.path.includes(chosen));
    this.figure.classList.toggle("lit", through !== null);
    this.figure.querySelectorAll(".node").forEach((node, index) => node.classList.toggle("chosen", index === chosen));
    const lit = through ? this.level.flows.filter(through) : [];
    const sizes = new Map();
    for (const { path, value } of lit) {
      for (let place = 1; place < path.length; place += 1) {
        const name = `${path[place - 1]} ${path[place]} ${(value ?? 0) < 0}`;
        sizes.set(name, (sizes.get(name) ?? 0) + Math.abs(value ?? 0) * this.scale);
      }
    }
    this.over.replaceChildren(...this.links.flatMap((link) => {
      const size = sizes.get(`${link.a} ${link.b} ${link.less}`);
      return size ? [s("path", { class: link.less ? "back" : "", d: this.ribbon(link, size), ...this.filled(link.less) })] : [];
    }));
    this.tell(lit);
  }

  /** @param {Element | null} target */
  point(target) {
    const node = target?.closest("[data-node]")?.getAttribute("data-node");
    const link = this.links[Number(target?.closest("[data-link]")?.getAttribute("data-link") ?? -1)];
    this.name = null;
    if (node) {
      this.name = Number(node);
      this.pointed = (flow) => flow.path.includes(Number(node));
    } else if (link) {
      this.pointed = (flow) => (flow.value ?? 0) < 0 === link.less && flow.path.some((one, place) => one === link.a && flow.path[place + 1] === link.b);
      this.name = link;
    } else {
      this.pointed = null;
    }
    this.light();
  }

  /** @param {Element} target */
  click(target) {
    const node = target.closest("[data-node]")?.getAttribute("data-node");
    const link = this.links[Number(target.closest("[data-link]")?.getAttribute("data-link") ?? -1)];
    const to = node ? Number(node) : link ? link.a : null;
    this.pointed = null;
    this.page.change({ node: to === this.chosen ? null : to });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { nodes } = this.level;
    const at = this.chosen ?? nodes.length - 1;
    if (event.key === "Escape") {
      this.pointed = null;
      return this.page.change({ node: null });
    }
    if (event.key === "Enter") return this.told.querySelector("button")?.click();
    const to = { ArrowUp: () => this.beside(at, -1), ArrowDown: () => this.beside(at, 1), ArrowLeft: () => this.along(at, "b", "a"), ArrowRight: () => this.along(at, "a", "b") }[event.key]?.();
    if (to === undefined) return;
    event.preventDefault();
    this.pointed = null;
    this.page.change({ node: to });
    this.page.bring(this.box, this.places[to].x, 120, 0);
  }

  /** The node above or below in the same column. @param {number} at @param {number} by */
  beside(at, by) {
    const to = at + by;
    return this.level.nodes[to]?.column === this.level.nodes[at].column ? to : at;
  }

  /** The node at the other end of the widest band. @param {number} at @param {"a" | "b"} end @param {"a" | "b"} other */
  along(at, end, other) {
    const [widest] = this.links.filter((link) => link[end] === at).sort((p, q) => q.size - p.size);
    return widest ? widest[other] : at;
  }

  // --- in words ----------------------------------------------------------------------------------

  /** @param {any} node */
  sentence(node) {
    const of = node.value !== null && (this.page.data.read.measured ?? 0) > 0 ? `, ${percent(node.value / this.page.data.read.measured)} of the whole` : "";
    const rows = node.rows > 1 ? `; ${node.rows.toLocaleString("en")} rows, ${signed(node.rows_up)} and ${signed(node.rows_down)}` : "";
    const name = node.kind === "source" && !node.others ? quoted(node.name) : node.name;
    return `${sentenceCase(name)}: ${signed(node.value)}${of}${rows}`;
  }

  /** @param {Flow[]} lit */
  tell(lit) {
    const { nodes } = this.level;
    const at = this.pointed ? this.name : this.chosen;
    if (at === null || at === undefined) {
      this.told.replaceChildren(small("Point at a band to see where it runs; click a name, or walk with the arrow keys, to keep it."));
      return;
    }
    if (typeof at !== "number") {
      const value = lit.reduce((sum, flow) => sum + (flow.value ?? 0), 0);
      this.told.replaceChildren(small(`From ${nodes[at.a].name} to ${nodes[at.b].name}: ${signed(value)}`));
      return;
    }
    const next = (from) => {
      const sums = new Map();
      for (const flow of lit) {
        const other = flow.path[flow.path.indexOf(at) + from];
        if (other !== undefined) sums.set(other, (sums.get(other) ?? 0) + (flow.value ?? 0));
      }
      return [...sums].sort((p, q) => Math.abs(q[1]) - Math.abs(p[1])).slice(0, 4).map(([other, value]) => `${nodes[other].name} ${signed(value)}`).join(", ");
    };
    const [before, after] = this.runs(at) ? ["", ""] : [next(-1), nodes[at].column < this.level.columns.length - 2 ? next(1) : ""];
    this.told.replaceChildren(h("p", {}, h("strong", {}, this.sentence(nodes[at])), before ? ` · from ${before}` : "", after ? ` · to ${after}` : ""),
      h("div", { class: "tools" }, at === this.chosen ? this.opener(nodes[at]) : []));
  }

  /** For those who listen. */
  spoken() {
    return this.chosen === null ? "" : ` ${this.sentence(this.level.nodes[this.chosen])}.`;
  }
}
