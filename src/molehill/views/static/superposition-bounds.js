// @ts-check
/**
 * Bounds on nearly orthogonal directions: how their number grows with the dimensions, how far apart
 * so many can be, and in how many dimensions it works.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.superposition-bounds/1, see docs/rooms/views.md) into `el` and returns its own cleanup.
 * It asks nothing of the network, and every text from the data becomes a text node.
 *
 * @typedef {{dimensions: number, explicit: number, explicit_name: string, exists: number, upper: number}} Point
 * @typedef {{name: string, how: string, log2: number, count: number | null}} Estimate
 */

import { Page, adjustable, clamp, h, number, s, sized, small } from "./kit.js";

const render = adjustable(() => View, () => [
  { name: "count", label: "Directions", min: 2, max: 10_000_000, log: true },
  { name: "dimensions", label: "Dimensions", min: 2, max: 10_000, log: true },
  { name: "degrees", label: "Angle", min: 45, max: 90, step: 0.5, told: (value) => `${value}°` },
]);
export default { render };

const LEFT = 58;
const BOTTOM = 40;
const TOP = 14;
const RIGHT = 30;
const LN10 = Math.log10(2);
const HOW = { explicit: "written down", drawn: "drawn, repaired", exists: "shown to exist", theorem: "theorem", certificate: "checked certificate" };

/** With commas. @param {number} value */
const whole = (value) => Math.round(value).toLocaleString("en-US");

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number} value */
const raised = (value) => `${value < 0 ? "⁻" : ""}${[...String(Math.abs(value))].map((digit) => RAISED[Number(digit)] ?? "").join("")}`;

/** A count that is given as a power of two. @param {number} log2 */
function power(log2) {
  if (log2 < 33) return whole(Math.floor(2 ** log2 * (1 + 1e-9)));
  const ten = log2 * LN10;
  return ten < 100 ? `${(10 ** (ten % 1)).toFixed(1)}·10${raised(Math.floor(ten))}` : `10${raised(Math.round(ten))}`;
}

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `${data.count ?? ""} bounds ${data.dimensions}`;
    this.angles = data.growth.map((one) => String(one.degrees));
    this.state = { ...this.state, angle: this.angles[0], show: "number", at: data.dimensions };
    this.over = null;
    this.notice = this.fromHash();
  }

  build() {
    const parts = [this.head(), this.leadOf(this.data.summary), this.stage()];
    if (this.data.bounds) parts.push(this.ladder());
    parts.push(this.tables());
    this.mount(...parts, this.foot());
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
    const points = this.data.growth[0].points;
    return {
      angle: (value) => this.angles.includes(value) && this.set("angle", value),
      show: (value) => ["number", "rate"].includes(value) && this.set("show", value),
      at: (value) => points.some((point) => String(point.dimensions) === value) && this.set("at", Number(value)),
    };
  }

  resized() {
    const room = Math.max(260, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
    this.drawLadder();
    this.drawNeeded();
  }

  all() {
    this.drawGrowth();
    this.drawRead();
    this.syncControls();
    const { angle, show, at } = this.state;
    this.writeHash([`angle=${angle}`, `show=${show}`, `at=${at}`]);
    const point = this.point();
    this.say(() => `${whole(point.dimensions)} dimensions, ${angle} degrees: at least ${power(this.least(point))}, at most ${power(point.upper)} lines.`);
  }

  get curve() {
    return this.data.growth[this.angles.indexOf(this.state.angle)];
  }

  /** The point that is read. @returns {Point} */
  point() {
    const wanted = this.over ?? this.state.at;
    const points = this.curve.points;
    return points.reduce((best, point) => (Math.abs(Math.log(point.dimensions / wanted)) < Math.abs(Math.log(best.dimensions / wanted)) ? point : best));
  }

  /** @param {Point} point */
  least(point) {
    return Math.max(point.explicit, point.exists);
  }

  head() {
    const { count, dimensions, degrees } = this.data;
    const title = count === null ? `${whole(dimensions)} dimensions` : `${whole(count)} in ${whole(dimensions)}`;
    const keys = [["← →", "fewer or more dimensions (chart focused)"], ["Home End", "fewest or most"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Point at the chart to read it, click to stay there. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", {}, title), h("p", { class: "sub" }, `nearly orthogonal directions: what theory allows, at ${degrees}°`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  // --- growth ----------------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "plot", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.read = h("section", { class: "told", "aria-label": "The dimensions that are read" });
    this.on(this.figure, "pointermove", (event) => this.look(event));
    this.on(this.figure, "pointerleave", () => this.leave());
    this.on(this.figure, "click", () => this.over !== null && this.change({ at: this.point().dimensions }));
    this.on(this.figure, "keydown", (event) => this.key(event));
    const angles = Object.fromEntries(this.angles.map((angle) => [angle, `${angle}°`]));
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "How many lines keep the angle"), this.exports("growth", () => this.figure, () => this.cells())),
        h("div", { class: "choices" }, this.segments("angle", "Angle", angles), this.segments("show", "What is drawn", { number: "number", rate: "doublings per dimension" })),
        this.box,
        h("p", { class: "caption" }, "Both axes are in powers. No set of lines is above the orange line; blue lines can be written down; the green ones exist by a proof that names none of them. The shade between is not known. Left of d = 1/cos², hardly more lines fit than there are dimensions; right of it, soon d² do."),
        this.details("The curve as a table", () => this.cells())),
      h("div", { class: "side" }, this.read));
  }

  cells() {
    return [["degrees", "dimensions", "explicit_log2", "explicit", "exists_log2", "upper_log2"],
      ...this.curve.points.map((point) => [this.curve.degrees, point.dimensions, point.explicit, point.explicit_name, point.exists, point.upper])];
  }

  drawGrowth() {
    const { points } = this.curve;
    const [width, height] = [this.room, clamp(Math.round(this.room * 0.62), 300, 460)];
    sized(this.figure, width, height);
    const rate = this.state.show === "rate";
    const last = Math.max(10, points[points.length - 1].dimensions);
    const value = (log2, d) => (rate ? Math.log10(Math.max(log2, 1e-9) / d) : log2 * LN10);
    const top = rate ? 0 : 15;
    const low = rate ? Math.floor(Math.log10(this.curve.rates.lower)) : 0;
    const x = (d) => LEFT + ((Math.log10(d) - Math.log10(2)) / (Math.log10(last) - Math.log10(2))) * (width - LEFT - RIGHT);
    const y = (v) => TOP + ((top - v) / (top - low)) * (height - TOP - BOTTOM);
    this.scale = { x, width, last };
    const path = (name) => points.map((point, index) => `${index ? "L" : "M"}${x(point.dimensions).toFixed(1)},${y(clamp(value(name(point), point.dimensions), low - 2, top + 2)).toFixed(1)}`).join("");
    const upper = (point) => point.upper;
    const best = (point) => this.least(point);
    const back = [...points].reverse().map((point) => `L${x(point.dimensions).toFixed(1)},${y(clamp(value(best(point), point.dimensions), low - 2, top + 2)).toFixed(1)}`).join("");
    const clip = s("clipPath", { id: "inside" }, s("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM }));
    const inside = s("g", { "clip-path": "url(#inside)" },
      s("path", { class: "band", d: `${path(upper)}${back}Z` }),
      rate ? this.rates(y, width) : this.asked(x, y, path),
      s("path", { class: "line c3 dashed", d: path((point) => point.exists) }),
      s("path", { class: "line c1", d: path((point) => point.explicit) }),
      s("path", { class: "line c2", d: path(upper) }));
    this.cursor = s("g", {});
    this.places = { x, y, value, low, top, height };
    this.figure.replaceChildren(s("title", {}, "Number of lines against dimensions"), clip, this.axes(x, y, low, top, rate, width, height, last), inside, this.cursor, this.names(x, y, value, width));
    this.figure.setAttribute("aria-label", `Lines ${this.state.angle} degrees apart, from below and from above, against dimensions from 2 to ${whole(last)}`);
    this.drawCursor();
  }

  /** @param {(d: number) => number} x @param {(v: number) => number} y @param {number} low @param {number} top @param {boolean} rate @param {number} width @param {number} height @param {number} last */
  axes(x, y, low, top, rate, width, height, last) {
    const lines = [];
    for (let exponent = 1; 10 ** exponent <= last; exponent += 1) {
      lines.push(s("line", { class: "rule", x1: x(10 ** exponent), x2: x(10 ** exponent), y1: TOP, y2: height - BOTTOM }),
        s("text", { class: "axis", x: x(10 ** exponent), y: height - BOTTOM + 16, "text-anchor": "middle" }, whole(10 ** exponent)));
    }
    for (let exponent = low; exponent <= top; exponent += rate ? 1 : 3) {
      lines.push(s("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(exponent), y2: y(exponent) }),
        s("text", { class: "axis", x: LEFT - 8, y: y(exponent), dy: "0.35em", "text-anchor": "end" }, exponent === 0 ? "1" : `10${raised(exponent)}`));
    }
    lines.push(s("text", { class: "axis", x: (LEFT + width - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, "dimensions"));
    return s("g", {}, lines);
  }

  /** What was asked for, the dimensions themselves, and where the rise begins. @param {any} x @param {any} y @param {any} path */
  asked(x, y, path) {
    const { count, dimensions } = this.data;
    const cosine = Math.cos((this.curve.degrees * Math.PI) / 180);
    const rise = 1 / cosine ** 2;
    const parts = [s("path", { class: "own", d: path((point) => Math.log2(point.dimensions)) })];
    if (rise < this.scale.last) parts.push(s("line", { class: "rise", x1: x(rise), x2: x(rise), y1: 0, y2: 1000 }));
    if (count !== null) {
      const [cx, cy] = [x(dimensions), y(Math.log10(count))];
      parts.push(s("line", { class: "wanted", x1: LEFT, x2: this.scale.width - RIGHT, y1: cy, y2: cy }),
        s("path", { class: "asked", d: `M${cx - 6},${cy - 6}L${cx + 6},${cy + 6}M${cx - 6},${cy + 6}L${cx + 6},${cy - 6}` }));
    }
    return s("g", {}, parts);
  }

  /** @param {(v: number) => number} y @param {number} width */
  rates(y, width) {
    const { lower, upper } = this.curve.rates;
    return s("g", {}, [lower, upper].map((rate) => s("line", { class: "wanted", x1: LEFT, x2: width - RIGHT, y1: y(Math.log10(rate)), y2: y(Math.log10(rate)) })));
  }

  /** @param {any} x @param {any} y @param {any} value @param {number} width */
  names(x, y, value, width) {
    const { count, dimensions } = this.data;
    const told = [];
    if (this.state.show === "number") {
      const rise = 1 / Math.cos((this.curve.degrees * Math.PI) / 180) ** 2;
      if (rise < this.scale.last) told.push(s("text", { class: "axis", x: x(rise) - 6, y: TOP + 14, "text-anchor": "end" }, `d = 1/cos² = ${whole(rise)}`));
      if (count !== null) {
        const right = x(dimensions) > width * 0.6;
        told.push(s("text", { class: "name", x: x(dimensions) + (right ? -10 : 10), y: y(Math.log10(count)) - 8, "text-anchor": right ? "end" : "start" }, width < 480 ? "asked" : `asked: ${whole(count)} in ${whole(dimensions)}`));
      }
    } else {
      const { lower, upper } = this.curve.rates;
      told.push(s("text", { class: "axis", x: LEFT + 8, y: y(Math.log10(upper)) - 6 }, `in the long run at most ${upper.toPrecision(2)}`), s("text", { class: "axis", x: LEFT + 8, y: y(Math.log10(lower)) - 6 }, `at least ${lower.toPrecision(2)}`));
    }
    return s("g", { class: "names" }, told);
  }

  drawCursor() {
    const { x, y, value, low, top, height } = this.places;
    const point = this.point();
    const dots = [["c2", point.upper], ["c1", point.explicit], ["c3", point.exists]].map(([ink, log2]) => {
      const v = value(log2, point.dimensions);
      return v >= low && v <= top ? s("circle", { class: `dot ${ink}`, cx: x(point.dimensions), cy: y(v), r: 4 }) : null;
    });
    this.cursor.replaceChildren(s("line", { class: "here", x1: x(point.dimensions), x2: x(point.dimensions), y1: TOP, y2: height - BOTTOM }), ...dots.filter((dot) => dot !== null));
  }

  drawRead() {
    const point = this.point();
    const explicit = power(point.explicit);
    const figure = (ink, name, told, note) => [h("dt", {}, h("i", { class: `swatch ${ink}` }), name), h("dd", {}, told, note ? h("small", {}, ` ${note}`) : null)];
    this.read.replaceChildren(
      h("h2", {}, `In ${whole(point.dimensions)} dimensions, at ${this.state.angle}°`),
      h("dl", { class: "stack" },
        figure("c2", "at most", power(point.upper), "Levenshtein"),
        figure("c1", "written down", explicit, point.explicit_name),
        figure("c3", "shown to exist", point.exists < 33 ? whole(Math.ceil(2 ** point.exists)) : power(point.exists), "by volume")),
      small(this.sense(point)));
  }

  /** @param {Point} point */
  sense(point) {
    const times = 2 ** (this.least(point) - Math.log2(point.dimensions));
    const most = 2 ** (point.upper - Math.log2(point.dimensions));
    if (most < 2) return `Hardly more than the ${whole(point.dimensions)} axes: at most ${most.toFixed(2)} lines for each dimension.`;
    return `For each dimension ${times < 1e6 ? number(times) : power(Math.log2(times))} lines at least, ${most < 1e6 ? number(most) : power(Math.log2(most))} at most.`;
  }

  /** @param {PointerEvent} event */
  look(event) {
    const box = this.figure.getBoundingClientRect();
    const share = clamp((event.clientX - box.left - LEFT) / (this.scale.width - LEFT - RIGHT), 0, 1);
    this.over = 2 * (this.scale.last / 2) ** share;
    this.drawCursor();
    this.drawRead();
  }

  leave() {
    this.over = null;
    this.drawCursor();
    this.drawRead();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const points = this.curve.points;
    const at = points.indexOf(this.point());
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.over = null;
    this.change({ at: points[clamp(to, 0, points.length - 1)].dimensions });
  }

  // --- how far apart ---------------------------------------------------------------------------------

  ladder() {
    this.rungs = s("svg", { class: "ladder", role: "img" });
    this.axisBox = this.data.needed ? s("svg", { class: "needed", role: "img" }) : null;
    const best = this.data.bounds.best_vectors;
    return h("section", { class: "apart" },
      h("div", {},
        h("div", { class: "controls" }, h("h2", {}, "How far apart the closest pair can be"), this.exports("angles", () => this.rungs, () => [["bound", "cosine", "degrees", "how"], ...this.steps().map((one) => [one.name, one.cosine, one.degrees, one.how])])),
        h("div", { class: "frame" }, this.rungs),
        h("p", { class: "caption" }, `Every theorem shuts out the angles to its right; the strictest counts. As vectors, whose opposites do not count, the closest pair is at most ${best.degrees.toFixed(2)}° apart (${best.name}).`)),
      this.axisBox ? h("div", {},
        h("div", { class: "controls" }, h("h2", {}, `Dimensions for ${whole(this.data.count)} lines at ${this.data.degrees}°`)),
        h("div", { class: "frame" }, this.axisBox),
        h("p", { class: "caption" }, "Fewer than the first cannot do; the second is a set that anyone can write down. Drawing at random takes far more, and the lemma of Johnson and Lindenstrauss promises it later still.")) : "");
  }

  steps() {
    const { lines, random } = this.data.bounds;
    const chance = { name: "random, on average", cosine: random.expected, degrees: random.degrees, how: "random" };
    return [...lines].sort((a, b) => a.cosine - b.cosine).concat(chance);
  }

  drawLadder() {
    if (!this.rungs) return;
    const rows = this.steps();
    const width = Math.max(260, this.rungs.parentElement.clientWidth || this.room);
    const tall = 30;
    const head = 20;
    const names = Math.min(170, width * 0.4);
    const least = Math.min(...rows.map((row) => row.degrees), this.data.degrees);
    const low = Math.max(0, Math.floor(least / 10) * 10 - 5);
    const x = (angle) => names + ((angle - low) / (90 - low)) * (width - names - 70);
    const bottom = head + rows.length * tall + 4;
    const step = 90 - low > 40 ? 20 : 90 - low > 18 ? 10 : 5;
    const marks = Array.from({ length: Math.floor((90 - low) / step) + 1 }, (_, index) => 90 - index * step);
    sized(this.rungs, width, bottom + 26);
    const wanted = x(this.data.degrees);
    this.rungs.replaceChildren(
      s("title", {}, "Angles of the closest pair"),
      ...marks.flatMap((angle) => [s("line", { class: "rule", x1: x(angle), x2: x(angle), y1: head, y2: bottom }), s("text", { class: "axis", x: x(angle), y: bottom + 16, "text-anchor": "middle" }, `${angle}°`)]),
      ...rows.map((row, index) => {
        const middle = head + index * tall + tall / 2;
        const theorem = row.how !== "random";
        return s("g", {},
          s("text", { x: names - 10, y: middle, dy: "0.35em", "text-anchor": "end" }, row.name),
          theorem ? s("rect", { class: "shut", x: x(row.degrees), y: middle - 9, width: Math.max(0, x(90) - x(row.degrees)), height: 18 }) : null,
          s("circle", { class: `dot ${theorem ? "c2" : "c3"}`, cx: x(row.degrees), cy: middle, r: 5 }),
          s("text", { class: "value", x: x(row.degrees) - 10, y: middle, dy: "0.35em", "text-anchor": x(row.degrees) - names > 64 ? "end" : "start", dx: x(row.degrees) - names > 64 ? 0 : 20 }, `${row.degrees.toFixed(2)}°`));
      }),
      s("line", { class: "wanted", x1: wanted, x2: wanted, y1: head - 4, y2: bottom }),
      s("text", { class: "axis", x: wanted, y: 11, "text-anchor": wanted > width - 80 ? "end" : "middle" }, `asked ${this.data.degrees}°`));
    this.rungs.setAttribute("aria-label", rows.map((row) => `${row.name} ${row.degrees.toFixed(2)} degrees`).join(", "));
  }

  drawNeeded() {
    if (!this.axisBox) return;
    const { needed } = this.data;
    const rows = [["fewer cannot do", needed.at_least, "c2"], ["written down", needed.explicit, "c1"], ["drawn at random", needed.random, "c3"], ["Johnson–Lindenstrauss", needed.johnson_lindenstrauss, "c8"]];
    const width = Math.max(240, this.axisBox.parentElement.clientWidth || this.room);
    const [low, high] = [Math.log10(needed.at_least) - 0.4, Math.log10(needed.johnson_lindenstrauss) + 0.3];
    const x = (d) => 8 + ((Math.log10(d) - low) / (high - low)) * (width - 20);
    const tall = 44;
    const bottom = rows.length * tall + 6;
    sized(this.axisBox, width, bottom + 24);
    const marks = Array.from({ length: Math.floor(high) - Math.ceil(low) + 1 }, (_, index) => 10 ** (Math.ceil(low) + index));
    this.axisBox.replaceChildren(
      s("title", {}, "Dimensions that it takes"),
      ...marks.flatMap((d) => [s("line", { class: "rule", x1: x(d), x2: x(d), y1: 0, y2: bottom }), x(d) > 24 && x(d) < width - 30 ? s("text", { class: "axis", x: x(d), y: bottom + 16, "text-anchor": "middle" }, whole(d)) : ""]),
      ...rows.map(([name, d, ink], index) => {
        const middle = index * tall + 32;
        const left = x(d) > width * 0.55;
        return s("g", {},
          s("line", { class: `reach ${ink}`, x1: index ? x(d) : 8, x2: index ? width - 8 : x(d), y1: middle, y2: middle }),
          s("circle", { class: `dot ${ink}`, cx: x(d), cy: middle, r: 5 }),
          s("text", { x: left ? x(d) + 5 : x(d) - 5, y: middle - 12, "text-anchor": left ? "end" : "start" }, `${name}: `, s("tspan", { class: "name" }, whole(d))));
      }));
    this.axisBox.setAttribute("aria-label", rows.map(([name, d]) => `${name} ${whole(d)}`).join(", "));
  }

  // --- tables and the foot ---------------------------------------------------------------------------

  tables() {
    const { how_many: found, degrees, dimensions } = this.data;
    const titles = { lines: "Lines: an opposite is the same", vectors: "Vectors: an opposite is another" };
    const table = (kind) => {
      const rows = [["upper", "at most"], ["lower", "at least"]].flatMap(([side, word]) => found[kind][side].map((one, place) =>
        h("tr", {}, h("th", { scope: "row" }, place ? "" : word), h("td", { class: "figure" }, one.count === null ? power(one.log2) : whole(one.count)), h("td", {}, one.name), h("td", {}, h("small", {}, HOW[one.how])))));
      return h("div", {}, h("h3", {}, titles[kind]), h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": titles[kind] }, h("table", {}, h("tbody", {}, rows))));
    };
    return h("section", { class: "why" }, h("h2", {}, `How many keep ${degrees}° in ${whole(dimensions)} dimensions`), h("div", { class: "columns even" }, Object.keys(found).map(table)));
  }

  signature() {
    return [{ text: `${this.data.summary[0]}` }, { text: `Molehill ${this.data.provenance.version}` }];
  }

  source() {
    return `Molehill ${this.data.provenance.version}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "bounds");
  }
}
