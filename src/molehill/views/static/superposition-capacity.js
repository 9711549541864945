// @ts-check
/**
 * Features written along directions and read back by a gate: errors against the number of features,
 * and the two hills of readings between which the threshold stands.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.superposition-capacity/1, see docs/rooms/views.md) into `el` and returns its own cleanup.
 * It asks nothing of the network, and every text from the data becomes a text node.
 */

import { Page, adjustable, clamp, h, minus, percent, s, shape, sized, small } from "./kit.js";

const render = adjustable(() => View, () => [
  { name: "dimensions", label: "Dimensions", min: 8, max: 512, log: true },
  { name: "active", label: "Active at once", min: 1, max: 32 },
  { name: "directions", label: "Directions", options: { random: "random", "random and packed": "random and packed", "all three": "random, packed, learned" } },
], 200);
export default { render };

const LEFT = 62;
const RIGHT = 32;
const TOP = 14;
const BOTTOM = 42;
const INKS = { random: "c1", packed: "c3", learned: "c4" };
const SHAPES = { random: 0, packed: 1, learned: 2 };
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number} value */
const whole = (value) => Math.round(value).toLocaleString("en-US");

/** @param {number} exponent */
function tenth(exponent) {
  if (exponent >= 0 && exponent < 6) return whole(10 ** exponent);
  if (exponent < 0 && exponent > -4) return String(10 ** exponent);
  return `10${exponent < 0 ? "⁻" : ""}${[...String(Math.abs(exponent))].map((digit) => RAISED[Number(digit)]).join("")}`;
}

/** Two digits that tell. @param {number | null} value */
function few(value) {
  if (value === null) return "none";
  if (value === 0) return "0";
  if (value >= 100) return whole(value);
  if (value >= 1) return value.toFixed(1);
  return value >= 0.001 ? String(Number(value.toPrecision(2))) : minus(value.toExponential(1));
}

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `capacity ${data.dimensions} ${data.active}`;
    this.sizes = data.theory.map((point) => point.features);
    const start = data.theory.findIndex((point) => point.features >= 2 * data.dimensions);
    this.state = { ...this.state, show: "bits", at: this.sizes[start < 0 ? 0 : start] };
    this.over = null;
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.gate(), this.foot());
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
      show: (value) => ["bits", "values"].includes(value) && this.set("show", value),
      at: (value) => this.sizes.includes(Number(value)) && this.set("at", Number(value)),
    };
  }

  resized() {
    const room = Math.max(260, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.drawCurve();
    this.drawRead();
    this.drawHills();
    this.syncControls();
    this.writeHash([`show=${this.state.show}`, `at=${this.state.at}`]);
    const point = this.point();
    this.say(() => `${whole(point.features)} random directions: ${few(point.wrong_bits)} wrong bits in an input, threshold ${point.threshold.toFixed(2)}.`);
  }

  /** The point of theory that is read. */
  point() {
    const wanted = this.over ?? this.state.at;
    return this.data.theory.reduce((best, point) => (Math.abs(Math.log(point.features / wanted)) < Math.abs(Math.log(best.features / wanted)) ? point : best));
  }

  head() {
    const { dimensions, active, fixed, inputs } = this.data;
    const help = this.helpOf([["← →", "fewer or more features (chart focused)"], ["Home End", "fewest or most"], ["?", "this list"], ["Esc", "close it"]],
      "Point at the chart to read it, click to stay there. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", {}, "Orthogonality at work"), h("p", { class: "sub" }, `${whole(dimensions)} dimensions, ${active} features active${fixed ? "" : " on average"} · ${whole(inputs)} inputs a point`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  // --- the curve -------------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "plot", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.read = h("section", { class: "told", "aria-label": "The number of features that is read" });
    this.on(this.figure, "pointermove", (event) => this.look(event));
    this.on(this.figure, "pointerleave", () => this.leave());
    this.on(this.figure, "click", () => this.over !== null && this.change({ at: this.point().features }));
    this.on(this.figure, "keydown", (event) => this.key(event));
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Errors against the number of features"), this.exports("capacity", () => this.figure, () => this.cells())),
        h("div", { class: "choices" }, this.segments("show", "What is counted", { bits: "wrong bits in an input", values: "errors of values" })),
        this.box,
        this.key_ = h("p", { class: "caption keys" }),
        this.details("Every point as a table", () => this.cells())),
      h("div", { class: "side" }, this.read));
  }

  cells() {
    const names = ["wrong_bits", "misses", "false_fires", "all_right", "linear", "gated"];
    const rows = this.data.series.flatMap((one) => one.points.map((point) => [one.name, point.features, point.coherence, point.mean_square,
      ...names.map((name) => point.measured[name]), ...names.filter((name) => name !== "all_right").map((name) => point.expected[name])]));
    return [["directions", "features", "coherence", "mean_square", ...names, ...names.filter((name) => name !== "all_right").map((name) => `expected_${name}`)], ...rows];
  }

  drawCurve() {
    const { theory, series, inputs } = this.data;
    const bits = this.state.show === "bits";
    const [width, height] = [this.room, clamp(Math.round(this.room * 0.6), 300, 440)];
    sized(this.figure, width, height);
    const [first, last] = [this.sizes[0], this.sizes[this.sizes.length - 1]];
    const name = bits ? "wrong_bits" : "gated";
    const low = bits ? Math.floor(Math.log10(0.5 / inputs)) : -3;
    const top = bits ? Math.max(1, Math.ceil(Math.log10(Math.max(...theory.map((point) => point.wrong_bits))))) : 2;
    const x = (count) => LEFT + (Math.log(count / first) / Math.log(last / first)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + ((top - clamp(Math.log10(Math.max(value, 1e-12)), low, top + 1)) / (top - low)) * (height - TOP - BOTTOM);
    this.places = { x, y, width, height, first, last, name };
    const line = (key, ink, extra = "") => s("path", { class: `line ${ink} ${extra}`, d: theory.map((point, index) => `${index ? "L" : "M"}${x(point.features).toFixed(1)},${y(point[key]).toFixed(1)}`).join("") });
    const dots = series.map((one) => one.points.map((point) => {
      const value = point.measured[name];
      const none = Math.log10(Math.max(value, 1e-12)) <= low;
      return s("path", { class: `dot ${INKS[one.name] ?? "c6"}${none ? " none" : ""}`, d: shape(SHAPES[one.name] ?? 3, 5), transform: `translate(${x(point.features).toFixed(1)},${y(value).toFixed(1)})` },
        s("title", {}, `${one.title}, ${whole(point.features)} features: ${few(value)} counted, ${few(point.expected[name])} expected`));
    }));
    const links = series.filter((one) => one.name !== "random").map((one) => s("path", { class: `link ${INKS[one.name] ?? "c6"}`, d: one.points.map((point, index) => `${index ? "L" : "M"}${x(point.features).toFixed(1)},${y(point.measured[name]).toFixed(1)}`).join("") }));
    const clip = s("clipPath", { id: "inside" }, s("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM + 1 }));
    const lines = bits ? [line("wrong_bits", "c1")] : [line("linear", "c2"), line("least_squares", "c5", "dashed"), line("gated", "c1")];
    this.cursor = s("line", { class: "here", y1: TOP, y2: height - BOTTOM });
    const limit = bits ? 1 : 0.5;
    this.figure.replaceChildren(s("title", {}, "Errors against features"), clip, this.axes(low, top, height), s("line", { class: "wanted", x1: LEFT, x2: width - RIGHT, y1: y(limit), y2: y(limit) }),
      this.cursor, s("g", { "clip-path": "url(#inside)" }, lines, links), ...dots.flat());
    this.figure.setAttribute("aria-label", `${bits ? "Wrong bits in an input" : "Squared errors of values"} against ${whole(first)} to ${whole(last)} features, for ${series.map((one) => one.title).join(", ")}`);
    this.drawKeys(bits);
    this.moveCursor();
  }

  /** @param {number} low @param {number} top @param {number} height */
  axes(low, top, height) {
    const { x, y, width, first, last } = this.places;
    const parts = [];
    for (let exponent = Math.ceil(Math.log10(first)); 10 ** exponent <= last; exponent += 1) {
      const at = x(10 ** exponent);
      parts.push(s("line", { class: "rule", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }), s("text", { class: "axis", x: at, y: height - BOTTOM + 16, "text-anchor": "middle" }, tenth(exponent)));
    }
    for (let exponent = low; exponent <= top; exponent += 1) {
      parts.push(s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(10 ** exponent), y2: y(10 ** exponent) }),
        s("text", { class: "axis", x: LEFT - 8, y: y(10 ** exponent), dy: "0.35em", "text-anchor": "end" }, exponent === low ? "0" : tenth(exponent)));
    }
    const { dimensions } = this.data;
    parts.push(s("line", { class: "own", x1: x(dimensions), x2: x(dimensions), y1: TOP, y2: height - BOTTOM }), s("text", { class: "axis", x: x(dimensions) + 5, y: TOP + 12 }, "k = d"));
    parts.push(s("text", { class: "axis", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, "features, k"));
    return s("g", {}, parts);
  }

  /** What the lines and marks are. @param {boolean} bits */
  drawKeys(bits) {
    const mark = (one) => h("span", { class: "key" }, s("svg", { class: `marker ${INKS[one.name] ?? "c6"}`, viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: shape(SHAPES[one.name] ?? 3, 5) })), ` ${one.title}, counted`);
    const bar = (ink, text, dashed = false) => h("span", { class: "key" }, h("i", { class: `stroke ${ink}${dashed ? " dashed" : ""}` }), text);
    const lines = bits ? [bar("c1", "random, by theory")] : [bar("c2", "dot products alone"), bar("c5", "best linear map", true), bar("c1", "gate, by theory")];
    const note = bits ? "The broken line: one wrong bit in an input. What stands on the lowest line was never wrong." : "The broken line: half of what always saying 0 has. Marks are of the gate.";
    this.key_.replaceChildren(...this.data.series.map(mark), ...lines, h("span", {}, note));
  }

  moveCursor() {
    const at = this.places.x(this.point().features);
    this.cursor.setAttribute("x1", String(at));
    this.cursor.setAttribute("x2", String(at));
  }

  drawRead() {
    const point = this.point();
    const rows = [["wrong bits in an input", few(point.wrong_bits)], ["missed of the active", percent(point.misses)], ["fires of the others", point.false_fires < 0.0005 ? few(point.false_fires) : percent(point.false_fires)],
      ["threshold", point.threshold.toFixed(3)], ["dot products alone", few(point.linear)], ["gate, values", few(point.gated)]];
    const near = this.data.series.map((one) => {
      const found = one.points.reduce((best, other) => (Math.abs(Math.log(other.features / point.features)) < Math.abs(Math.log(best.features / point.features)) ? other : best));
      const certain = found.guaranteed === null || found.guaranteed >= this.data.active;
      return h("tr", {}, h("th", { scope: "row" }, one.name), h("td", { class: "figure" }, whole(found.features)), h("td", { class: "figure" }, few(found.measured.wrong_bits)), h("td", { class: "figure" }, found.coherence.toFixed(2)), h("td", {}, certain ? "yes" : "no"));
    });
    const heads = ["counted near", "features", "wrong bits", "|cos|", "certain"];
    this.read.replaceChildren(
      h("h2", {}, `${whole(point.features)} features`),
      small("Random directions, by theory:"),
      h("dl", { class: "pairs" }, rows.map(([name, told]) => [h("dt", {}, name), h("dd", {}, told)])),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Counted near it" }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index > 0 && index < 4 ? "figure" : null }, name)))), h("tbody", {}, near))),
      small("Certain: the largest |cos| alone promises that any choice of so many active features is read rightly."));
  }

  /** @param {PointerEvent} event */
  look(event) {
    const { width, first, last } = this.places;
    const share = clamp((event.clientX - this.figure.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT), 0, 1);
    this.over = first * (last / first) ** share;
    this.follow();
  }

  leave() {
    this.over = null;
    this.follow();
  }

  follow() {
    this.moveCursor();
    this.drawRead();
    this.drawHills();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const at = this.data.theory.indexOf(this.point());
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.sizes.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.over = null;
    this.change({ at: this.sizes[clamp(to, 0, this.sizes.length - 1)] });
  }

  // --- the gate --------------------------------------------------------------------------------------

  gate() {
    this.hills = s("svg", { class: "hills", role: "img" });
    this.told = h("p", { class: "caption" });
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Where the bias stands"), this.exports("gate", () => this.hills, () => [["reading", "not_active", "active"], ...this.data.hills.at.map((at, index) => [at, this.data.hills.silent[index], this.data.hills.firing[index]])])),
      h("div", { class: "frame" }, this.hills), this.told);
  }

  drawHills() {
    const { hills, active, dimensions } = this.data;
    const point = this.point();
    const width = Math.max(260, this.hills.parentElement.clientWidth || this.room);
    const height = 270;
    sized(this.hills, width, height);
    const others = point.features - active;
    const [from, to] = [hills.at[0], hills.at[hills.at.length - 1]];
    const [low, top] = [-3, Math.max(2, Math.ceil(Math.log10(others * Math.max(1, ...hills.silent))))];
    const x = (reading) => LEFT + ((reading - from) / (to - from)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + ((top - Math.log10(Math.max(value, 1e-9))) / (top - low)) * (height - TOP - BOTTOM);
    const floor = height - BOTTOM;
    /** @param {number[]} values @param {number} weight */
    const path = (values, weight, start = -9, end = 9) => {
      const inside = hills.at.map((at, index) => [at, values[index]]).filter(([at]) => at >= start && at <= end);
      return inside.map(([at, value], index) => `${index ? "L" : "M"}${x(at).toFixed(1)},${Math.min(y(weight * value), floor + 400).toFixed(1)}`).join("");
    };
    const closed = (d, start, end) => (d ? `${d}L${x(end).toFixed(1)},${floor + 400}L${x(start).toFixed(1)},${floor + 400}Z` : "");
    const cut = clamp(point.threshold, from, to);
    const after = hills.at.find((at) => at >= cut) ?? to;
    const before = [...hills.at].reverse().find((at) => at <= cut) ?? from;
    const marks = [-0.5, 0, 0.5, 1, 1.5, 2];
    const has = hills.firing.length > 0;
    const grid = [];
    for (let exponent = low; exponent <= top; exponent += 1) grid.push(s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(10 ** exponent), y2: y(10 ** exponent) }), (exponent - low) % 2 ? "" : s("text", { class: "axis", x: LEFT - 8, y: y(10 ** exponent), dy: "0.35em", "text-anchor": "end" }, tenth(exponent)));
    this.hills.replaceChildren(
      s("title", {}, "Readings of features that are not active, and of those that are"), ...grid,
      ...marks.map((at) => s("text", { class: "axis", x: x(at), y: floor + 16, "text-anchor": "middle" }, minus(String(at)))),
      s("text", { class: "axis", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, "dot product with the feature's own direction"),
      s("clipPath", { id: "above" }, s("rect", { x: LEFT, y: 0, width: width - LEFT - RIGHT, height: floor })),
      s("g", { "clip-path": "url(#above)" },
      s("path", { class: "wrong c2", d: closed(path(hills.silent, others, after), after, to) }),
      has ? s("path", { class: "wrong c5", d: closed(path(hills.firing, active, -9, before), from, before) }) : "",
      s("path", { class: "line c2", d: path(hills.silent, others) }),
      has ? s("path", { class: "line c1", d: path(hills.firing, active) }) : s("line", { class: "line c1", x1: x(1), x2: x(1), y1: TOP, y2: floor })),
      s("line", { class: "threshold", x1: x(cut), x2: x(cut), y1: TOP - 4, y2: floor }),
      s("text", { class: "name", x: x(cut) + 6, y: TOP + 8 }, `bias −${cut.toFixed(2)}`),
      s("text", { class: "axis", x: x(0), y: Math.max(y(others * Math.max(...hills.silent)) - 8, 11), "text-anchor": "middle" }, `${whole(others)} not active`),
      s("text", { class: "axis", x: x(1), y: has ? y(active * Math.max(...hills.firing)) - 8 : TOP + 30, "text-anchor": "start", dx: 14 }, `${active} active`));
    this.hills.setAttribute("aria-label", `Two hills of readings for ${whole(point.features)} features, around 0 and around 1; the threshold at ${cut.toFixed(2)}`);
    this.told.textContent = `How many features of an input read how much (the scale is in powers of ten), for ${whole(point.features)} random directions. Interference spreads both hills by √(active / d) = ${Math.sqrt(active / dimensions).toFixed(2)}, however many features there are; but the more there are, the higher the left hill, and the further right the bias must stand. ReLU passes what is to the right of it: the orange tail is what fires wrongly, the yellow one what is missed.`;
  }

  signature() {
    const made = this.data.provenance;
    return [{ text: this.data.summary[0] }, { text: `Molehill ${made.version}, seed ${made.seed}` }];
  }

  source() {
    return `Molehill ${this.data.provenance.version}, seed ${this.data.provenance.seed}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "capacity");
  }
}
