// @ts-check
/**
 * A packing of nearly orthogonal directions: the cosines of all pairs beside random ones and the
 * bound, the search that led there, and of few directions the matrix of their cosines. Or: packings
 * whose optimum is known, and how close the search came.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.packing/1, see docs/rooms/superposition.md) into `el` and returns its own cleanup. It
 * asks nothing of the network, and every text from the data becomes a text node.
 */

import {
  Page, adjustable, clamp, clipped, h, minus, percent, s, scientific, sized, small, ticks,
} from "./kit.js";

const render = adjustable((data) => (data.kind === "known" ? Known : Packing), () => [
  { name: "count", label: "Directions", min: 2, max: 200 },
  { name: "dimensions", label: "Dimensions", min: 2, max: 32 },
  { name: "kind", label: "What counts", options: { lines: "lines: opposites are one", vectors: "vectors: opposites are far" } },
  { name: "steps", label: "Steps", min: 50, max: 2000, step: 50 },
], 200);
export default { render };

const LEAST_GAP = 1e-9;

/** @param {number} value @param {number} [digits] */
const cosine = (value, digits = 4) => {
  const shown = Math.abs(value).toFixed(digits);
  return value < 0 && Number(shown) ? `−${shown}` : shown;
};

/** @param {number} value */
const degrees = (value) => `${value.toFixed(2)}°`;

/** @param {number} share */
const few = (share) => (share === 0 ? "no pairs" : share < 0.00095 ? `${(100 * share).toPrecision(2)}% of pairs` : `${percent(share)} of pairs`);

/** What both forms share. */
class Base extends Page {
  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  /** Draw, and again when there is more or less room. */
  begin() {
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.resized();
  }

  /** @param {string} title @param {string} sub @param {string[][]} keys */
  headOf(title, sub, keys) {
    const help = this.helpOf([...keys, ["?", "this list"], ["Esc", "close it"]], "Point to read, click to stay there. The address holds what you see: copy it to come back.");
    return h("header", {}, h("div", {}, h("h1", { dir: "auto" }, clipped(title, 80)), h("p", { class: "sub" }, sub)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  resized() {
    const room = Math.max(220, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  /** There is no model behind a packing. */
  source() {
    const made = this.data.provenance;
    return `Molehill ${made.version}, seed ${made.seed}.`;
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(this.data.summary[0], room) }, { text: this.source() }];
  }
}

// --- one packing -------------------------------------------------------------------------------------

class Packing extends Base {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.things = data.lines ? "lines" : "vectors";
    this.size = data.lines ? "|cosine|" : "cosine";
    this.subject = `${data.count} ${this.things} in ${data.dimensions}`;
    this.bins = data.histogram.ours.length;
    this.wide = (data.histogram.to - data.histogram.from) / this.bins;
    const worst = clamp(Math.floor((data.largest - 1e-9 - data.histogram.from) / this.wide), 0, this.bins - 1);
    this.state = { ...this.state, scale: "linear", bin: worst, row: data.pair[0], column: data.pair[1] };
    this.over = null;
    this.notice = this.fromHash();
  }

  takers() {
    const most = this.data.count - 1;
    return {
      scale: (value) => ["linear", "log"].includes(value) && this.set("scale", value),
      bin: (value) => this.take("bin", value, 0, this.bins - 1),
      row: (value) => this.take("row", value, 0, most),
      column: (value) => this.take("column", value, 0, most),
    };
  }

  build() {
    const { data } = this;
    const title = `${data.count.toLocaleString("en")} ${this.things} in ${data.dimensions.toLocaleString("en")} dimensions`;
    const keys = [["← →", "cosine below or above (picture focused)"], ["Home End", "lowest or highest cosine"], ...(data.matrix ? [["← → ↑ ↓", "another pair (matrix focused)"]] : [])];
    this.mount(this.headOf(title, `packing · largest ${this.size} ${cosine(data.largest)}, seed ${data.provenance.seed}`, keys),
      this.leadOf(data.summary), this.stage(), this.search(), data.matrix ? this.matrix() : "", this.footOf(data.notes, "packing"));
    this.begin();
  }

  all() {
    this.drawHistogram();
    this.drawSide();
    this.drawSearch();
    if (this.data.matrix) this.drawMatrix();
    this.syncControls();
    const { scale, bin, row, column } = this.state;
    this.writeHash([`scale=${scale}`, `bin=${bin}`, ...(this.data.matrix ? [`row=${row}`, `column=${column}`] : [])]);
    this.say(() => this.binTold());
  }

  // --- cosines ---------------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "pairs", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.side = h("section", { class: "told", "aria-label": "The worst pair, and the cosine that is read" });
    this.on(this.figure, "pointermove", (event) => this.look(this.under(event)));
    this.on(this.figure, "pointerleave", () => this.look(null));
    this.on(this.figure, "click", (event) => this.change({ bin: this.under(event) ?? this.state.bin }));
    this.on(this.figure, "keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -this.bins, End: this.bins }[event.key];
      if (!step) return;
      event.preventDefault();
      this.change({ bin: clamp(this.state.bin + step, 0, this.bins - 1) });
    });
    const bound = this.data.lines ? "Dotted: the bound, to both sides." : "Dotted: the bound.";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Cosines of all pairs"), this.exports("cosines", () => this.figure, () => this.binRows())),
        this.segments("scale", "Scale of shares", { linear: "linear", log: "logarithmic" }), this.box,
        h("p", { class: "caption" }, `Blue: this packing. Grey: as many random directions. ${bound} Each step is the share of pairs in a bin of ${this.wide.toPrecision(2)}.`),
        this.details("Every bin as a table", () => this.binRows())),
      h("div", { class: "side" }, this.side));
  }

  /** @param {any} event */
  under(event) {
    const around = this.figure.getBoundingClientRect();
    const { left, across } = this.plot;
    const place = ((event.clientX - around.left - left) / across) * this.bins;
    return place < 0 || place >= this.bins ? null : Math.floor(place);
  }

  /** @param {number | null} bin */
  look(bin) {
    if (bin === this.over) return;
    this.over = bin;
    this.drawCursor();
    this.drawSide();
  }

  drawHistogram() {
    const { histogram: found, bound } = this.data;
    const [width, height] = [this.room, 320];
    const pad = { left: 52, right: 12, top: 26, bottom: 40 };
    const across = width - pad.left - pad.right;
    const tall = height - pad.top - pad.bottom;
    this.plot = { left: pad.left, across, top: pad.top, tall };
    const log = this.state.scale === "log";
    const most = Math.max(...found.ours, ...found.random);
    const least = Math.min(...[...found.ours, ...found.random].filter((share) => share > 0));
    const [low, high] = log ? [Math.floor(Math.log10(least)), Math.log10(most)] : [0, most];
    const x = (value) => pad.left + ((value - found.from) / (found.to - found.from)) * across;
    const y = (share) => {
      const value = log ? (share > 0 ? Math.log10(share) : low) : share;
      return pad.top + (1 - (value - low) / (high - low || 1)) * tall;
    };
    const steps = (shares) => shares.flatMap((share, bin) => [`${x(found.from + bin * this.wide).toFixed(1)},${y(share).toFixed(1)}`, `${x(found.from + (bin + 1) * this.wide).toFixed(1)},${y(share).toFixed(1)}`]);
    const ours = steps(found.ours);
    const base = pad.top + tall;
    const every = Math.ceil((high - low) / 6) || 1;
    const marks = log ? Array.from({ length: Math.floor((high - low) / every) + 1 }, (_, at) => 10 ** (low + at * every)) : ticks(most, 4);
    const rules = marks.map((value) => [
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, value === 0 ? "0" : value < 1e-7 ? `${scientific(100 * value)}%` : `${String((100 * value).toFixed(7)).replace(/\.?0+$/, "")}%`)]);
    const gap = [0.05, 0.1, 0.2, 0.25, 0.5].find((step) => (found.to - found.from) / step <= Math.max(3, across / 62)) ?? 0.5;
    const first = Math.ceil(found.from / gap);
    const axis = Array.from({ length: Math.floor(found.to / gap + 1e-9) - first + 1 }, (_, at) => gap * (first + at))
      .map((value) => s("text", { class: "axis", x: x(value), y: base + 17, "text-anchor": "middle" }, cosine(value, gap < 0.1 || gap === 0.25 ? 2 : 1)));
    const limits = (this.data.lines ? [-bound.cosine, bound.cosine] : [bound.cosine]).filter((value) => value > found.from && value < found.to);
    const bounds = limits.map((value) => s("line", { class: "bound", x1: x(value), x2: x(value), y1: pad.top - 6, y2: base }));
    const name = `bound ${cosine(bound.cosine)}`;
    const right = limits.length ? x(limits[limits.length - 1]) : 0;
    const label = limits.length ? s("text", { class: "axis", x: clamp(right, pad.left + 40, width - pad.right - 40), y: pad.top - 12, "text-anchor": "middle" }, name) : null;
    this.cursor = s("rect", { class: "cursor" });
    const what = `Cosines of ${this.data.pairs.toLocaleString("en")} pairs: the largest ${this.size} is ${cosine(this.data.largest)}, of random directions ${cosine(this.data.random.cosine)}`;
    sized(this.figure, width, height);
    this.figure.setAttribute("aria-label", what);
    this.figure.replaceChildren(s("title", {}, what), ...rules.flat(),
      s("polygon", { class: "ours-area", points: [`${x(found.from)},${base}`, ...ours, `${x(found.to)},${base}`].join(" ") }),
      s("polyline", { class: "random-line", points: steps(found.random).join(" ") }),
      s("polyline", { class: "ours-line", points: ours.join(" ") }), ...bounds, ...axis, ...(label ? [label] : []),
      s("text", { class: "axis", x: pad.left + across / 2, y: height - 6, "text-anchor": "middle" }, "cosine of a pair"), this.cursor);
    this.drawCursor();
  }

  drawCursor() {
    const { left, across, top, tall } = this.plot;
    const bin = this.over ?? this.state.bin;
    for (const [name, value] of Object.entries({ x: left + (bin / this.bins) * across, width: Math.max(1.5, across / this.bins), y: top, height: tall })) this.cursor.setAttribute(name, String(value));
  }

  binTold() {
    const bin = this.over ?? this.state.bin;
    const { histogram: found } = this.data;
    const from = found.from + bin * this.wide;
    return `Cosines from ${cosine(from, 3)} to ${cosine(from + this.wide, 3)}: ${few(found.ours[bin])}, of random directions ${few(found.random[bin])}.`;
  }

  binRows() {
    const { histogram: found } = this.data;
    return [["from", "to", "share of pairs", "share of random pairs"], ...found.ours.map((share, bin) =>
      [Number((found.from + bin * this.wide).toFixed(5)), Number((found.from + (bin + 1) * this.wide).toFixed(5)), share, found.random[bin]])];
  }

  drawSide() {
    const { data } = this;
    const entries = [[`bound (${data.bound.name})`, data.bound.cosine, data.bound.degrees, "bound"], ["this packing", data.largest, data.degrees, "ours"], ["random", data.random.cosine, data.random.degrees, "random"]];
    const most = Math.max(1e-9, ...entries.map(([, value]) => Number(value)));
    const bars = entries.map(([name, value, angle, kind]) => {
      const bar = h("span", { class: `bar ${kind}` });
      bar.style.width = `${(100 * Math.max(0, Number(value))) / most}%`;
      return h("li", {}, h("span", {}, name), h("span", { class: "value" }, `${cosine(Number(value))} · ${degrees(Number(angle))}`), h("span", { class: "track" }, bar));
    });
    const figures = [["times the bound", data.bound.ratio ? data.bound.ratio.toFixed(3) : "no ratio"], ["as bad as the worst", `${data.as_worst.toLocaleString("en")} pairs`],
      ["nearest, median", cosine(data.nearest.median)], ["typical", `${cosine(data.rms)} (random ${cosine(data.random.rms)})`]];
    this.side.replaceChildren(h("h2", {}, "The worst pair"), small(`The largest ${this.size}: shorter is better.`), h("ul", { class: "bars" }, bars),
      h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("h3", {}, "Where you point"), h("p", { class: "reading" }, this.binTold()));
  }

  // --- the search ------------------------------------------------------------------------------------

  search() {
    this.lines = s("svg", { class: "lines", role: "img" });
    const rows = () => [["step", `largest ${this.size}`, "width"], ...this.data.history.map((one) => [one.step, one.largest, one.width])];
    const many = this.data.reached.length;
    const starts = many > 1 ? ` ${many} starts ended between ${cosine(this.data.reached[0])} and ${cosine(this.data.reached[many - 1])}; the line is the best at each step.` : "";
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "The search"), this.exports("search", () => this.lines, rows)),
      h("div", { class: "frame" }, this.lines),
      small(`Line: the largest ${this.size} at each step. Band: how far below it pairs are still pushed; it narrows to the worst. Dotted: the bound.${starts}`),
      this.details("The search as a table", rows));
  }

  drawSearch() {
    const { history, bound } = this.data;
    const [width, height] = [Math.max(220, Math.floor(this.lines.parentElement.clientWidth)), 230];
    const pad = { left: 52, right: 16, top: 12, bottom: 38 };
    const last = Math.max(1, history[history.length - 1].step);
    const high = Math.max(...history.map((one) => one.largest));
    const low = Math.min(bound.cosine, 0, ...history.map((one) => one.largest));
    const x = (step) => pad.left + (step / last) * (width - pad.left - pad.right);
    const y = (value) => pad.top + ((high - value) / (high - low || 1)) * (height - pad.top - pad.bottom);
    const line = history.map((one) => `${x(one.step).toFixed(1)},${y(one.largest).toFixed(1)}`);
    const below = history.map((one) => `${x(one.step).toFixed(1)},${y(Math.max(low, one.largest - one.width)).toFixed(1)}`).reverse();
    const unit = ticks(high - low, 4)[1];
    const rules = Array.from({ length: Math.floor(high / unit) - Math.ceil(low / unit) + 1 }, (_, at) => unit * (Math.ceil(low / unit) + at)).map((value) => [
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, minus(String(Number(value.toPrecision(3)))))]);
    const marks = ticks(last, Math.max(2, Math.floor(width / 160))).map((step) => s("text", { class: "axis", x: x(step), y: height - 22, "text-anchor": "middle" }, Math.round(step).toLocaleString("en")));
    const what = `The largest ${this.size} by step: from ${cosine(history[0].largest)} to ${cosine(history[history.length - 1].largest)}; the bound is ${cosine(bound.cosine)}`;
    sized(this.lines, width, height);
    this.lines.setAttribute("aria-label", what);
    this.lines.replaceChildren(s("title", {}, what), ...rules.flat(), s("polygon", { class: "ours-area", points: [...line, ...below].join(" ") }),
      s("polyline", { class: "ours-line", points: line.join(" ") }),
      s("line", { class: "bound", x1: pad.left, x2: width - pad.right, y1: y(bound.cosine), y2: y(bound.cosine) }),
      ...marks, s("text", { class: "axis", x: pad.left + (width - pad.left - pad.right) / 2, y: height - 5, "text-anchor": "middle" }, "step"));
  }

  // --- the matrix of cosines -------------------------------------------------------------------------

  matrix() {
    this.cells = s("svg", { class: "matrix", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.pairTold = h("p", { class: "reading" });
    const at = (event) => {
      const around = this.cells.getBoundingClientRect();
      const [column, row] = [event.clientX - around.left, event.clientY - around.top].map((place) => clamp(Math.floor(place / this.cell), 0, this.data.count - 1));
      return { row, column };
    };
    this.on(this.cells, "pointermove", (event) => this.readPair(at(event)));
    this.on(this.cells, "pointerleave", () => this.readPair(this.state));
    this.on(this.cells, "click", (event) => this.change(at(event)));
    this.on(this.cells, "keydown", (event) => {
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!move) return;
      event.preventDefault();
      const most = this.data.count - 1;
      this.change({ row: clamp(this.state.row + move[0], 0, most), column: clamp(this.state.column + move[1], 0, most) });
    });
    const rows = () => [["", ...this.data.matrix.map((_, column) => column)], ...this.data.matrix.map((line, row) => [row, ...line])];
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Every pair"), this.exports("matrix", () => this.cells, rows)),
      this.pairTold, h("div", { class: "frame" }, this.cells),
      small("Blue: above zero. Orange: below. The stronger, the larger. The diagonal is each with itself."), this.details("The matrix as a table", rows));
  }

  drawMatrix() {
    const { matrix, count } = this.data;
    const room = Math.min(560, Math.floor(this.cells.parentElement.clientWidth));
    this.cell = room / count;
    const most = Math.max(1e-6, ...matrix.flatMap((line, row) => line.map((value, column) => (row === column ? 0 : Math.abs(value)))));
    const cells = matrix.flatMap((line, row) => line.map((value, column) => {
      if (row !== column && Math.abs(value) < 5e-5) return null;
      const kind = row === column ? "itself" : value < 0 ? "less" : "more";
      const drawn = s("rect", { class: kind, x: (column * this.cell).toFixed(2), y: (row * this.cell).toFixed(2), width: Math.max(0.5, this.cell - (this.cell > 6 ? 0.6 : 0)).toFixed(2), height: Math.max(0.5, this.cell - (this.cell > 6 ? 0.6 : 0)).toFixed(2) });
      if (row !== column) drawn.setAttribute("fill-opacity", (0.12 + 0.88 * Math.abs(value) / most).toFixed(3));
      return drawn;
    })).filter((one) => one !== null);
    this.pairCursor = s("rect", { class: "cursor", width: this.cell, height: this.cell });
    sized(this.cells, Math.ceil(room) + 1, Math.ceil(room) + 1);
    this.cells.replaceChildren(s("title", {}, "Cosines of every pair"), s("rect", { class: "ground", width: room, height: room }), ...cells, this.pairCursor);
    this.readPair(this.state);
  }

  /** @param {{row: number, column: number}} pair */
  readPair({ row, column }) {
    const value = this.data.matrix[row][column];
    const told = row === column ? `${row} with itself: 1` : `${row} and ${column}: cosine ${cosine(value)}, ${degrees((Math.acos(clamp(value, -1, 1)) * 180) / Math.PI)}`;
    this.pairTold.textContent = told;
    this.pairCursor.setAttribute("x", String(column * this.cell));
    this.pairCursor.setAttribute("y", String(row * this.cell));
    this.cells.setAttribute("aria-label", `Cosines of ${this.data.count} by ${this.data.count}; chosen: ${told}`);
  }
}

// --- known optima ------------------------------------------------------------------------------------

class Known extends Base {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = "known packings";
    this.notice = this.fromHash();
  }

  build() {
    this.figure = s("svg", { class: "gaps", role: "img" });
    this.box = h("div", { class: "frame" }, this.figure);
    const title = "Packings whose optimum is known";
    this.mount(this.headOf(title, `found again from random starts · seed ${this.data.provenance.seed}`, []), this.leadOf(this.data.summary),
      h("section", {},
        h("div", { class: "controls" }, h("h2", {}, "How far above the optimum"), this.exports("gaps", () => this.figure, () => this.rows())), this.box,
        h("p", { class: "caption" }, "Each line is a packing that nothing can beat. Blue disc: the search. Orange cross: alternating projection, which is told the optimum. Grey ring: random directions. Dotted: 0.001.")),
      h("section", { class: "why" }, h("h2", {}, "All of them"), this.table()), this.footOf(this.data.notes, "known"));
    this.begin();
  }

  all() {
    this.draw();
    this.syncControls();
    this.writeHash([]);
  }

  draw() {
    const { rows } = this.data;
    const [tall, top, foot] = [22, 8, 38];
    const width = this.room;
    const names = Math.min(300, Math.round(width * 0.46));
    const height = top + rows.length * tall + foot;
    const x = (gap) => names + 10 + ((Math.log10(Math.max(gap, LEAST_GAP)) + 9) / 9) * (width - names - 26);
    const marks = [-9, -6, -3, 0].map((power) => s("text", { class: "axis", x: x(10 ** power), y: height - 22, "text-anchor": "middle" }, power === 0 ? "1" : power === -9 ? "≤1e−9" : `1e−${-power}`));
    const lines = rows.map((row, at) => {
      const y = top + (at + 0.5) * tall;
      const name = `${row.count} ${row.lines ? "lines" : "vectors"} in ${row.dimensions}`;
      const full = `${row.name}, ${name}`;
      const fits = full.length * 6.7 < names;
      const other = row.alternating === null ? null : x(row.alternating - row.optimum);
      return s("g", {}, s("title", {}, `${full}: ${cosine(row.largest, 6)}, optimum ${cosine(row.optimum, 6)}`),
        s("line", { class: "rule", x1: names, x2: width - 8, y1: y, y2: y }),
        s("text", { x: names - 8, y, dy: "0.35em", "text-anchor": "end" }, fits ? full : name),
        s("circle", { class: "chance", cx: x(row.random - row.optimum), cy: y, r: 4 }),
        other === null ? null : s("path", { class: "cross", d: `M${other - 4},${y - 4}l8,8m0,-8l-8,8` }),
        s("circle", { class: "more", cx: x(row.gap), cy: y, r: 5 }));
    });
    sized(this.figure, width, height);
    this.figure.setAttribute("aria-label", this.data.summary.join(" "));
    this.figure.replaceChildren(s("title", {}, "Largest cosine above the optimum"), ...lines,
      s("line", { class: "bound", x1: x(1e-3), x2: x(1e-3), y1: top, y2: height - foot }), ...marks,
      s("text", { class: "axis", x: names + 10 + (width - names - 26) / 2, y: height - 5, "text-anchor": "middle" }, "largest cosine above the optimum"));
  }

  table() {
    const [head, ...rest] = this.rows();
    const cells = (row, tag) => h("tr", {}, row.map((cell, at) => h(tag, { class: at > 1 ? "figure" : null }, typeof cell === "number" ? minus(String(cell)) : cell)));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All of them" },
      h("table", {}, h("thead", {}, cells(head, "th")), h("tbody", {}, rest.map((row) => cells(row, "td")))));
  }

  rows() {
    const six = (value) => (value === null ? "" : Number(value.toFixed(6)));
    return [["packing", "kind", "N", "d", "optimum", "found", "gap", "bound", "starts that found it", "by shifts", "alternating projection", "random"],
      ...this.data.rows.map((row) => [row.name, row.lines ? "lines" : "vectors", row.count, row.dimensions, six(row.optimum), six(row.largest), Number(row.gap.toExponential(1)),
        row.bound_name, `${row.reached} of ${row.starts}`, row.shifts > 1 ? row.shifts : "", six(row.alternating), six(row.random)])];
  }
}
