// @ts-check
/**
 * A causal trace: what restoring each layer and token brings back of an answer, as maps side by
 * side, one cell in detail, and one token along the layers.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schemas
 * molehill.fact-trace/1 and molehill.relation-trace/1, see docs/rooms/views.md) into `el` and
 * returns its own cleanup. It asks nothing of the network, and every text from the data becomes a
 * text node.
 *
 * @typedef {{title: string, window: number, effects: (number | null)[][], peak: Peak | null,
 *   errors?: (number | null)[][] | null, low?: (number | null)[][], high?: (number | null)[][],
 *   correlation?: number | null}} Map
 * @typedef {{layer: number, row: number, effect: number}} Peak
 */

import {
  clamp, clipped, colour, h, marker, minus, percent, quoted, rendering, s, sentenceCase, shape,
  shown, sized, small, ticks,
} from "./kit.js";
import { FactPage } from "./facts-live.js";

const render = rendering(() => View);
export default { render };

const ROW = 22;
const HEAD = 42;
const AXIS = 24;
const GAP = 14;
/** The least width of a layer where maps stand side by side. */
const LEAST = 5.5;
/** Tokens without an effect that stand before the subject all the same. */
const BEFORE = 3;
/** The colour of a map's line: those of more and less are taken. */
const FIRST_COLOUR = 3;

/** A probability or a difference of two, with two digits that tell. @param {number | null | undefined} value */
function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  const digits = [2, 3, 4].find((count) => size >= 0.995 * 10 ** (1 - count));
  const told = size === 0 ? "0" : digits ? size.toFixed(digits) : size.toExponential(1).replace("e-", "e−");
  return value < 0 ? `−${told}` : told;
}

/** Of several maps in one plot. @param {number} index */
const series = (index) => FIRST_COLOUR + index;

class View extends FactPage {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.many = Array.isArray(data.facts);
    this.subject = this.many ? data.relation : `${data.subject} ${data.target}`;
    this.kinds = Object.keys(data.kinds);
    /** @type {Record<string, Map>} */
    this.maps = { ...data.kinds, ...data.approximations };
    this.names = Object.keys(this.maps);
    this.last = data.rows.length - 1;
    this.first = this.firstRow();
    const cells = this.names.flatMap((name) => this.maps[name].effects.flat()).filter((one) => one !== null);
    this.most = Math.max(0, ...cells.map((one) => one ?? 0));
    this.least = Math.min(0, ...cells.map((one) => one ?? 0));
    this.scale = Math.max(this.most, -this.least) || 1;
    const one = data.kinds.state ?? data.kinds[this.kinds[0]];
    const start = one.peak_subject ?? one.peak ?? { layer: 0, row: this.first };
    this.state = { ...this.state, show: "all", layer: start.layer, token: start.row };
    this.over = null;
    this.notice = this.fromHash();
  }

  /** Before it, no token has an effect in any map. */
  firstRow() {
    const some = (row) => this.names.some((name) => this.maps[name].effects.some((line) => line[row] !== 0));
    const found = this.data.rows.findIndex((_, row) => some(row));
    return found > BEFORE ? found : 0;
  }

  build() {
    const stage = this.stage();
    this.mount(this.head(), this.asked(), this.leadOf(this.data.summary), stage, this.along(), this.onward(), this.footOf(this.data.notes, "trace"));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  onward() {
    if (this.many) return "";
    const { prompt, subject, target } = this.data;
    return this.goingOn({ prompt, subject, object: target, traced: true });
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return {
      show: (value) => (value === "all" || Object.hasOwn(this.maps, value)) && this.set("show", value),
      layer: (value) => this.take("layer", value, 0, this.data.layers - 1),
      token: (value) => this.take("token", value, this.first, this.last),
    };
  }

  resized() {
    const room = Math.max(220, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
    this.reveal();
  }

  all() {
    this.drawMaps();
    this.drawCell();
    this.syncControls();
    const { show, layer, token } = this.state;
    this.writeHash([`show=${encodeURIComponent(show)}`, `layer=${layer}`, `token=${token}`]);
    this.say(() => `${this.place()}. ${this.shownNames().map((name) => `${this.maps[name].title} ${this.told(name)}`).join(", ")}.`);
  }

  /** What is read: the cell below the pointer, else the chosen one. */
  get at() {
    return this.over ?? this.state;
  }

  /** An approximation is seen beside what it approximates. */
  shownNames() {
    const { show } = this.state;
    if (show === "all") return this.kinds;
    const estimate = Object.hasOwn(this.data.approximations, show) && Object.hasOwn(this.maps, "state");
    return estimate ? ["state", show] : [show];
  }

  /** @param {number} row */
  rowName(row) {
    const { name } = this.data.rows[row];
    return this.many ? name : shown(name);
  }

  /** The same where there is little room. @param {number} row */
  rowMark(row) {
    return this.many ? this.rowName(row).replace(/ tokens?$/, "") : this.rowName(row);
  }

  place() {
    const { layer, token } = this.at;
    return `Layer ${layer}, ${this.many ? this.rowName(token) : quoted(this.data.rows[token].name)}`;
  }

  /** @param {string} name @param {number} layer @param {number} row @returns {[number, number] | null} */
  interval(name, layer, row) {
    const one = this.maps[name];
    const effect = one.effects[layer][row];
    if (one.low && one.high) {
      const [low, high] = [one.low[layer][row], one.high[layer][row]];
      return low === null || high === null ? null : [low, high];
    }
    const error = one.errors?.[layer][row];
    return effect === null || error === null || error === undefined ? null : [effect - 2 * error, effect + 2 * error];
  }

  /** The effect at the cell that is read, with its error. @param {string} name */
  told(name) {
    const { layer, token } = this.at;
    const one = this.maps[name];
    const effect = amount(one.effects[layer][token]);
    const error = one.errors?.[layer][token];
    const known = error !== null && error !== undefined && one.effects[layer][token] !== null;
    return !known ? effect : `${effect} ± ${amount(2 * error)}`;
  }

  // --- the head --------------------------------------------------------------------------------------

  head() {
    const made = this.data.provenance;
    const title = this.many ? this.data.relation : `${this.data.subject} → ${this.data.target.trim()}`;
    const keys = [["← →", "layer before or after (maps focused)"], ["↑ ↓", "token before or after"], ["Home End", "first or last layer"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Point at a cell to read it, click to stay there. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(title, 80)),
        h("p", { class: "sub" }, `what brings the answer back${this.many ? `, the mean of ${this.data.facts.length} facts` : ""} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  /** The prompt, its subject marked; of a relation, its facts. */
  asked() {
    if (this.many) return this.details("The facts", () => [["fact"], ...this.data.facts.map((fact) => [fact])]);
    const { rows, subject_span: [first, end] } = this.data;
    const spaced = rows.some((row) => row.name.startsWith("·"));
    const words = rows.map((row, place) => {
      const word = row.name.replace(/^·/, "") || row.name;
      const space = place > 0 && (!spaced || row.name.startsWith("·")) ? " " : "";
      return [space, place >= first && place < end ? h("mark", { class: "c1" }, word) : word];
    });
    return h("p", { class: "read", dir: "auto" }, words, h("span", { class: "answer" }, " → ", this.data.target.trim()));
  }

  // --- the maps --------------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "maps", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown Home End" });
    this.box = h("div", { class: "frame around" }, this.figure);
    this.cell = h("section", { class: "told", "aria-label": "The cell that is read" });
    this.on(this.box, "scroll", () => this.stick(this.box, this.marks));
    this.on(this.figure, "pointermove", (event) => this.pointed(event));
    this.on(this.figure, "pointerleave", () => this.look(null));
    this.on(this.figure, "click", (event) => {
      const found = this.under(event);
      this.over = null;
      if (found) this.change(found);
    });
    this.on(this.figure, "keydown", (event) => this.key(event));
    const options = Object.fromEntries(this.names.map((name) => [name, this.maps[name].title]));
    const choice = this.names.length > 1 ? this.segments("show", "What was restored", { all: "all kinds", ...options }) : "";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What restoring brings back"), this.exports("maps", () => this.upright(), () => this.cells())),
        choice, this.box, h("p", { class: "caption" }, this.caption()),
        this.details("Every effect as a table", () => this.matrix())),
      h("div", { class: "side" }, this.cell));
  }

  /** The maps from their first layer on: what is saved is not shifted. */
  upright() {
    this.box.scrollLeft = 0;
    this.stick(this.box, this.marks);
    return this.figure;
  }

  caption() {
    const rows = this.many ? "roles of tokens" : "tokens";
    const hidden = this.first ? ` The ${this.first} tokens before the subject have an effect of 0 and are not drawn.` : "";
    const wide = this.names.some((name) => this.maps[name].window > 1) ? " Several layers: restored together around the one named." : "";
    const less = this.least < 0 ? " Orange with a bar: less likely than under corruption." : "";
    return `Down: ${rows}, the subject's with a star. Across: layers. The stronger the blue, the more of the target's probability comes back.${less} A ring is a map's largest effect.${wide}${hidden}`;
  }

  drawMaps() {
    const names = this.shownNames();
    const rows = this.data.rows.slice(this.first);
    const { layers } = this.data;
    const letters = Math.max(...rows.map((_, row) => [...this.rowMark(this.first + row)].length));
    const left = clamp(letters * 7 + 26, 48, Math.min(150, this.room * 0.36));
    const free = this.room - left - 2;
    const across = clamp(Math.floor((free + GAP) / (layers * LEAST + GAP)), 1, names.length);
    const wide = clamp((free - GAP * (across - 1)) / across / layers, 3, 30);
    this.grid = { names, left, wide, across, tall: HEAD + ROW * rows.length + AXIS };
    const lines = Math.ceil(names.length / across);
    const width = Math.max(this.room, Math.ceil(left + across * wide * layers + GAP * (across - 1)) + 2);
    const legend = lines * this.grid.tall + 8;
    sized(this.figure, width, legend + 34);
    this.marks = s("g", {}, s("rect", { class: "cover", width: left, height: lines * this.grid.tall }), Array.from({ length: lines }, (_, line) => this.rowMarks(line, rows)));
    const panels = names.map((name, index) => this.panel(name, index));
    const titles = names.map((name, index) => this.titles(name, index));
    // Maps scroll only where one stands below the other: their titles stay with the names of rows.
    this.marks.append(...titles, this.legend(left, legend));
    this.cursors = names.map(() => s("rect", { class: "cursor", width: wide, height: ROW }));
    this.figure.replaceChildren(s("title", {}, "Effects by layer and token"), ...panels, ...this.cursors, this.marks);
    this.stick(this.box, this.marks);
    this.figure.setAttribute("aria-label", `Maps of ${names.map((name) => this.maps[name].title).join(", ")}: ${rows.length} rows by ${layers} layers; chosen: ${this.place()}`);
  }

  /** Where a map begins. @param {number} index */
  corner(index) {
    const { left, wide, across, tall } = this.grid;
    return [left + (index % across) * (wide * this.data.layers + GAP), Math.floor(index / across) * tall + HEAD];
  }

  /** @param {number} line @param {any[]} rows */
  rowMarks(line, rows) {
    const letters = Math.floor((this.grid.left - 24) / 7.1);
    return s("g", { class: "rows" }, rows.map((row, place) => {
      const name = this.rowName(this.first + place);
      return s("text", { class: row.subject ? "of-subject" : "axis", "data-row": this.first + place, x: this.grid.left - 8, y: line * this.grid.tall + HEAD + (place + 0.5) * ROW, dy: "0.35em", "text-anchor": "end" },
        s("title", {}, row.count === undefined ? `${name} (${this.first + place})` : `${name}: ${row.count} facts`), `${clipped(this.rowMark(this.first + place), letters)}${row.subject ? " *" : ""}`);
    }));
  }

  /** @param {string} name @param {number} index */
  panel(name, index) {
    const one = this.maps[name];
    const [x, y] = this.corner(index);
    const { wide } = this.grid;
    const { layers } = this.data;
    const width = wide * layers;
    const rows = this.last - this.first + 1;
    const grounds = Array.from({ length: rows }, (_, row) => s("rect", { class: "ground", x, y: y + row * ROW + 0.5, width, height: ROW - 1 }));
    const cells = one.effects.map((line, layer) => line.slice(this.first).map((effect, row) => this.oneCell(effect, x + layer * wide, y + row * ROW)));
    const axis = s("g", {}, this.axisLayers(width).map((layer) => s("text", { class: "axis", x: x + (layer + 0.5) * wide, y: y + rows * ROW + 14, "text-anchor": "middle" }, String(layer))));
    return s("g", { class: "panel" }, grounds, cells, this.ring(one, x, y), axis);
  }

  /** @param {string} name @param {number} index */
  titles(name, index) {
    const [x, y] = this.corner(index);
    const width = Math.min(this.grid.wide * this.data.layers, this.room - this.grid.left);
    return s("g", {},
      s("text", { class: "name", x, y: y - 24 }, clipped(this.titleOf(name), Math.floor(width / 7))),
      s("text", { class: "axis", x, y: y - 8 }, clipped(this.peakOf(this.maps[name]), Math.floor(width / 6.3))));
  }

  /** @param {string} name */
  titleOf(name) {
    const { title, window } = this.maps[name];
    if (title === "state") return "state after a layer";
    return window > 1 ? `${title}, ${window} layers` : title;
  }

  /** @param {Map} one */
  peakOf(one) {
    if (one.correlation !== undefined && one.correlation !== null) return `correlation ${amount(one.correlation)}`;
    return one.peak ? `most ${amount(one.peak.effect)}, layer ${one.peak.layer}` : "not finite";
  }

  /** Layers that have a number below them. @param {number} width */
  axisLayers(width) {
    const { layers } = this.data;
    const every = [1, 2, 5, 10, 20, 50, 100, 1000].find((step) => (step * width) / layers >= 26) ?? 1000;
    return Array.from({ length: Math.ceil(layers / every) }, (_, index) => index * every);
  }

  /** @param {number | null} effect @param {number} x @param {number} y */
  oneCell(effect, x, y) {
    if (effect === 0) return null;
    const { wide } = this.grid;
    const at = { x, y: y + 0.5, width: wide, height: ROW - 1 };
    if (effect === null) {
      const [a, b] = [x + wide / 2, y + ROW / 2];
      return s("path", { class: "lost", d: `M${a - 2},${b - 3}L${a + 2},${b + 3}M${a - 2},${b + 3}L${a + 2},${b - 3}` });
    }
    const share = Math.min(1, Math.abs(effect) / this.scale);
    if (share < 0.004) return null;
    const cell = s("rect", { class: effect < 0 ? "cell less" : "cell more", ...at, "fill-opacity": share.toFixed(3) });
    if (effect > 0 || share < 0.05) return cell;
    return [cell, s("line", { class: "below", x1: x + wide * 0.22, x2: x + wide * 0.78, y1: y + ROW / 2, y2: y + ROW / 2 })];
  }

  /** @param {Map} one @param {number} x @param {number} y */
  ring(one, x, y) {
    if (!one.peak || one.peak.row < this.first || one.peak.effect <= 0) return null;
    const { wide } = this.grid;
    return s("circle", { class: "ring", cx: x + (one.peak.layer + 0.5) * wide, cy: y + (one.peak.row - this.first + 0.5) * ROW, r: Math.min(3.5, Math.max(2, wide * 0.3)) });
  }

  /** What the colours mean in numbers. @param {number} x @param {number} y */
  legend(x, y) {
    const width = Math.min(240, this.room - x - 24);
    const span = this.most - this.least || 1;
    const count = 48;
    const place = (value) => x + ((value - this.least) / span) * width;
    const steps = Array.from({ length: count }, (_, index) => {
      const value = this.least + ((index + 0.5) / count) * span;
      return s("rect", { class: value < 0 ? "cell less" : "cell more", x: x + (index * width) / count, y, width: width / count, height: 10, "fill-opacity": Math.min(1, Math.abs(value) / this.scale).toFixed(3) });
    });
    const values = [0, this.most / 2, this.most, ...(place(0) - x > 30 ? [this.least] : [])].filter((value, index, all) => all.indexOf(value) === index);
    const numbers = values.map((value) => s("text", { class: "axis", x: place(value), y: y + 24, "text-anchor": "middle" }, amount(value)));
    const bar = this.least < 0 ? s("line", { class: "below", x1: x + 1, x2: Math.max(x + 3, place(0) - 1), y1: y + 5, y2: y + 5 }) : null;
    return s("g", { class: "legend" }, s("rect", { class: "ground", x, y, width, height: 10 }), steps, bar, numbers,
      s("text", { class: "axis", x: x - 12, y: y + 9, "text-anchor": "end" }, "effect"));
  }

  // --- pointing and keys -----------------------------------------------------------------------------

  /** The cell at a pointer. @param {MouseEvent} event */
  under(event) {
    const around = this.figure.getBoundingClientRect();
    const [x, y] = [event.clientX - around.left, event.clientY - around.top];
    for (let index = 0; index < this.grid.names.length; index += 1) {
      const [left, top] = this.corner(index);
      const layer = Math.floor((x - left) / this.grid.wide);
      const row = Math.floor((y - top) / ROW);
      if (layer >= 0 && layer < this.data.layers && row >= 0 && row <= this.last - this.first) return { layer, token: this.first + row };
    }
    return null;
  }

  /** @param {PointerEvent} event */
  pointed(event) {
    if (event.pointerType !== "touch") this.look(this.under(event));
  }

  /** Read another cell for as long as the pointer is there. @param {{layer: number, token: number} | null} cell */
  look(cell) {
    if (cell?.layer === this.over?.layer && cell?.token === this.over?.token) return;
    this.over = cell;
    this.drawCell();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-1e9, 0], End: [1e9, 0] }[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.over = null;
    this.change({
      layer: clamp(this.state.layer + steps[0], 0, this.data.layers - 1),
      token: clamp(this.state.token + steps[1], this.first, this.last),
    });
    this.reveal();
  }

  /** Scroll the chosen cell into its box, never the page. */
  reveal() {
    const [x] = this.corner(0);
    this.bring(this.box, x + this.state.layer * this.grid.wide, this.grid.wide, this.grid.left);
  }

  // --- one cell --------------------------------------------------------------------------------------

  drawCell() {
    const { layer, token } = this.at;
    this.cursors.forEach((cursor, index) => {
      const [x, y] = this.corner(index);
      cursor.setAttribute("x", String(x + layer * this.grid.wide));
      cursor.setAttribute("y", String(y + (token - this.first) * ROW));
    });
    for (const text of this.figure.querySelectorAll(".rows text")) text.classList.toggle("chosen", Number(text.getAttribute("data-row")) === token);
    const role = this.data.rows[token].role;
    const count = this.data.rows[token].count;
    const said = this.many ? `${count} of ${this.data.facts.length} facts have it` : (role ?? "before the subject");
    this.cell.replaceChildren(
      h("h2", {}, this.many ? `Layer ${layer}, ${this.rowName(token)}` : [`Layer ${layer}, at `, h("em", { dir: "auto" }, this.rowName(token))]),
      h("p", { class: "small" }, sentenceCase(said)),
      h("ul", { class: "bars" }, this.shownNames().map((name) => this.reading(name))),
      ...this.elsewhere(), ...this.figures());
    this.drawLines();
  }

  /** The same vector in other views: what it is made of there, what it would say. */
  elsewhere() {
    if (!this.opens || this.many) return [];
    const { layer, token } = this.state;
    const { prompt, rows } = this.data;
    return [h("div", { class: "acts" },
      this.button("Ledger of this vector", () => this.openVector(prompt, token, layer), { title: `${rows[token].name} after layer ${layer}` }),
      this.button("Lens of this text", () => this.open("lens", { text: prompt })))];
  }

  /** One map at the cell: its effect as a part of what was lost. @param {string} name */
  reading(name) {
    const { layer, token } = this.at;
    const effect = this.maps[name].effects[layer][token];
    const total = this.data.total_effect;
    const bar = h("span", { class: `bar${(effect ?? 0) < 0 ? " back" : ""}`, hidden: effect === null });
    bar.style.width = `${100 * Math.min(1, Math.abs(effect ?? 0) / Math.max(this.scale, total ?? 0))}%`;
    const told = [];
    const ends = this.interval(name, layer, token);
    if (this.many && ends) told.push(`${amount(ends[0])} to ${amount(ends[1])}`);
    if (!this.many && effect !== null && this.data.corrupted !== null) told.push(`probability ${amount(Math.max(0, this.data.corrupted + effect))}`);
    if (total > 0 && effect !== null) told.push(`${percent(effect / total)} of the total`);
    return h("li", {}, h("span", {}, this.titleOf(name)), h("span", { class: "value" }, this.told(name)),
      h("span", { class: "track" }, bar), h("small", {}, told.join(" · ")));
  }

  figures() {
    const entries = this.many
      ? [["total effect", amount(this.data.total_effect)], ["95% interval", this.data.total_interval.map(amount).join(" to ")]]
      : [["without corruption", amount(this.data.clean)], ["corrupted", amount(this.data.corrupted)], ["total effect", amount(this.data.total_effect)]];
    return [h("h3", {}, this.many ? "Lost by corruption, on average" : `Probability of ${quoted(this.data.target.trim())}`),
      h("dl", { class: "figures" }, entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      this.kindsHaveErrors() ? small("± is two standard errors over the draws of noise.") : ""];
  }

  kindsHaveErrors() {
    return this.shownNames().some((name) => this.maps[name].errors);
  }

  // --- one token along the layers --------------------------------------------------------------------

  along() {
    this.lines = s("svg", { class: "lines", role: "img" });
    this.keysOf = h("ul", { class: "words" });
    this.heading = h("h2", {});
    this.on(this.lines, "click", (event) => {
      const around = this.lines.getBoundingClientRect();
      const { left, room } = this.plot;
      const share = (event.clientX - around.left - left) / room;
      this.change({ layer: clamp(Math.round(share * (this.data.layers - 1)), 0, this.data.layers - 1) });
    });
    const bands = this.many ? "Bands: 95% intervals of the mean over facts." : this.names.some((name) => this.maps[name].errors) ? "Bands: two standard errors to both sides." : "";
    return h("section", { class: "why" },
      h("div", { class: "controls" }, this.heading, this.exports("layers", () => this.lines, () => this.tokenRows())),
      h("div", { class: "frame" }, this.lines), this.keysOf,
      small(`${bands} The scale is the same for every ${this.many ? "role" : "token"}.`.trim()),
      this.details("These lines as a table", () => this.tokenRows()));
  }

  /** The lowest and the highest value of any token, so that the scale stays where it is. */
  range() {
    let [low, high] = [0, Math.max(1e-9, this.data.total_effect ?? 0)];
    for (const name of this.shownNames()) {
      this.maps[name].effects.forEach((line, layer) => line.forEach((effect, row) => {
        const ends = this.interval(name, layer, row) ?? [effect ?? 0, effect ?? 0];
        low = Math.min(low, ends[0]);
        high = Math.max(high, ends[1]);
      }));
    }
    return [low, high];
  }

  drawLines() {
    const { layer, token } = this.at;
    const { layers } = this.data;
    const [width, height] = [Math.max(220, Math.floor(this.lines.parentElement.clientWidth)), 250];
    const pad = { left: 52, right: 16, top: 14, bottom: 38 };
    this.plot = { left: pad.left, room: width - pad.left - pad.right };
    const [low, high] = this.range();
    const x = (at) => pad.left + (at / Math.max(1, layers - 1)) * this.plot.room;
    const y = (value) => pad.top + ((high - value) / (high - low)) * (height - pad.top - pad.bottom);
    const names = this.shownNames();
    const total = this.data.total_effect;
    // Steps below nothing as above it, so that no two numbers meet.
    const step = ticks(high, 4)[1] ?? high;
    const below = Array.from({ length: Math.floor(-low / step) }, (_, index) => -step * (index + 1));
    const rules = [...ticks(high, 4), ...below].map((value) => [
      s("line", { class: value === 0 ? "zero" : "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, minus(String(Number(value.toPrecision(3))))),
    ]);
    const whole = total > 0 ? [s("line", { class: "whole-line", x1: pad.left, x2: width - pad.right, y1: y(total), y2: y(total) }),
      s("text", { class: "axis", x: pad.left + 4, y: y(total) + 14 }, "total effect")] : [];
    const marks = this.axisLayers(this.plot.room).map((at) => s("text", { class: "axis", x: x(at), y: height - 22, "text-anchor": "middle" }, String(at)));
    const drawn = names.map((name) => this.oneLine(name, token, layer, x, y));
    sized(this.lines, width, height);
    const what = `Effects at ${this.rowName(token)} by layer: ${names.map((name) => this.maps[name].title).join(", ")}`;
    this.heading.replaceChildren(...(this.many ? [sentenceCase(this.rowName(token))] : ["At ", h("em", { dir: "auto" }, this.rowName(token))]), ", layer by layer");
    this.lines.setAttribute("aria-label", what);
    this.lines.replaceChildren(s("title", {}, what), ...rules.flat(), ...whole, s("line", { class: "here", x1: x(layer), x2: x(layer), y1: pad.top, y2: height - pad.bottom }),
      ...marks, s("text", { class: "axis", x: pad.left + this.plot.room / 2, y: height - 5, "text-anchor": "middle" }, "layer"), ...drawn);
    this.keysOf.replaceChildren(...names.map((name) => h("li", {}, marker(series(this.names.indexOf(name))), " ", this.titleOf(name), h("i", {}, this.told(name)))));
  }

  /** @param {string} name @param {number} token @param {number} layer @param {(at: number) => number} x @param {(value: number) => number} y */
  oneLine(name, token, layer, x, y) {
    const number = this.names.indexOf(name);
    const column = this.maps[name].effects.map((line) => line[token]);
    const at = (place, value) => `${x(place).toFixed(1)},${y(value).toFixed(1)}`;
    const held = column.map((value, place) => (value === null ? null : at(place, value)));
    const ends = column.map((_, place) => this.interval(name, place, token));
    const known = ends.flatMap((pair, place) => (pair ? [[place, pair]] : []));
    const band = known.length > 1 ? s("polygon", { class: "band", points: [...known.map(([place, pair]) => at(place, pair[1])), ...known.reverse().map(([place, pair]) => at(place, pair[0]))].join(" ") }) : null;
    const estimate = Object.hasOwn(this.data.approximations, name);
    return s("g", { class: `track ${colour(series(number))}` }, band,
      s("polyline", { points: held.filter(Boolean).join(" "), "stroke-dasharray": estimate ? "6 3" : null }),
      held[layer] ? s("path", { d: shape(series(number) - 1, 5), transform: `translate(${held[layer]})` }) : null);
  }

  // --- tables ----------------------------------------------------------------------------------------

  tokenRows() {
    const { token } = this.state;
    const names = this.shownNames();
    const head = names.flatMap((name) => [this.maps[name].title, "low", "high"]);
    return [["layer", ...head], ...Array.from({ length: this.data.layers }, (_, layer) => [layer, ...names.flatMap((name) => {
      const ends = this.interval(name, layer, token);
      return [this.maps[name].effects[layer][token], ends ? Number(ends[0].toPrecision(4)) : "", ends ? Number(ends[1].toPrecision(4)) : ""];
    })])];
  }

  matrix() {
    const layers = Array.from({ length: this.data.layers }, (_, layer) => String(layer));
    return [["restored", this.many ? "role" : "token", ...layers], ...this.shownNames().flatMap((name) =>
      this.data.rows.map((row, place) => [this.maps[name].title, `${this.rowName(place)}${row.subject ? " *" : ""}`, ...this.maps[name].effects.map((line) => amount(line[place]))]))];
  }

  /** One line per cell, for a spreadsheet. */
  cells() {
    return [["restored", "layer", "row", "name", "role", "effect", "low", "high"], ...this.shownNames().flatMap((name) =>
      this.maps[name].effects.flatMap((line, layer) => line.map((effect, row) => {
        const ends = this.interval(name, layer, row);
        return [this.maps[name].title, layer, row, this.data.rows[row].name, this.data.rows[row].role, effect, ends?.[0] ?? "", ends?.[1] ?? ""];
      })))];
  }

  /** @param {number} room */
  signature(room) {
    const first = this.many ? `${this.data.relation}: ${this.data.facts.length} facts` : `${this.data.prompt} → ${this.data.target.trim()}`;
    return [{ text: clipped(first, room) }, { text: clipped(this.data.corruption, room) }, ...super.signature(room)];
  }
}
