// @ts-check
/**
 * Runs of training side by side: curves, samples over steps, recipes and what differs, models kept.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.run/1, see docs/rooms/views.md) into `el` and returns its own cleanup. While a run is at
 * work and the host answers, the question is asked again every few seconds, and not while the page
 * is hidden.
 *
 * @typedef {{run: number, part: string, mark: "line" | "points", of: number, stretch: number,
 *   last: number | null, not_finite: number, not_finite_at: number[], first: number[],
 *   step: number[], value: (number | null)[], seconds: (number | null)[],
 *   low?: (number | null)[], high?: (number | null)[]}} Curve
 * @typedef {{name: string, title: string, unit: string, curves: Curve[]}} ChartData
 */

import {
  Page, clamp, clipped, colour, download, h, marker, minus, rendering, s, sentenceCase, shape, sized, small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const [LEFT, RIGHT, TOP, BOTTOM] = [56, 14, 12, 40];
const DASHES = ["", "6 3", "2 3", "9 3 2 3", "1 2", "12 3"];
const EVERY = 5_000;
const REST = 300;
const X = { step: "steps", read: "read", seconds: "time" };
const STATES = { "at work": "●", finished: "■", stopped: "▲", "not begun": "○" };

/** @param {number} value */
const whole = (value) => Math.round(value).toLocaleString("en-US");

/** Four digits, never an exponent where a person can read without. @param {number | null | undefined} value */
function figure(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (size >= 10_000) return minus(whole(value));
  if (size && size < 0.001) return minus(value.toExponential(2));
  return minus(String(Number(value.toPrecision(4))));
}

/** @param {number} value */
function compact(value) {
  const size = Math.abs(value);
  if (size >= 10_000) return minus(value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 1 }));
  if (size && size < 0.001) return minus(value.toExponential(0));
  return minus(String(Number(value.toPrecision(3))));
}

/** A time as people say it. @param {number} seconds */
function time(seconds) {
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  if (seconds < 6_000) return `${Math.floor(seconds / 60)} min${seconds % 60 >= 1 ? ` ${Math.round(seconds % 60)} s` : ""}`;
  return `${Math.floor(seconds / 3_600)} h ${Math.round((seconds % 3_600) / 60)} min`;
}

/** Round numbers between two, for an axis. @param {number} low @param {number} high @param {number} wanted @param {boolean} log */
function between(low, high, wanted, log) {
  if (log) {
    const decades = Math.log10(high / low);
    const factors = decades > 2.5 ? [1] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 5, 7];
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += Math.max(1, Math.round(decades / 6))) {
      for (const factor of factors) all.push(factor * 10 ** power);
    }
    return all.filter((value) => value >= low && value <= high);
  }
  const rough = (high - low) / wanted || 1;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.max(0, Math.floor(high / step + 1e-9) - first + 1) }, (_, index) => (first + index) * step);
}

/** Exponential smoothing without the pull of its start; gaps stay gaps. @param {(number | null)[]} values @param {number} weight */
function smoothed(values, weight) {
  let [sum, mass] = [0, 0];
  return values.map((value) => {
    if (value === null) return null;
    sum = weight * sum + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return sum / mass;
  });
}

/** One picture of curves. */
class Chart {
  /** @param {View} view @param {ChartData} data */
  constructor(view, data) {
    this.view = view;
    this.data = data;
    this.figure = s("svg", { class: "curves", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End + - 0" });
    this.frame = h("div", { class: "frame" }, this.figure);
    this.keys = h("ul", { class: "keys" });
    this.heading = h("h2", {}, data.title, data.unit ? h("small", {}, ` ${data.unit}`) : "");
    const saved = () => {
      view.saving = this;
      return this.figure;
    };
    this.node = h("section", { class: `picture chart ${data.name}`, "aria-label": data.title },
      h("div", { class: "controls" }, this.heading, view.exports(data.name, saved, () => this.cells())),
      this.keys, this.frame, view.details("As a table", () => this.cells()));
    this.pointing();
  }

  /** The curves of runs that are shown. @returns {Curve[]} */
  get curves() {
    return this.data.curves.filter((curve) => !this.view.state.off.includes(curve.run));
  }

  /** @param {Curve} curve */
  ink(curve) {
    return this.view.many ? curve.run : this.data.curves.indexOf(curve) + 1;
  }

  /** Several runs have a colour each, and a dash for each of their curves. @param {Curve} curve */
  dash(curve) {
    const parts = [...new Set(this.data.curves.map((one) => one.part))];
    return DASHES[(this.view.many ? parts.indexOf(curve.part) : this.data.curves.indexOf(curve)) % DASHES.length];
  }

  /** @param {Curve} curve */
  name(curve) {
    const run = this.view.data.runs[curve.run - 1].name;
    const alone = new Set(this.data.curves.map((one) => one.part)).size === 1;
    if (this.view.many) return alone ? run : `${run}: ${curve.part}`;
    return curve.part;
  }

  /** Where the points of a curve stand. @param {Curve} curve @returns {(number | null)[]} */
  xs(curve) {
    return this.view.xsOf(curve);
  }

  /** @param {number} room */
  draw(room) {
    const { view } = this;
    const { state } = view;
    const height = clamp(Math.round(room * 0.52), 210, 380);
    this.size = [room, height];
    sized(this.figure, room, height);
    const [first, last] = view.range();
    const logX = state.across === "log" && last > 0;
    const logY = state.up === "log";
    const x0 = logX ? Math.max(first, view.least()) : first;
    this.domain = [x0, last, logX];
    const drawn = this.curves.map((curve) => this.prepared(curve, x0, last, logY));
    const [low, high] = this.bounds(drawn, logY);
    const across = logX ? (value) => Math.log(value / x0) / Math.log(last / x0 || 2) : (value) => (value - x0) / (last - x0 || 1);
    const along = logY ? (value) => Math.log(value / low) / Math.log(high / low || 2) : (value) => (value - low) / (high - low || 1);
    this.x = (value) => LEFT + across(value) * (room - LEFT - RIGHT);
    this.y = (value) => height - BOTTOM - along(value) * (height - TOP - BOTTOM);
    this.drawn = drawn;
    const clip = `clip-${this.data.name}`;
    this.cursor = s("g", { class: "cursor" });
    this.brush = s("rect", { class: "brush", y: TOP, height: height - TOP - BOTTOM, x: 0, width: 0 });
    this.figure.replaceChildren(
      s("title", {}, this.data.title), s("defs", {}, s("clipPath", { id: clip }, s("rect", { x: LEFT, y: TOP - 2, width: room - LEFT - RIGHT, height: height - TOP - BOTTOM + 4 }))),
      this.axes(low, high, logX, logY), s("g", { "clip-path": `url(#${clip})` }, drawn.map((one) => this.line(one))), this.cursor, this.brush);
    this.figure.setAttribute("aria-label", this.told(drawn));
    this.drawKeys();
  }

  /** @param {any[]} drawn */
  told(drawn) {
    const lines = drawn.map(({ curve }) => `${this.name(curve)}, last ${figure(curve.last)}`);
    return `${this.data.title}${this.data.unit ? `, ${this.data.unit}` : ""}. ${lines.join("; ")}.`;
  }

  /** What is known exactly is not smoothed. @param {Curve} curve */
  softens(curve) {
    return this.view.state.smooth > 0 && curve.mark === "line" && this.data.name !== "rate";
  }

  /** A curve with its places and its smoothed form, and which of its points are in sight. @param {Curve} curve @param {number} first @param {number} last @param {boolean} log */
  prepared(curve, first, last, log) {
    const xs = this.xs(curve);
    const good = (value) => value !== null && (!log || value > 0);
    const smooth = this.softens(curve) ? smoothed(curve.value, this.view.state.smooth) : null;
    const inside = xs.map((x, place) => x !== null && x >= first && x <= last && good(curve.value[place]));
    return { curve, xs, smooth, inside, good };
  }

  /** @param {any[]} drawn @param {boolean} log */
  bounds(drawn, log) {
    let [low, high] = [Infinity, -Infinity];
    for (const { curve, inside, good } of drawn) {
      inside.forEach((seen, place) => {
        if (!seen) return;
        for (const value of [curve.low?.[place] ?? curve.value[place], curve.high?.[place] ?? curve.value[place]]) {
          if (!good(value)) continue;
          low = Math.min(low, value);
          high = Math.max(high, value);
        }
      });
    }
    if (low > high) return log ? [0.1, 1] : [0, 1];
    if (low === high && log) return [low / 2, high * 2];
    if (low === high) return low >= 0 ? [0, 2 * high || 1] : [2 * low, 0];
    if (log) return [low / (high / low) ** 0.03, high * (high / low) ** 0.03];
    const from = low >= 0 && low < 0.3 * high ? 0 : low - 0.04 * (high - low);
    return [from, high + 0.04 * (high - low)];
  }

  /** @param {number} low @param {number} high @param {boolean} logX @param {boolean} logY */
  axes(low, high, logX, logY) {
    const [room, height] = this.size;
    const [first, last] = this.domain;
    const { x: unit } = this.view.state;
    const label = unit === "seconds" ? time : compact;
    const across = between(first, last, Math.max(2, Math.floor(room / 110)), logX).map((value) => {
      const at = this.x(value);
      return [s("line", { class: "rule", x1: at, x2: at, y1: TOP, y2: height - BOTTOM }), s("text", { class: "axis", x: clamp(at, LEFT + 8, room - 18), y: height - BOTTOM + 16, "text-anchor": "middle" }, label(value))];
    });
    const up = between(low, high, 5, logY).map((value) => {
      const at = this.y(value);
      return [s("line", { class: "rule", x1: LEFT, x2: room - RIGHT, y1: at, y2: at }), s("text", { class: "axis", x: LEFT - 7, y: at, dy: "0.35em", "text-anchor": "end" }, compact(value))];
    });
    const named = { step: "steps", read: this.view.unit, seconds: "time in steps" }[unit];
    const logs = [logX && "log", logY && "upwards log"].filter(Boolean).join(", ");
    return s("g", {}, across, up, s("text", { class: "axis", x: (LEFT + room - RIGHT) / 2, y: height - 5, "text-anchor": "middle" }, `${named}${logs ? ` (${logs})` : ""}`));
  }

  /** @param {any} one */
  line({ curve, xs, smooth, good }) {
    const ink = colour(this.ink(curve));
    const point = (place, values) => `${this.x(xs[place]).toFixed(1)},${this.y(values[place]).toFixed(1)}`;
    const stretches = this.stretches(curve, xs, good);
    const path = (values) => stretches.map((some) => `M${some.map((place) => point(place, values)).join("L")}`).join("");
    const parts = [];
    if (curve.low) {
      const floor = curve.low.map((value) => (good(value) ? value : null));
      const band = stretches.map((some) => `M${some.map((place) => point(place, curve.high)).join("L")}L${[...some].reverse().map((place) => point(place, floor[place] === null ? curve.value : floor)).join("L")}Z`).join("");
      parts.push(s("path", { class: "band", d: band }));
    }
    const dash = this.dash(curve);
    if (curve.mark === "points") {
      parts.push(s("path", { class: "thin", d: path(curve.value), "stroke-dasharray": dash || null }));
      const kind = (this.view.many ? 0 : this.ink(curve) - 1);
      const far = stretches.flat().length > 120;
      for (const place of far ? [] : stretches.flat()) {
        parts.push(s("path", { class: "dot", d: shape(kind, 3.6), transform: `translate(${point(place, curve.value)})` }));
      }
    } else {
      parts.push(s("path", { class: smooth ? "raw" : "line", d: path(curve.value), "stroke-dasharray": dash || null }));
      if (smooth) parts.push(s("path", { class: "line", d: path(smooth), "stroke-dasharray": dash || null }));
      for (const some of stretches) if (some.length === 1) parts.push(s("circle", { class: "dot", r: 2, cx: this.x(xs[some[0]]), cy: this.y(curve.value[some[0]]) }));
    }
    for (const step of curve.not_finite_at) {
      const at = this.view.xOf(curve, step);
      if (at !== null && at >= this.domain[0]) parts.push(s("text", { class: "bad", x: this.x(at), y: TOP + 9, "text-anchor": "middle" }, "×", s("title", {}, `step ${whole(step)}: no finite number`)));
    }
    return s("g", { class: `curve ${ink}` }, parts);
  }

  /** Runs of points without a gap. @param {Curve} curve @param {(number | null)[]} xs @param {(value: any) => boolean} good */
  stretches(curve, xs, good) {
    const found = [[]];
    curve.value.forEach((value, place) => {
      const x = xs[place];
      if (x !== null && good(value) && (!this.domain[2] || x > 0)) found[found.length - 1].push(place);
      else if (found[found.length - 1].length) found.push([]);
    });
    return found.filter((some) => some.length);
  }

  // --- reading -------------------------------------------------------------------------------------

  /** The point of each curve that is nearest to the cursor. */
  read() {
    const at = this.view.at;
    return (this.drawn ?? []).map(({ curve, xs, smooth, inside }) => {
      if (at === null) return { curve, place: null };
      let place = null;
      xs.forEach((x, index) => {
        if (inside[index] && (place === null || Math.abs(x - at) < Math.abs(xs[place] - at))) place = index;
      });
      return { curve, place, x: place === null ? null : xs[place], smooth };
    });
  }

  drawCursor() {
    if (!this.cursor) return;
    const { at } = this.view;
    const [, height] = this.size;
    const seen = at !== null && at >= this.domain[0] && at <= this.domain[1];
    this.cursor.replaceChildren(...(seen ? [
      s("line", { x1: this.x(at), x2: this.x(at), y1: TOP, y2: height - BOTTOM }),
      ...this.read().filter((one) => one.place !== null).map((one) => s("circle", { class: colour(this.ink(one.curve)), r: 4, cx: this.x(one.x), cy: this.y(one.curve.value[one.place]) })),
    ] : []));
    this.drawKeys();
  }

  drawKeys() {
    this.keys.replaceChildren(...this.read().map(({ curve, place, smooth }) => {
      const value = place === null ? curve.last : curve.value[place];
      const where = place === null ? "last" : this.where(curve, place);
      const wide = place !== null && curve.low ? ` (${figure(curve.low[place])} to ${figure(curve.high?.[place])})` : "";
      const soft = place !== null && smooth ? `, smoothed ${figure(smooth[place])}` : "";
      const sample = s("svg", { class: colour(this.ink(curve)), width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true" },
        s("line", { class: curve.mark === "points" ? "thin" : "line", x1: 0, x2: 26, y1: 6, y2: 6, "stroke-dasharray": this.dash(curve) || null }),
        curve.mark === "points" ? s("path", { class: "dot", d: shape(this.view.many ? 0 : this.ink(curve) - 1, 3.6), transform: "translate(13,6)" }) : "");
      return h("li", {}, sample, h("span", { dir: "auto" }, this.name(curve)), h("b", {}, figure(value)), h("small", {}, `${where}${wide}${soft}`));
    }));
  }

  /** @param {Curve} curve @param {number} place */
  where(curve, place) {
    const [from, to] = [curve.first[place], curve.step[place]];
    return curve.stretch > 1 && from !== to ? `mean of steps ${whole(from)} to ${whole(to)}` : `step ${whole(to)}`;
  }

  cells() {
    const rows = this.curves.flatMap((curve) => {
      const smooth = this.softens(curve) ? smoothed(curve.value, this.view.state.smooth) : null;
      const size = this.view.data.runs[curve.run - 1].step_size;
      return curve.step.map((step, place) => [this.view.data.runs[curve.run - 1].name, curve.part, curve.first[place], step, size === null ? null : size * step,
        curve.seconds[place], curve.value[place], curve.low?.[place] ?? curve.value[place], curve.high?.[place] ?? curve.value[place], smooth?.[place] ?? null]);
    });
    return [["run", "curve", "first step", "last step", "read", "seconds", "mean", "minimum", "maximum", "smoothed"], ...rows];
  }

  // --- pointing ------------------------------------------------------------------------------------

  /** @param {PointerEvent} event */
  valueAt(event) {
    const box = this.figure.getBoundingClientRect();
    const [first, last, log] = this.domain;
    const share = clamp(((event.clientX - box.left) / box.width * this.size[0] - LEFT) / (this.size[0] - LEFT - RIGHT), 0, 1);
    return log ? first * (last / first) ** share : first + share * (last - first);
  }

  /** Pointing reads; dragging zooms. */
  pointing() {
    const { view } = this;
    let from = null;
    view.on(this.figure, "pointerdown", (event) => {
      if (event.button) return;
      from = { x: event.clientX, value: this.valueAt(event) };
      if (event.pointerType === "mouse") this.figure.setPointerCapture(event.pointerId);
    });
    view.on(this.figure, "pointermove", (event) => {
      view.point(this.valueAt(event));
      if (!from || event.pointerType !== "mouse") return;
      const [a, b] = [from.value, this.valueAt(event)].sort((one, other) => one - other);
      this.brush.setAttribute("x", String(this.x(a)));
      this.brush.setAttribute("width", String(this.x(b) - this.x(a)));
    });
    view.on(this.figure, "pointerup", (event) => {
      const begun = from;
      from = null;
      this.brush.setAttribute("width", "0");
      if (begun && event.pointerType === "mouse" && Math.abs(event.clientX - begun.x) > 8) {
        const [a, b] = [begun.value, this.valueAt(event)].sort((one, other) => one - other);
        view.zoom(a, b);
      }
    });
    view.on(this.figure, "pointercancel", () => { from = null; });
    view.on(this.figure, "pointerleave", () => !from && view.point(null));
    view.on(this.figure, "dblclick", () => view.zoom(null, null));
    view.on(this.figure, "keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = this;
    const [first, last, log] = this.domain;
    const acts = {
      ArrowLeft: () => (event.shiftKey ? view.pan(-0.2) : this.walk(-1)), ArrowRight: () => (event.shiftKey ? view.pan(0.2) : this.walk(1)),
      Home: () => view.point(first), End: () => view.point(last), "0": () => view.zoom(null, null),
      "+": () => view.scale(0.5), "=": () => view.scale(0.5), "-": () => view.scale(2),
    };
    if (!Object.hasOwn(acts, event.key) || (log && event.shiftKey && event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    acts[event.key]();
    view.say(() => this.read().map(({ curve, place }) => `${this.name(curve)} ${figure(place === null ? curve.last : curve.value[place])}${place === null ? "" : `, ${this.where(curve, place)}`}`).join("; "));
  }

  /** To the next point of the curve that has most of them. @param {number} way */
  walk(way) {
    const longest = [...this.drawn].sort((a, b) => b.xs.length - a.xs.length)[0];
    if (!longest) return;
    const places = longest.xs.filter((_, place) => longest.inside[place]);
    const { at } = this.view;
    const next = way > 0 ? places.find((x) => at === null || x > at + 1e-9) : places.findLast((x) => at === null || x < at - 1e-9);
    if (next !== undefined) this.view.point(next);
  }
}

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.runs.map((run) => run.name).join(" ");
    this.many = data.runs.length > 1;
    this.at = null;
    this.state = { ...this.state, x: "step", across: "linear", up: "linear", smooth: 0, from: null, to: null, off: [], prompt: 0, keys: this.many ? "different" : "all" };
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    this.watching = true;
    this.notice = this.fromHash();
  }

  get unit() {
    return [...new Set(this.data.runs.map((run) => run.unit))].join(" or ");
  }

  build() {
    this.lead = this.leadOf(this.data.summary);
    this.grid = h("div", { class: "charts" });
    this.sampled = h("section", { class: "why samples", "aria-label": "Samples" });
    this.kept = h("section", { class: "why kept", "aria-label": "What is kept" });
    this.recipes = h("section", { class: "why recipe", "aria-label": "Recipes" });
    this.status = h("p", { class: "small status", role: "status" });
    this.tip = small("");
    this.mount(this.head(), this.lead, this.choices(), this.status, this.grid, this.tip, this.sampled, this.kept, this.recipes, this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.grid);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.on(document, "visibilitychange", () => this.watch());
    this.on(this.kept, "click", (event) => this.opened(event));
    this.fill();
    this.all();
    this.watch();
  }

  halt() {
    super.halt();
    this.observer?.disconnect();
    clearTimeout(this.later);
    clearTimeout(this.sharper);
  }

  takers() {
    const number = (name) => (value) => Number.isFinite(Number(value)) && value !== "" && this.set(name, Number(value));
    return {
      x: (value) => Object.hasOwn(X, value) && this.hasX(value) && this.set("x", value),
      across: (value) => ["linear", "log"].includes(value) && this.set("across", value),
      up: (value) => ["linear", "log"].includes(value) && this.set("up", value),
      smooth: (value) => Number(value) >= 0 && Number(value) < 1 && this.set("smooth", Number(value)),
      from: number("from"), to: number("to"),
      off: (value) => this.set("off", value.split(",").map(Number).filter((run) => run >= 1 && run <= this.data.runs.length)),
      prompt: (value) => this.take("prompt", value, 0, Math.max(0, this.data.samples.prompts.length - 1)),
      keys: (value) => ["different", "all"].includes(value) && this.set("keys", value),
    };
  }

  /** Whether curves can be drawn over this. @param {string} name */
  hasX(name) {
    if (name === "read") return this.data.runs.every((run) => run.step_size !== null);
    return name === "step" || this.data.runs.some((run) => run.seconds !== null);
  }

  readAddress() {
    this.detail = undefined;
  }

  all() {
    this.drawCharts();
    this.drawSamples();
    this.drawRecipe();
    this.syncControls();
    const { x, across, up, smooth, from, to, off, prompt, keys } = this.state;
    const parts = [`x=${x}`, `across=${across}`, `up=${up}`, `smooth=${smooth}`, `keys=${keys}`];
    if (from !== null && to !== null) parts.push(`from=${Number(from.toPrecision(6))}`, `to=${Number(to.toPrecision(6))}`);
    if (off.length) parts.push(`off=${off.join(",")}`);
    if (prompt) parts.push(`prompt=${prompt}`);
    this.writeHash(parts);
  }

  /** @param {Record<string, any>} change */
  change(change) {
    // A range in steps means nothing in seconds.
    if ("x" in change && change.x !== this.state.x) change = { ...change, from: null, to: null };
    super.change(change);
    this.sharpen();
  }

  // --- what stands where ---------------------------------------------------------------------------

  /** @param {Curve} curve @returns {(number | null)[]} */
  xsOf(curve) {
    const { x } = this.state;
    if (x === "seconds") return curve.seconds;
    const size = x === "read" ? this.data.runs[curve.run - 1].step_size : 1;
    return curve.step.map((step, place) => ((step + curve.first[place]) / 2) * size);
  }

  /** Where a step stands. @param {Curve} curve @param {number} step */
  xOf(curve, step) {
    const place = curve.step.findIndex((one) => one >= step);
    if (this.state.x === "seconds") return place < 0 ? null : curve.seconds[place];
    return step * (this.state.x === "read" ? this.data.runs[curve.run - 1].step_size : 1);
  }

  shownCurves() {
    return this.data.charts.flatMap((chart) => chart.curves).filter((curve) => !this.state.off.includes(curve.run));
  }

  /** The whole of the axis. @returns {[number, number]} */
  whole() {
    let last = 0;
    for (const curve of this.shownCurves()) for (const x of this.xsOf(curve)) if (x !== null && x > last) last = x;
    return [0, last || 1];
  }

  /** What is in sight. @returns {[number, number]} */
  range() {
    const [first, last] = this.whole();
    const { from, to } = this.state;
    if (from === null || to === null || to <= from || from >= last) return [first, last];
    return [Math.max(first, from), Math.min(last, to)];
  }

  /** The first place above nothing: a logarithm begins there. */
  least() {
    let least = Infinity;
    for (const curve of this.shownCurves()) for (const x of this.xsOf(curve)) if (x !== null && x > 0 && x < least) least = x;
    return Number.isFinite(least) ? least : 1;
  }

  /** @param {number | null} from @param {number | null} to */
  zoom(from, to) {
    this.change({ from, to });
  }

  /** Closer or further, about the cursor. @param {number} factor */
  scale(factor) {
    const [first, last] = this.range();
    const about = this.at !== null && this.at >= first && this.at <= last ? this.at : (first + last) / 2;
    const [low, high] = this.whole();
    const [from, to] = [about - (about - first) * factor, about + (last - about) * factor];
    if (from <= low && to >= high) return this.zoom(null, null);
    return this.zoom(Math.max(low, from), Math.min(high, to));
  }

  /** @param {number} share of what is in sight */
  pan(share) {
    const [first, last] = this.range();
    const [low, high] = this.whole();
    const by = clamp(share * (last - first), low - first, high - last);
    if (by && this.state.from !== null) this.zoom(first + by, last + by);
  }

  /** Read all charts at one place. @param {number | null} at */
  point(at) {
    this.at = at;
    for (const chart of this.charts.values()) chart.drawCursor();
  }

  // --- head and choices ----------------------------------------------------------------------------

  head() {
    const keys = [["← →", "next point (chart focused)"], ["Shift ← →", "move what is in sight"], ["+ −", "closer, further"], ["0", "all of it"], ["Home End", "first or last point"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Point to read all charts at once, drag to zoom, double-click for all of it. The address holds what you see: copy it to come back.");
    const names = this.data.runs.map((run) => run.name);
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(names.join(", "), 60)), h("p", { class: "sub" }, this.many ? `${names.length} runs of training` : "a run of training")),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  choices() {
    const xs = Object.fromEntries(Object.entries({ ...X, read: this.unit }).filter(([name]) => this.hasX(name)));
    this.slider = h("input", { type: "range", min: 0, max: 0.98, step: 0.02, "aria-label": "Smoothing" });
    this.smoothness = h("output", {});
    this.on(this.slider, "input", () => this.change({ smooth: Number(this.slider.value) }));
    this.reset = this.button("All of it", () => this.zoom(null, null), { class: "quiet" });
    const runs = this.data.runs.map((run) => {
      const input = h("input", { type: "checkbox", "data-run": run.number });
      this.on(input, "change", () => this.change({ off: input.checked ? this.state.off.filter((one) => one !== run.number) : [...this.state.off, run.number] }));
      return h("label", { class: `run ${colour(run.number)}` }, input, marker(run.number), h("span", { dir: "auto" }, run.name));
    });
    return h("div", { class: "curve-choices" },
      this.many ? h("fieldset", { class: "runs" }, h("legend", { class: "unseen" }, "Runs that are shown"), runs) : "",
      h("div", { class: "controls" },
        this.segments("x", "Over", xs),
        h("span", { class: "pair" }, h("span", { class: "small" }, "across"), this.segments("across", "Scale across", { linear: "linear", log: "log" })),
        h("span", { class: "pair" }, h("span", { class: "small" }, "up"), this.segments("up", "Scale upwards", { linear: "linear", log: "log" })),
        h("label", { class: "smoothing" }, h("span", { class: "small" }, "Smoothing ", this.smoothness), this.slider), this.reset));
  }

  syncControls() {
    super.syncControls();
    const { smooth, off, from } = this.state;
    this.slider.value = String(smooth);
    this.smoothness.textContent = smooth ? smooth.toFixed(2) : "none";
    this.reset.disabled = from === null;
    for (const input of this.root.querySelectorAll("input[data-run]")) /** @type {HTMLInputElement} */ (input).checked = !off.includes(Number(/** @type {HTMLElement} */ (input).dataset.run));
    const long = this.data.charts.some((chart) => chart.curves.some((curve) => curve.stretch > 1));
    const soft = smooth ? `Smoothed: every point is the mean of itself and those before, each ${smooth} as heavy as the one after it; the raw curve stands behind. ` : "";
    const band = long ? "The band around a long curve goes from the minimum to the maximum of each stretch, its line is the mean. " : "";
    this.tip.textContent = `${soft}${band}Drag to zoom${this.asks && long ? ", which shows more of the points" : ""}.`;
  }

  // --- charts --------------------------------------------------------------------------------------

  resized() {
    const room = Math.floor(this.grid.clientWidth);
    if (room === this.room) return;
    this.room = room;
    this.drawCharts();
  }

  drawCharts() {
    const told = this.detail ?? this.data.charts;
    for (const data of this.data.charts) {
      if (!this.charts.has(data.name)) this.charts.set(data.name, new Chart(this, data));
    }
    const order = this.data.charts.map((data) => this.charts.get(data.name));
    order.forEach((chart, index) => {
      if (chart && this.grid.children[index] !== chart.node) this.grid.insertBefore(chart.node, this.grid.children[index] ?? null);
    });
    for (const chart of order) {
      if (!chart) continue;
      const name = chart.data.name;
      chart.data = told.find((one) => one.name === name) ?? this.data.charts.find((one) => one.name === name) ?? chart.data;
      chart.node.hidden = !chart.curves.length;
      const room = Math.floor(chart.frame.clientWidth);
      if (room > 0) chart.draw(Math.max(240, room));
      chart.drawCursor();
    }
    if (!order.length) this.grid.replaceChildren(small("Nothing was told yet."));
  }

  /** What stands below a saved picture: whose curves. */
  signature() {
    const chart = this.saving;
    const curves = chart ? chart.curves.map((curve) => ({ sentence: chart.ink(curve), text: chart.name(curve) })) : [];
    return [{ text: chart ? `${chart.data.title}${chart.data.unit ? `, ${chart.data.unit}` : ""}` : "" }, ...curves,
      { text: `${this.data.runs.map((run) => run.name).join(", ")}; Molehill ${this.data.provenance.version}${this.state.smooth ? `; smoothed ${this.state.smooth}` : ""}` }];
  }

  /** More of the points of what is in sight, where the host answers. */
  sharpen() {
    clearTimeout(this.sharper);
    if (this.state.from === null || !this.asks) {
      if (this.detail) {
        this.detail = undefined;
        this.drawCharts();
      }
      return;
    }
    this.sharper = setTimeout(() => this.sharpened(), REST);
  }

  async sharpened() {
    const [from, to] = this.range();
    let [first, last] = [Infinity, -Infinity];
    for (const curve of this.shownCurves()) {
      this.xsOf(curve).forEach((x, place) => {
        if (x === null || x < from || x > to) return;
        first = Math.min(first, curve.first[place]);
        last = Math.max(last, curve.step[place]);
      });
    }
    if (first > last || !this.data.charts.some((chart) => chart.curves.some((curve) => curve.stretch > 1))) return;
    this.finer?.abort();
    this.finer = new AbortController();
    try {
      const found = await this.ask("run", { ...this.inputs(), first, last }, { signal: this.finer.signal, fresh: this.working() });
      this.detail = found.charts;
      this.drawCharts();
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = error.message;
    }
  }

  // --- while a run is at work ----------------------------------------------------------------------

  inputs() {
    const [run, ...against] = this.data.runs.map((one) => one.name);
    return { run, against };
  }

  working() {
    return this.data.runs.some((run) => run.state === "at work");
  }

  /** Ask again in a while, as long as there is something to wait for and somebody looks. */
  watch(wait = EVERY) {
    clearTimeout(this.later);
    if (!this.asks || !this.working()) {
      this.status.replaceChildren();
      return;
    }
    if (!this.pause) this.pause = this.button("Pause", () => {
      this.watching = !this.watching;
      this.watch(0);
    }, { class: "quiet" });
    this.pause.textContent = this.watching ? "Pause" : "Go on";
    this.status.replaceChildren(this.watching ? "At work: read again every few seconds. " : "At work; paused here. ", this.pause);
    if (this.watching && !document.hidden) this.later = setTimeout(() => this.again(), wait);
  }

  async again() {
    const begun = performance.now();
    try {
      this.data = { ...this.data, ...await this.ask("run", this.inputs(), { fresh: true }) };
      this.fill();
      this.all();
      if (this.state.from !== null) this.sharpen();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.status.textContent = error.message;
      return;
    }
    // A file that takes long to read is read less often.
    this.watch(Math.max(EVERY, 10 * (performance.now() - begun)));
  }

  /** What a new reading changes beside the curves. */
  fill() {
    const lead = this.leadOf(this.data.summary);
    this.lead.replaceWith(lead);
    this.lead = lead;
    this.drawKept();
  }

  // --- samples, models, recipes --------------------------------------------------------------------

  drawSamples() {
    const { prompts, texts, of } = this.data.samples;
    this.sampled.hidden = !texts.length;
    if (!texts.length) return;
    const at = Math.min(this.state.prompt, prompts.length - 1);
    if (!this.picker || this.picker.options.length !== prompts.length) {
      this.picker = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Prompt" }, prompts.map((prompt, index) => h("option", { value: index }, clipped(prompt, 60)))));
      this.on(this.picker, "change", () => this.change({ prompt: Number(this.picker.value) }));
      this.sampleBody = h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Samples by step" });
      this.sampled.replaceChildren(h("h2", {}, "What it wrote"), h("p", {}, this.picker), this.sampleBody,
        small(texts.length < of ? `The last ${whole(texts.length)} of ${whole(of)} samples. ` : "Every sample that was taken."));
    }
    this.picker.value = String(at);
    const mine = texts.filter((one) => one.prompt === prompts[at] && !this.state.off.includes(one.run));
    const steps = [...new Set(mine.map((one) => one.step))].sort((a, b) => a - b);
    const runs = this.data.runs.filter((run) => mine.some((one) => one.run === run.number));
    const head = h("tr", {}, h("th", { scope: "col", class: "figure" }, "step"), runs.map((run) => h("th", { scope: "col", dir: "auto" }, this.many ? run.name : "text")));
    const rows = steps.map((step) => h("tr", {}, h("th", { scope: "row", class: "figure" }, whole(step)), runs.map((run) => {
      const one = mine.findLast((sample) => sample.run === run.number && sample.step === step);
      return h("td", { class: "text", dir: "auto" }, one ? [h("i", {}, one.prompt), one.text] : "");
    })));
    this.sampleBody.replaceChildren(h("table", {}, h("thead", {}, head), h("tbody", {}, rows)));
  }

  drawKept() {
    const rows = this.data.runs.map((run) => {
      const models = run.models.map((step) => h("li", {}, h("code", {}, `${run.name}@${step}`)));
      const replay = this.opens && run.models.length > 1 ? h("button", { type: "button", "data-replay": run.number }, "Replay a word over these") : "";
      const points = run.checkpoints.length ? `It can go on from step ${run.checkpoints.map(whole).join(" or ")}.` : "";
      const files = run.kind === "features" && run.files.length ? `Came out: ${run.files.join(", ")}.` : "";
      const notices = run.told.map((one) => h("li", { dir: "auto" }, `step ${whole(one.step)}: ${one.text}`));
      return h("div", { class: "one" },
        h("h3", { dir: "auto" }, marker(run.number), ` ${run.name} `, h("span", { class: `state ${run.state.replace(" ", "-")}` }, `${STATES[run.state]} ${run.state}`)),
        h("p", { class: "small" }, `Step ${whole(run.step)}${run.steps === null ? "" : ` of ${whole(run.steps)}`}. ${points} ${files} ${run.parts > 1 ? `In ${run.parts} parts.` : ""}`),
        models.length ? h("ul", { class: "models" }, models) : small(run.kind === "model" ? "No model on the way is kept: [snapshots] in the recipe says which are." : ""), replay,
        notices.length ? h("details", {}, h("summary", {}, `${run.notices} notice${run.notices === 1 ? "" : "s"}${run.notices > notices.length ? `, the last ${notices.length}` : ""}`), h("ul", {}, notices)) : "");
    });
    this.kept.replaceChildren(h("h2", {}, "What is kept"), h("div", { class: "columns" }, rows));
  }

  /** @param {MouseEvent} event */
  opened(event) {
    const found = /** @type {HTMLElement} */ (event.target).closest?.("[data-replay]");
    if (found) this.open("snapshots", { run: this.data.runs[Number(/** @type {HTMLElement} */ (found).dataset.replay) - 1].name });
  }

  drawRecipe() {
    const { recipe, runs } = this.data;
    const all = this.state.keys === "all" || !this.many;
    const rows = recipe.filter((row) => all || row.differs);
    if (!this.recipeBody) {
      this.recipeBody = h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Recipes" });
      this.recipes.replaceChildren(
        h("div", { class: "controls" }, h("h2", {}, this.many ? "Recipes" : "Recipe"),
          this.many ? this.segments("keys", "Keys", { different: "what differs", all: "every key" }) : "",
          h("div", { class: "exports" }, this.button("JSON", () => download(`${this.fileName("recipe")}.json`, JSON.stringify(this.data.recipe, null, 1), "application/json"), { class: "quiet", title: "Save the recipes as JSON" }))),
        this.recipeBody, small("Keys in bold decide what the weights become; the others say how often is looked, told and saved, and where things lie."));
    }
    const head = h("tr", {}, h("th", { scope: "col" }, "key"), runs.map((run) => h("th", { scope: "col", dir: "auto" }, run.name)));
    const body = rows.map((row) => h("tr", { class: row.differs ? "differs" : null },
      h("th", { scope: "row" }, row.decides ? h("b", {}, row.key) : row.key),
      row.values.map((value) => h("td", { dir: "auto", title: value }, value === null ? h("span", { class: "small" }, "not given") : clipped(value, 60)))));
    this.recipeBody.replaceChildren(rows.length ? h("table", {}, h("thead", {}, head), h("tbody", {}, body)) : small("No key differs."));
  }

  source() {
    return `${sentenceCase(this.unit)} are counted by steps; shown by Molehill ${this.data.provenance.version}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "run");
  }
}
