// @ts-check
/**
 * Toy models of superposition: a slider over densities with the features' vectors drawn, their
 * dimensionalities with the plateaus, and what seeds found; or a map of phases; or neurons that
 * compute.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.superposition-toy/1, see docs/rooms/superposition.md) into `el` and returns its own cleanup. It
 * asks nothing of the network, and every text from the data becomes a text node.
 */

import { Page, adjustable, clamp, clipped, h, minus, percent, s, sized, small } from "./kit.js";

const render = adjustable((data) => ({ sweep: Sweep, phases: Phases, computing: Computing })[data.kind], (data) => [
  { name: "kind", label: "What is trained", options: { sweep: "a sweep over densities", linear: "the same without a ReLU", phases: "importance by density", computing: "absolute values, by neurons" },
    also: { sweep: { features: 5, dimensions: 2, importance: 1 }, linear: { features: 5, dimensions: 2, importance: 0.7 }, phases: { dimensions: 1 }, computing: { features: 12, dimensions: 8, importance: 0.9 } } },
  // A map of phases has one feature more than dimensions, and importances of its own.
  ...(data.kind === "phases" ? [] : [{ name: "features", label: "Features", min: 2, max: 40 }]),
  { name: "dimensions", label: data.kind === "computing" ? "Neurons" : "Dimensions", min: 1, max: 20 },
  { name: "density", label: "Down to density", min: 0.001, max: 0.5, step: 0.001, log: true, told: (value) => String(value) },
  ...(data.kind === "phases" ? [] : [{ name: "importance", label: "Each feature's importance, times the one before", min: 0.3, max: 1, step: 0.05, told: (value) => String(value) }]),
  { name: "seeds", label: "Models of each", min: 1, max: 16 },
  { name: "steps", label: "Steps", min: 100, max: 3000, step: 100 },
], 250);
export default { render };

const BEAT = 550;
/** The fewest pixels of a picture's width. */
const LEAST = 260;

/** A figure's colour: the same wherever it is named. @param {string} name */
function inkOf(name) {
  const plain = name.replace(/^\d+ (?=[a-z])/, "").replace(/s$/, "");
  return { digon: "c1", pentagon: "c2", triangle: "c3", tetrahedron: "c4", "square antiprism": "c5", alone: "c6", hexagon: "c7", "5-cell": "c7" }[plain] ?? "c8";
}

/** Three digits that tell. @param {number | null | undefined} value */
function told(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  if (value !== 0 && Math.abs(value) < 1e-3) return minus(value.toExponential(1).replace("e-", "e−"));
  return minus(String(Number(value.toPrecision(3))));
}

/** The median with both quartiles. @param {(number | null)[]} spread */
function spreadOf(spread) {
  return `${told(spread[2])} (${told(spread[1])} to ${told(spread[3])})`;
}

class Toy extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `toy ${data.kind}`;
    this.room = 0;
  }

  build() {
    const parts = this.sections();
    this.mount(this.head(), this.leadOf(this.data.summary), ...parts, this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.target.closest?.("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") this.dialog.showModal();
    });
    this.resized();
  }

  /** @returns {any[]} */
  sections() {
    return [];
  }

  halt() {
    this.observer?.disconnect();
    clearInterval(this.beat);
    clearTimeout(this.spoken);
  }

  resized() {
    const room = Math.max(LEAST, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  /** @param {string} title @param {string} sub @param {string[][]} keys @param {string} note */
  headOf(title, sub, keys, note) {
    const help = this.helpOf([...keys, ["?", "this list"], ["Esc", "close it"]], note);
    return h("header", {}, h("div", {}, h("h1", {}, title), h("p", { class: "sub" }, sub)), h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  foot() {
    return this.footOf(this.data.notes, "models");
  }

  source() {
    const made = this.data.provenance;
    return `Seeds ${made.seeds[0]} to ${made.seeds[1]}, inputs of seed ${made.data_seed}, Molehill ${made.version}`;
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(this.data.summary[0], room) }, { text: this.source() }];
  }

  /** A slider with a button that walks along it. @param {number} last @param {string} label */
  scrubber(last, label) {
    this.play = this.button("▶", () => this.toggle(), { class: "play", "aria-label": "Play" });
    this.slider = h("input", { type: "range", min: 0, max: last, step: 1, "aria-label": label });
    this.on(this.slider, "input", () => {
      this.pause();
      this.change({ at: Number(this.slider.value) });
    });
    this.place = h("output", { class: "place" });
    return h("div", { class: "scrubber" }, this.play, this.slider, this.place);
  }

  toggle() {
    if (this.beat) return this.pause();
    const last = Number(this.slider.max);
    if (this.state.at === last) this.change({ at: 0 });
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-label", "Pause");
    this.beat = setInterval(() => {
      this.change({ at: Math.min(last, this.state.at + 1) });
      if (this.state.at === last) this.pause();
    }, BEAT);
    return undefined;
  }

  pause() {
    clearInterval(this.beat);
    this.beat = undefined;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "Play");
  }

  /** @param {string} text */
  syncScrubber(text) {
    this.slider.value = String(this.state.at);
    this.slider.setAttribute("aria-valuetext", text);
    this.place.textContent = text;
  }

  /** Left and right walk over densities. @param {KeyboardEvent} event */
  walk(event) {
    const last = this.data.points.length - 1;
    const at = { ArrowLeft: this.state.at - 1, ArrowRight: this.state.at + 1, Home: 0, End: last }[event.key];
    if (at === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pause();
    this.change({ at: clamp(at, 0, last) });
  }

  /** Where densities stand along a picture. @param {number} left @param {number} wide */
  across(left, wide) {
    const logs = this.data.points.map((point) => -Math.log(point.density));
    const [low, high] = [Math.min(...logs), Math.max(...logs)];
    const half = wide / Math.max(1, logs.length) / 2;
    return logs.map((one) => left + half + (high > low ? (one - low) / (high - low) : 0.5) * (wide - 2 * half));
  }

  /** Names of densities below a picture. @param {number[]} xs @param {number} y */
  densities(xs, y) {
    let end = -1e9;
    const names = [];
    this.data.points.forEach((point, place) => {
      const name = told(point.density);
      const half = name.length * 3.6;
      if (xs[place] - half < end + 10) return;
      end = xs[place] + half;
      names.push(s("text", { class: "axis", x: xs[place], y, "text-anchor": "middle" }, name));
    });
    return names;
  }

  /** The density nearest to a pointer. @param {MouseEvent} event @param {Element} figure @param {number[]} xs */
  nearest(event, figure, xs) {
    const x = event.clientX - figure.getBoundingClientRect().left;
    return xs.reduce((best, one, place) => (Math.abs(one - x) < Math.abs(xs[best] - x) ? place : best), 0);
  }

  /** @param {string} label @param {string} value */
  fact(label, value) {
    return h("div", {}, h("dt", {}, label), h("dd", {}, value));
  }

  /** A bar with its name and value. @param {string} name @param {string} value @param {number} share @param {string} ink */
  barOf(name, value, share, ink) {
    const bar = h("span", { class: `bar ${ink}` });
    bar.style.width = `${100 * clamp(share, 0, 1)}%`;
    return h("li", {}, h("span", {}, name), h("span", { class: "value" }, value), h("span", { class: "track" }, bar));
  }

  /** @param {string[]} names @param {(name: string) => string} [ink] */
  legend(names, ink = inkOf) {
    return h("ul", { class: "words legend" }, names.map((name) => h("li", {}, h("span", { class: `swatch ${ink(name)}`, "aria-hidden": "true" }), name)));
  }

  /** A table that is always there. @param {any[][]} rows */
  table(rows) {
    const [head, ...rest] = rows;
    const row = (cells, tag) => h("tr", {}, cells.map((cell, place) => h(tag, { class: place ? "figure" : null }, String(cell))));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "The smallest models" }, h("table", {}, h("thead", {}, row(head, "th")), h("tbody", {}, rest.map((cells) => row(cells, "td")))));
  }
}

// --- a sweep over densities ----------------------------------------------------------------------------

class Sweep extends Toy {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.small = data.dimensions <= 3;
    this.seeds = data.points[0].models.map((one) => one.seed);
    this.state = { ...this.state, at: this.telling(), seed: "best", yaw: 0.5, pitch: 0.45 };
    this.notice = this.fromHash();
    const longest = data.points.flatMap((point) => point.models.flatMap((one) => one.norms));
    this.reach = 1.18 * Math.max(1, ...longest);
  }

  /** Where to begin: the sparsest inputs, or where the most kinds of figures stand side by side. */
  telling() {
    const { points } = this.data;
    if (this.small) return points.length - 1;
    const kinds = points.map((point) => Object.keys(point.shares).filter((name) => inkOf(name) !== "c8").length);
    return kinds.indexOf(Math.max(...kinds));
  }

  takers() {
    return {
      at: (value) => this.take("at", value, 0, this.data.points.length - 1),
      seed: (value) => (value === "best" || this.seedsOf().includes(Number(value))) && this.set("seed", value),
    };
  }

  /** The seeds whose vectors are here at every density. */
  seedsOf() {
    const all = this.data.points.map((point) => point.models.map((one) => one.seed));
    return this.data.dimensions > 3 ? [] : all[0].filter((seed) => all.every((line) => line.includes(seed)));
  }

  head() {
    const { features, dimensions, relu } = this.data;
    const turn = dimensions === 3 ? [["drag", "turn the picture"]] : [];
    return this.headOf(`${features} features in ${dimensions} dimension${dimensions > 1 ? "s" : ""}`,
      `toy models of superposition${relu ? "" : ", without a ReLU"} · ${this.data.training.models.toLocaleString("en")} models trained at once`,
      [["← →", "sparser or denser (a picture or the slider focused)"], ["Home End", "the densest, the sparsest"], ...turn],
      "The address holds what you see: copy it to come back.");
  }

  sections() {
    const families = this.data.families.length ? [this.families()] : [];
    return [this.stage(), this.sizes(), this.finds(), ...families];
  }

  get point() {
    return this.data.points[this.state.at];
  }

  /** The model that is drawn. */
  get shown() {
    const { models, best } = this.point;
    const wanted = this.state.seed === "best" ? models.find((one) => one.copy === best) : models.find((one) => one.seed === Number(this.state.seed));
    return wanted ?? models[0];
  }

  all() {
    this.drawModel();
    this.drawSide();
    this.drawSizes();
    this.drawFinds();
    this.syncControls();
    if (this.choice) this.choice.value = String(this.state.seed);
    this.syncScrubber(`density ${told(this.point.density)}: a feature is there once in ${told(1 / this.point.density)} inputs`);
    this.writeHash([`at=${this.state.at}`, `seed=${this.state.seed}`]);
    this.say(() => `Density ${told(this.point.density)}. ${this.told()}.`);
  }

  told() {
    const names = this.shown.shapes.map((shape) => shape.name);
    const counts = [...new Set(names)].map((name) => [name, names.filter((other) => other === name).length]);
    return counts.map(([name, count]) => (count > 1 ? `${count} × ${name}` : name)).join(", ") || "nothing is represented";
  }

  // --- the model -----------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "vectors", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.side = h("section", { class: "told", "aria-label": "The models at this density" });
    this.on(this.figure, "keydown", (event) => this.walk(event));
    if (this.data.dimensions === 3) this.turning();
    const seeds = this.seedsOf();
    let choice = "";
    if (seeds.length > 1) {
      this.choice = h("select", { "aria-label": "Seed" }, h("option", { value: "best" }, "best seed"), seeds.map((seed) => h("option", { value: seed }, `seed ${seed}`)));
      this.on(this.choice, "change", () => this.change({ seed: this.choice.value }));
      choice = this.choice;
    }
    const what = this.small ? "The features' vectors" : "Features of the best seed";
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, what), choice, this.exports("vectors", () => this.figure, () => this.vectorRows())),
        this.box, this.scrubber(this.data.points.length - 1, "Density, from dense to sparse"),
        h("p", { class: "caption" }, this.caption()),
        this.details("This model as a table", () => this.vectorRows())),
      h("div", { class: "side" }, this.side));
  }

  caption() {
    if (!this.small) return "A bar per represented feature: its dimensionality. Colours: the figure that it is a corner of. Dashed: the fractions of the regular figures.";
    const circle = { 1: "The line is the one dimension", 2: "The circle has radius 1", 3: "Seen from one side: drag to turn; what is farther away is fainter" }[this.data.dimensions];
    return `An arrow per feature, a column of W. ${circle}. Lines join the nearest corners of a figure; its colour is the figure's. A dot without an arrow is a feature that is not represented.`;
  }

  turning() {
    let held = null;
    this.on(this.figure, "pointerdown", (event) => {
      held = { x: event.clientX, y: event.clientY, yaw: this.state.yaw, pitch: this.state.pitch };
      this.figure.setPointerCapture(event.pointerId);
    });
    this.on(this.figure, "pointermove", (event) => {
      if (!held) return;
      this.state.yaw = held.yaw + (event.clientX - held.x) / 160;
      this.state.pitch = clamp(held.pitch + (event.clientY - held.y) / 160, -1.5, 1.5);
      this.drawModel();
    });
    for (const type of ["pointerup", "pointercancel"]) this.on(this.figure, type, () => { held = null; });
  }

  /** @param {number[]} vector @returns {[number, number, number]} right, up, towards the eye */
  seen(vector) {
    if (vector.length === 1) return [vector[0], 0, 0];
    if (vector.length === 2) return [vector[0], vector[1], 0];
    const [a, b, c] = vector;
    const [cy, sy, cp, sp] = [Math.cos(this.state.yaw), Math.sin(this.state.yaw), Math.cos(this.state.pitch), Math.sin(this.state.pitch)];
    const [x, depth] = [cy * a + sy * c, cy * c - sy * a];
    return [x, cp * b - sp * depth, sp * b + cp * depth];
  }

  drawModel() {
    const model = this.shown;
    const what = `Density ${told(this.point.density)}, seed ${model.seed}: ${this.told()}`;
    this.figure.setAttribute("aria-label", what);
    this.figure.classList.toggle("turns", this.data.dimensions === 3);
    if (!this.small) return this.drawBars(model, what);
    const tall = this.data.dimensions === 1 ? 150 : Math.min(430, Math.max(280, this.room));
    sized(this.figure, this.room, tall);
    const scale = Math.min(this.data.dimensions === 1 ? this.room / 2 - 16 : tall / 2 - 8, this.room / 2 - 16) / this.reach;
    const [cx, cy] = [this.room / 2, tall / 2];
    const points = model.vectors.map((vector) => this.seen(vector));
    const at = (point) => [cx + scale * point[0], cy - scale * point[1]];
    const ground = this.data.dimensions === 1
      ? s("line", { class: "rule", x1: cx - scale, x2: cx + scale, y1: cy, y2: cy })
      : s("circle", { class: "rule", cx, cy, r: scale });
    const joined = model.shapes.flatMap((shape) => this.edges(shape, model).map(([a, b]) => {
      const [[x1, y1], [x2, y2]] = [at(points[a]), at(points[b])];
      return s("line", { class: `edge ${inkOf(shape.name)}`, x1, y1, x2, y2 });
    }));
    const group = new Map(model.shapes.flatMap((shape) => shape.features.map((feature) => [feature, shape.name])));
    const order = points.map((_, feature) => feature).sort((a, b) => points[a][2] - points[b][2]);
    const arrows = order.map((feature) => this.arrow(feature, points[feature], at(points[feature]), group.get(feature), [cx, cy]));
    this.figure.replaceChildren(s("title", {}, what), ground, ...joined, ...arrows, s("circle", { class: "middle", cx, cy, r: 2.5 }));
    return undefined;
  }

  /** Corners are joined with those nearest to them. @param {any} shape @param {any} model */
  edges(shape, model) {
    const pairs = shape.features.flatMap((a, index) => shape.features.slice(index + 1).map((b) => [a, b]));
    const far = ([a, b]) => {
      const [v, w] = [model.vectors[a], model.vectors[b]];
      return Math.hypot(...v.map((value, axis) => value / model.norms[a] - w[axis] / model.norms[b]));
    };
    const least = Math.min(...pairs.map(far));
    return pairs.filter((pair) => far(pair) <= 1.2 * least + 1e-6);
  }

  /** @param {number} feature @param {number[]} point @param {number[]} tip @param {string | undefined} name @param {number[]} middle */
  arrow(feature, point, [x, y], name, [cx, cy]) {
    const ink = name ? inkOf(name) : "c8";
    const near = this.data.dimensions === 3 ? 0.45 + 0.55 * clamp((point[2] / this.reach + 1) / 2, 0, 1) : 1;
    const long = Math.hypot(x - cx, y - cy);
    const [ux, uy] = long > 1 ? [(x - cx) / long, (y - cy) / long] : [0, -1];
    const line = this.data.dimensions === 1;
    const label = line ? [x, y - 14 - 14 * (feature % 3)] : [x + 13 * ux, y + 13 * uy];
    const drawn = name ? [s("line", { class: "arrow", x1: cx, y1: cy, x2: x, y2: y }), s("circle", { class: "tip", cx: x, cy: y, r: 4.5 }),
      s("text", { x: label[0], y: label[1], dy: "0.35em", "text-anchor": "middle" }, String(feature))] : [s("circle", { class: "gone", cx: x, cy: y, r: 3 })];
    return s("g", { class: ink, opacity: near.toFixed(2) }, s("title", {}, `feature ${feature}, length ${told(this.shown.norms[feature])}`), ...drawn);
  }

  /** In many dimensions: bars of dimensionality by figure. @param {any} model @param {string} what */
  drawBars(model, what) {
    const [tall, left, right] = [300, 34, 10];
    const bars = model.shapes.flatMap((shape) => shape.features.map((feature) => ({ feature, name: shape.name, size: model.dimensionality[feature] })));
    const wide = (this.room - left - right) / Math.max(1, bars.length);
    const y = (value) => 12 + (1 - value) * (tall - 36);
    const rules = [0, 0.25, 0.5, 0.75, 1].map((value) => [s("line", { class: "rule", x1: left, x2: this.room - right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: left - 6, y: y(value), dy: "0.32em", "text-anchor": "end" }, String(value))]);
    const marks = this.data.plateaus.map((one) => s("line", { class: `plateau ${inkOf(one.name)}`, x1: left, x2: this.room - right, y1: y(one.size), y2: y(one.size) }));
    const drawn = bars.map((bar, place) => s("rect", { class: `size ${inkOf(bar.name)}`, x: left + place * wide, y: y(bar.size), width: Math.max(1, wide - 1), height: Math.max(1, y(0) - y(bar.size)) },
      s("title", {}, `feature ${bar.feature}: ${told(bar.size)}, ${bar.name}`)));
    sized(this.figure, this.room, tall);
    this.figure.replaceChildren(s("title", {}, what), ...rules.flat(), ...drawn, ...marks,
      s("text", { class: "axis", x: left, y: tall - 6 }, `${bars.length} features represented of ${this.data.features}`));
  }

  drawSide() {
    const { point, shown } = this;
    const many = this.data.seeds.length;
    const found = Object.entries(this.small ? point.found : point.shares);
    const optimum = point.optimum === undefined ? [] : [this.fact("least a linear model can lose", told(point.optimum))];
    const worst = Math.max(1e-9, ...shown.dimensionality);
    const features = this.small && this.data.features <= 12
      ? [h("h3", {}, `Features of seed ${shown.seed}: dimensionality, interference`),
        h("ul", { class: "bars" }, shown.dimensionality.map((size, feature) => {
          const shape = shown.shapes.find((one) => one.features.includes(feature));
          const value = shape ? `${told(size)}, ${told(shown.interference[feature])}` : "not represented";
          return this.barOf(`feature ${feature}`, value, shape ? size / Math.max(1, worst) : 0, shape ? inkOf(shape.name) : "c8");
        }))] : [];
    this.side.replaceChildren(
      h("h2", {}, `Density ${told(point.density)}`),
      h("p", { class: "found" }, `Seed ${shown.seed}: `, h("em", {}, this.told())),
      h("dl", { class: "figures" },
        this.fact("loss of this seed", told(shown.loss)),
        this.fact(`loss over ${many} seeds`, spreadOf(point.loss)), ...optimum,
        this.fact("dimensions per feature", spreadOf(point.per_feature)),
        this.fact("features represented", spreadOf(point.represented))),
      h("h3", {}, this.small ? `What ${many} seeds found` : "Features in each figure, all seeds"),
      h("ul", { class: "bars" }, found.slice(0, 6).map(([name, value]) => this.barOf(name, this.small ? String(value) : percent(value), this.small ? value / many : value, inkOf(name)))),
      found.length > 6 ? small(`and ${found.length - 6} more`) : "",
      ...features, small("In brackets: the quartiles over seeds."));
  }

  vectorRows() {
    const model = this.shown;
    const axes = model.vectors ? model.vectors[0].map((_, axis) => `w${axis}`) : [];
    const name = (feature) => model.shapes.find((shape) => shape.features.includes(feature))?.name ?? "not represented";
    return [["feature", ...axes, ...(model.bias ? ["bias"] : []), "length", "dimensionality", "interference", "figure"],
      ...model.norms.map((norm, feature) => [feature, ...(model.vectors ? model.vectors[feature] : []), ...(model.bias ? [model.bias[feature]] : []),
        norm, model.dimensionality[feature], model.interference[feature], name(feature)])];
  }

  // --- dimensionalities ----------------------------------------------------------------------------

  sizes() {
    this.plot = s("svg", { class: "sizes", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.on(this.plot, "keydown", (event) => this.walk(event));
    this.on(this.plot, "click", (event) => this.change({ at: this.nearest(event, this.plot, this.xs) }));
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Dimensionality of features, by density"), this.exports("dimensionality", () => this.plot, () => this.sizeRows())),
      h("div", { class: "frame" }, this.plot),
      h("p", { class: "caption" }, "Right: sparser inputs. The stronger a cell’s colour, the more of the features that are represented, over all seeds, have that dimensionality. Dashed: the fractions that regular figures give their corners. Line: dimensions per feature, m / ‖W‖², the median over seeds, with a band between the quartiles. Click to go to a density."),
      this.details("As a table", () => this.sizeRows()));
  }

  drawSizes() {
    const narrow = this.plot.parentElement.clientWidth < 560;
    const width = Math.max(LEAST, Math.floor(this.plot.parentElement.clientWidth));
    const [tall, left, right, top, bottom] = [340, 36, narrow ? 40 : 150, 12, 44];
    this.xs = this.across(left, width - left - right);
    const y = (value) => top + (1 - value) * (tall - top - bottom);
    const cell = (width - left - right) / this.data.points.length;
    const bins = this.data.points[0].histogram.length;
    const cells = this.data.points.flatMap((point, place) => {
      const most = Math.max(1, ...point.histogram);
      return point.histogram.map((count, bin) => (count ? s("rect", { class: "cell", x: this.xs[place] - cell / 2, y: y((bin + 1) / bins), width: cell - 0.5, height: y(0) - y(1 / bins) + 0.3, "fill-opacity": (0.12 + 0.88 * Math.sqrt(count / most)).toFixed(3) }) : null));
    });
    const marks = this.data.plateaus.map((one) => s("g", { class: inkOf(one.name) },
      s("line", { class: "plateau", x1: left, x2: width - right, y1: y(one.size), y2: y(one.size) }),
      s("text", { x: width - right + 6, y: y(one.size) + (one.size === 0.375 ? 7 : one.size === 0.4 ? -3 : 0), dy: "0.32em" },
        narrow ? fraction(one.size) : `${fraction(one.size)} ${one.name}`)));
    const rules = [0, 0.5, 1].map((value) => s("text", { class: "axis", x: left - 6, y: y(value), dy: "0.32em", "text-anchor": "end" }, String(value)));
    const known = this.data.points.map((point) => point.per_feature);
    const line = (mark) => known.map((spread, place) => `${this.xs[place].toFixed(1)},${y(clamp(spread[mark] ?? 0, 0, 1)).toFixed(1)}`);
    const here = this.xs[this.state.at];
    const what = `Dimensionality by density; at ${told(this.point.density)} dimensions per feature are ${told(this.point.per_feature[2])}`;
    sized(this.plot, width, tall);
    this.plot.setAttribute("aria-label", what);
    this.plot.replaceChildren(s("title", {}, what),
      s("rect", { class: "ground", x: left, y: y(1), width: width - left - right, height: y(0) - y(1) }), ...cells.filter(Boolean), ...marks, ...rules,
      s("polygon", { class: "band", points: [...line(1), ...line(3).reverse()].join(" ") }), s("polyline", { class: "median", points: line(2).join(" ") }),
      s("line", { class: "here", x1: here, x2: here, y1: y(1), y2: y(0) }),
      ...this.densities(this.xs, tall - 26), s("text", { class: "axis", x: left + (width - left - right) / 2, y: tall - 6, "text-anchor": "middle" }, "density"));
  }

  sizeRows() {
    return [["density", "loss", "dimensions per feature", "lower quartile", "upper quartile", "represented", ...this.data.plateaus.map((one) => `features in a ${one.name}`)],
      ...this.data.points.map((point) => [point.density, point.loss[2], point.per_feature[2], point.per_feature[1], point.per_feature[3], point.represented[2], ...this.data.plateaus.map((one) => point.shares[one.name] ?? 0)])];
  }

  // --- what seeds found ----------------------------------------------------------------------------

  finds() {
    this.stack = s("svg", { class: "stacks", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight Home End" });
    this.on(this.stack, "keydown", (event) => this.walk(event));
    this.on(this.stack, "click", (event) => this.change({ at: this.nearest(event, this.stack, this.stackXs) }));
    const counted = new Map();
    for (const point of this.data.points) for (const [name, value] of Object.entries(point.shares)) counted.set(name, (counted.get(name) ?? 0) + value);
    const names = [...counted].sort((a, b) => b[1] - a[1]).map(([name]) => name);
    this.named = names.filter((name) => inkOf(name) !== "c8");
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Which figures features are corners of"), this.exports("figures", () => this.stack, () => this.findRows())),
      h("div", { class: "frame" }, this.stack), this.legend([...this.named, "no regular figure"]),
      h("p", { class: "caption" }, `Shares of the features that are represented, over all ${this.data.seeds.length} seeds. Click to go to a density.`),
      this.details("As a table", () => this.findRows()));
  }

  drawFinds() {
    const width = Math.max(LEAST, Math.floor(this.stack.parentElement.clientWidth));
    const [tall, left, right, bottom] = [190, 44, 8, 40];
    this.stackXs = this.across(left, width - left - right);
    const cell = (width - left - right) / this.data.points.length;
    const y = (share) => 8 + (1 - share) * (tall - bottom - 8);
    const parts = this.data.points.flatMap((point, place) => {
      let base = 0;
      const rest = 1 - this.named.reduce((sum, name) => sum + (point.shares[name] ?? 0), 0);
      return [...this.named.map((name) => [name, point.shares[name] ?? 0]), ["no regular figure", Math.max(0, rest)]].map(([name, share]) => {
        const made = share > 0 ? s("rect", { class: `part ${inkOf(name)}`, x: this.stackXs[place] - cell / 2, y: y(base + share), width: Math.max(1, cell - 1), height: Math.max(0, y(base) - y(base + share)) },
          s("title", {}, `density ${told(point.density)}: ${name} ${percent(share)}`)) : null;
        base += share;
        return made;
      });
    });
    const here = this.stackXs[this.state.at];
    const what = `Figures by density; at ${told(this.point.density)}: ${Object.entries(this.point.shares).slice(0, 4).map(([name, share]) => `${name} ${percent(share)}`).join(", ")}`;
    sized(this.stack, width, tall);
    this.stack.setAttribute("aria-label", what);
    this.stack.replaceChildren(s("title", {}, what), ...parts.filter(Boolean),
      ...[0, 1].map((share) => s("text", { class: "axis", x: left - 6, y: y(share), dy: "0.32em", "text-anchor": "end" }, percent(share).replace("0.0%", "0%"))),
      s("rect", { class: "cursor", x: here - cell / 2 - 1, y: y(1) - 2, width: cell + 1, height: y(0) - y(1) + 4 }),
      ...this.densities(this.stackXs, tall - 22), s("text", { class: "axis", x: left + (width - left - right) / 2, y: tall - 4, "text-anchor": "middle" }, "density"));
  }

  findRows() {
    return [["density", ...this.named, "no regular figure"], ...this.data.points.map((point) => {
      const shares = this.named.map((name) => point.shares[name] ?? 0);
      return [point.density, ...shares, Number((1 - shares.reduce((sum, one) => sum + one, 0)).toFixed(3))];
    })];
  }

  // --- the smallest models -------------------------------------------------------------------------

  families() {
    const rows = this.data.families.map((one) => [one.name, `${one.features} in ${one.dimensions}`, fraction(one.size),
      one.measured ? `${told(one.measured[2])} (${told(one.measured[0])} to ${told(one.measured[4])})` : "–",
      `${one.found} of ${one.seeds}`, `${one.held} of ${one.seeds}`, one.figure_loss ? percent(one.figure_loss / one.best_loss - 1) : "–"]);
    return h("section", { class: "why" }, h("h2", {}, "The smallest model of each figure"),
      this.table([["figure", "model", "D exactly", "D measured", "found", "held", "dearer than the best"], ...rows]),
      h("p", { class: "caption" }, `At density ${told(this.data.families[0].density)}. Found: from random starts. Held: starts at the figure, a little moved, that are still there after training. D measured: the median over features, with the least and the most. Dearer: by how much the figure's loss is above that of the best arrangement that random starts found.`));
  }
}

/** @param {number} size */
function fraction(size) {
  const known = [[3, 4], [2, 3], [1, 2], [2, 5], [3, 8]].find(([a, b]) => Math.abs(a / b - size) < 1e-4);
  return known ? `${known[0]}/${known[1]}` : told(size);
}

// --- phases ------------------------------------------------------------------------------------------

const SHOWS = { found: "phase", norm: "length", shared: "interference", share: "seeds that agree" };

class Phases extends Toy {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.state = { ...this.state, show: "found", row: Math.floor(data.relative.length / 3), column: Math.floor(data.densities.length / 3) };
    this.notice = this.fromHash();
  }

  takers() {
    return {
      show: (value) => Object.hasOwn(SHOWS, value) && this.set("show", value),
      row: (value) => this.take("row", value, 0, this.data.relative.length - 1),
      column: (value) => this.take("column", value, 0, this.data.densities.length - 1),
    };
  }

  head() {
    const { features, dimensions } = this.data;
    return this.headOf("Phases of a feature", `${features} features in ${dimensions} dimension${dimensions > 1 ? "s" : ""}, one of another importance · ${this.data.training.models.toLocaleString("en")} models trained at once`,
      [["← →", "denser or sparser (a map focused)"], ["↑ ↓", "more or less important"]], "Point at a cell, click to stay there. The address holds what you see: copy it to come back.");
  }

  sections() {
    this.figure = s("svg", { class: "phases", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.side = h("section", { class: "told", "aria-label": "The cell that is read" });
    this.on(this.figure, "click", (event) => {
      const found = this.under(event);
      if (found) this.change(found);
    });
    this.on(this.figure, "keydown", (event) => this.key(event));
    return [h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "Trained, and theory beside it"), this.exports("phases", () => this.figure, () => this.rows())),
        this.segments("show", "What the map of trained models shows", SHOWS), this.box,
        this.legend(this.data.phases, (name) => `p${this.data.phases.indexOf(name)}`),
        h("p", { class: "caption" }, "Across: density, sparser to the right. Up: the importance of the extra feature, that of the others being 1. The line is where theory puts the boundary. A cell shows the best seed."),
        this.details("Every cell as a table", () => this.rows())),
      h("div", { class: "side" }, this.side))];
  }

  all() {
    this.draw();
    this.drawSide();
    this.syncControls();
    const { show, row, column } = this.state;
    this.writeHash([`show=${show}`, `row=${row}`, `column=${column}`]);
    this.say(() => `${this.place()}: ${this.data.phases[this.data.found[row][column]]}.`);
  }

  place() {
    return `Importance ${told(this.data.relative[this.state.row])}, density ${told(this.data.densities[this.state.column])}`;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, 0], ArrowDown: [-1, 0] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.change({ row: clamp(this.state.row + step[0], 0, this.data.relative.length - 1), column: clamp(this.state.column + step[1], 0, this.data.densities.length - 1) });
  }

  /** @param {MouseEvent} event */
  under(event) {
    const around = this.figure.getBoundingClientRect();
    const [x, y] = [event.clientX - around.left, event.clientY - around.top];
    for (const [left, top] of this.corners) {
      const [column, row] = [Math.floor((x - left) / this.cell), this.data.relative.length - 1 - Math.floor((y - top) / this.cell)];
      if (column >= 0 && column < this.data.densities.length && row >= 0 && row < this.data.relative.length) return { row, column };
    }
    return null;
  }

  draw() {
    const [rows, columns] = [this.data.relative.length, this.data.densities.length];
    const beside = this.room >= 560;
    const [left, gap, top, bottom] = [44, 26, 24, 40];
    this.cell = Math.min(34, ((beside ? (this.room - gap) / 2 : this.room) - left - 2) / columns);
    const [wide, tall] = [this.cell * columns, this.cell * rows + top + bottom];
    this.corners = beside ? [[left, top], [left + wide + gap + left - 20, top]] : [[left, top], [left, top + tall]];
    sized(this.figure, this.room, beside ? tall : 2 * tall);
    const what = `${this.place()}: trained ${this.data.phases[this.data.found[this.state.row][this.state.column]]}, theory ${this.data.phases[this.data.expected[this.state.row][this.state.column]]}`;
    this.figure.setAttribute("aria-label", what);
    this.figure.replaceChildren(s("title", {}, what), ...this.map(0, this.state.show), ...this.map(1, "expected"));
  }

  /** @param {number} number @param {string} show */
  map(number, show) {
    const [left, top] = this.corners[number];
    const [rows, columns] = [this.data.relative.length, this.data.densities.length];
    const { cell } = this;
    const y = (row) => top + (rows - 1 - row) * cell;
    const phases = show === "found" || show === "expected";
    const most = phases ? 1 : Math.max(1e-9, ...this.data[show].flat());
    const cells = this.data[show].flatMap((line, row) => line.map((value, column) => s("rect", {
      class: phases ? `p${value}` : "amount", x: left + column * cell, y: y(row), width: cell - 0.6, height: cell - 0.6,
      "fill-opacity": phases ? null : clamp((value ?? 0) / most, 0, 1).toFixed(3),
    })));
    const dots = phases ? this.data[show].flatMap((line, row) => line.map((value, column) => (value === 2 ? s("circle", { class: "dot", cx: left + (column + 0.5) * cell, cy: y(row) + cell / 2, r: Math.max(1, cell / 12) }) : null))) : [];
    const { row, column } = this.state;
    const names = this.data.relative.flatMap((value, place) => (place % Math.ceil(rows / 5) === 0 || place === rows - 1 ? [s("text", { class: "axis", x: left - 6, y: y(place) + cell / 2, dy: "0.32em", "text-anchor": "end" }, told(value))] : []));
    const under = this.data.densities.flatMap((value, place) => (place % Math.ceil(columns / 4) === 0 ? [s("text", { class: "axis", x: left + (place + 0.5) * cell, y: top + rows * cell + 15, "text-anchor": "middle" }, told(value))] : []));
    return [s("text", { class: "name", x: left, y: top - 8 }, number ? "theory" : `trained: ${SHOWS[show]}`),
      s("rect", { class: "ground", x: left, y: top, width: columns * cell, height: rows * cell }), ...cells, ...dots.filter(Boolean), ...this.boundary(left, y),
      ...(number ? [] : names), ...under, s("text", { class: "axis", x: left + (columns * cell) / 2, y: top + rows * cell + 32, "text-anchor": "middle" }, "density"),
      s("rect", { class: "cursor", x: left + column * cell - 1, y: y(row) - 1, width: cell + 1.4, height: cell + 1.4 })];
  }

  /** Where theory's phase changes. @param {number} left @param {(row: number) => number} y */
  boundary(left, y) {
    const lines = [];
    const { expected } = this.data;
    expected.forEach((line, row) => line.forEach((phase, column) => {
      const x = left + column * this.cell;
      if (column + 1 < line.length && line[column + 1] !== phase) lines.push(s("line", { class: "boundary", x1: x + this.cell, x2: x + this.cell, y1: y(row), y2: y(row) + this.cell }));
      if (row + 1 < expected.length && expected[row + 1][column] !== phase) lines.push(s("line", { class: "boundary", x1: x, x2: x + this.cell, y1: y(row), y2: y(row) }));
    }));
    return lines;
  }

  drawSide() {
    const { row, column } = this.state;
    const losses = this.data.losses[row][column];
    const most = Math.max(...losses);
    this.side.replaceChildren(
      h("h2", {}, this.place()),
      h("p", { class: "found" }, "Trained: ", h("em", {}, this.data.phases[this.data.found[row][column]]), ". Theory: ", h("em", {}, this.data.phases[this.data.expected[row][column]]), "."),
      h("dl", { class: "figures" }, this.fact("length of its vector", told(this.data.norm[row][column])), this.fact("interference along it", told(this.data.shared[row][column])),
        this.fact(`of ${this.data.seeds.length} seeds agree`, percent(this.data.share[row][column]))),
      h("h3", {}, "What each candidate loses, by theory"),
      h("ul", { class: "bars" }, losses.map((loss, phase) => this.barOf(this.data.phases[phase], told(loss), loss / most, `p${phase}`))));
  }

  rows() {
    return [["importance", "density", "trained", "theory", "length", "interference", "seeds that agree"],
      ...this.data.relative.flatMap((relative, row) => this.data.densities.map((density, column) => [relative, density, this.data.phases[this.data.found[row][column]], this.data.phases[this.data.expected[row][column]],
        this.data.norm[row][column], this.data.shared[row][column], this.data.share[row][column]]))];
  }
}

// --- computing -----------------------------------------------------------------------------------------

class Computing extends Toy {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.state = { ...this.state, at: data.points.length - 1 };
    this.notice = this.fromHash();
  }

  takers() {
    return { at: (value) => this.take("at", value, 0, this.data.points.length - 1) };
  }

  head() {
    return this.headOf(`|x| of ${this.data.features} features with ${this.data.neurons} neurons`, `computation in superposition · ${this.data.training.models.toLocaleString("en")} models trained at once`,
      [["← →", "sparser or denser (a picture or the slider focused)"]], "The address holds what you see: copy it to come back.");
  }

  sections() {
    this.figure = s("svg", { class: "neurons", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight" });
    this.box = h("div", { class: "frame" }, this.figure);
    this.plot = s("svg", { class: "served", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight" });
    this.side = h("section", { class: "told", "aria-label": "The models at this density" });
    for (const figure of [this.figure, this.plot]) this.on(figure, "keydown", (event) => this.walk(event));
    this.on(this.plot, "click", (event) => this.change({ at: this.nearest(event, this.plot, this.xs) }));
    return [h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "What each neuron is used for"), this.exports("neurons", () => this.figure, () => this.neuronRows())),
        this.box, this.scrubber(this.data.points.length - 1, "Density, from dense to sparse"),
        h("p", { class: "caption" }, "A column per neuron of the best seed, a piece per feature: how strongly the neuron answers to it times how strongly that is written to it. Pieces below the line are written negatively: the neuron takes away what others say too much. One piece: the neuron serves one feature."),
        this.details("Rows and columns as a table", () => this.neuronRows())),
      h("div", { class: "side" }, this.side)),
    h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, "Neurons of several features, by density"), this.exports("served", () => this.plot, () => this.servedRows())),
      h("div", { class: "frame" }, this.plot), h("p", { class: "caption" }, "Shares of the neurons that do something, over all seeds. Click to go to a density."), this.details("As a table", () => this.servedRows()))];
  }

  get point() {
    return this.data.points[this.state.at];
  }

  all() {
    this.drawNeurons();
    this.drawSide();
    this.drawServed();
    this.syncControls();
    this.syncScrubber(`density ${told(this.point.density)}`);
    this.writeHash([`at=${this.state.at}`]);
    this.say(() => `Density ${told(this.point.density)}: ${percent(this.point.one)} of neurons serve one feature.`);
  }

  /** @param {number} neuron @returns {{feature: number, value: number}[]} */
  uses(neuron) {
    const { into, out } = this.point.best;
    return into[neuron].map((value, feature) => ({ feature, value: Math.abs(value) * out[neuron][feature] })).filter((one) => Math.abs(one.value) > 0.02).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  }

  drawNeurons() {
    const [tall, left] = [300, 34];
    const all = Array.from({ length: this.data.neurons }, (_, neuron) => this.uses(neuron));
    const sum = (uses, sign) => uses.reduce((total, one) => total + Math.max(0, sign * one.value), 0);
    const [high, low] = [Math.max(0.5, ...all.map((uses) => sum(uses, 1))), Math.max(0.1, ...all.map((uses) => sum(uses, -1)))];
    const y = (value) => 10 + ((high - value) / (high + low)) * (tall - 44);
    const wide = (this.room - left - 6) / this.data.neurons;
    const pieces = all.flatMap((uses, neuron) => {
      const base = { 1: 0, [-1]: 0 };
      return uses.map(({ feature, value }) => {
        const sign = value > 0 ? 1 : -1;
        const [from, to] = [base[sign], base[sign] + value];
        base[sign] = to;
        const [upper, size] = [y(Math.max(from, to)), Math.abs(y(from) - y(to))];
        return s("g", { class: `c${(feature % 8) + 1}` },
          s("rect", { class: value < 0 ? "piece back" : "piece", x: left + neuron * wide + 2, y: upper, width: Math.max(1, wide - 4), height: Math.max(0.5, size - 1) }, s("title", {}, `neuron ${neuron}, feature ${feature}: ${told(value)}`)),
          size > 14 && wide > 16 ? s("text", { class: "inside", x: left + (neuron + 0.5) * wide, y: upper + size / 2, dy: "0.35em", "text-anchor": "middle" }, String(feature)) : null);
      });
    });
    const what = `Density ${told(this.point.density)}, seed ${this.point.best.seed}: features of ${this.data.neurons} neurons`;
    const names = all.map((_, neuron) => (wide > 14 || neuron % 5 === 0 ? s("text", { class: "axis", x: left + (neuron + 0.5) * wide, y: tall - 18, "text-anchor": "middle" }, String(neuron)) : null));
    sized(this.figure, this.room, tall);
    this.figure.setAttribute("aria-label", what);
    this.figure.replaceChildren(s("title", {}, what), ...pieces, s("line", { class: "zero", x1: left, x2: this.room - 6, y1: y(0), y2: y(0) }), ...names.filter(Boolean),
      s("text", { class: "axis", x: left - 6, y: y(0), dy: "0.32em", "text-anchor": "end" }, "0"), s("text", { class: "axis", x: left - 6, y: y(1), dy: "0.32em", "text-anchor": "end" }, high >= 1 ? "1" : ""),
      s("text", { class: "axis", x: left + (this.room - left) / 2, y: tall - 3, "text-anchor": "middle" }, "neuron"));
  }

  drawSide() {
    const { point } = this;
    const shown = [...point.best.neurons].sort((a, b) => (b.features.length > 1) - (a.features.length > 1) || (b.asymmetry ?? 0) - (a.asymmetry ?? 0)).slice(0, 4);
    this.side.replaceChildren(
      h("h2", {}, `Density ${told(point.density)}`),
      h("dl", { class: "figures" }, this.fact(`loss over ${this.data.seeds.length} seeds`, spreadOf(point.loss)), this.fact("neurons of one feature", percent(point.one)), this.fact("of several", percent(point.several)),
        this.fact("features per neuron", spreadOf(point.served)), this.fact(`computed of ${this.data.features}`, spreadOf(point.computed))),
      h("h3", {}, `Of seed ${point.best.seed}: read with, written with`),
      ...shown.map((one) => h("div", {}, h("p", { class: "small" }, `Neuron ${one.neuron}${one.features.length > 1 ? `, asymmetry ${told(one.asymmetry)}` : ""}`),
        h("ul", { class: "words" }, one.features.slice(0, 5).map((feature, place) => h("li", {}, `feature ${feature}`, h("i", {}, `${told(one.into[place])}, ${told(one.out[place])}`)))))),
      small("Asymmetry: by how many times the ratio of reading to writing differs between a neuron's two strongest features. Where it is large, one is read strongly and written weakly, the other the other way round."));
  }

  drawServed() {
    const width = Math.max(LEAST, Math.floor(this.plot.parentElement.clientWidth));
    const [tall, left, right] = [220, 40, 70];
    this.xs = this.across(left, width - left - right);
    const y = (share) => 10 + (1 - share) * (tall - 54);
    const lines = [["one", "c3", "one"], ["several", "c2", "several"]].map(([name, ink, label]) => {
      const points = this.data.points.map((point, place) => [this.xs[place], y(point[name])]);
      const end = points[points.length - 1];
      return s("g", { class: ink }, s("polyline", { class: "median", points: points.map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ") }),
        points.map(([cx, cy]) => s("circle", { class: "tip", cx, cy, r: 3.5 })), s("text", { x: end[0] + 10, y: end[1], dy: "0.32em" }, label));
    });
    const here = this.xs[this.state.at];
    const what = `At density ${told(this.point.density)} ${percent(this.point.one)} of neurons serve one feature, ${percent(this.point.several)} several`;
    sized(this.plot, width, tall);
    this.plot.setAttribute("aria-label", what);
    this.plot.replaceChildren(s("title", {}, what), ...[0, 0.5, 1].map((share) => s("g", {}, s("line", { class: "rule", x1: left, x2: width - right, y1: y(share), y2: y(share) }), s("text", { class: "axis", x: left - 6, y: y(share), dy: "0.32em", "text-anchor": "end" }, percent(share).replace("0.0%", "0%")))),
      s("line", { class: "here", x1: here, x2: here, y1: y(1), y2: y(0) }), ...lines, ...this.densities(this.xs, tall - 26), s("text", { class: "axis", x: left + (width - left - right) / 2, y: tall - 6, "text-anchor": "middle" }, "density"));
  }

  neuronRows() {
    const { into, out } = this.point.best;
    return [["neuron", "feature", "row", "column"], ...into.flatMap((row, neuron) => row.map((value, feature) => [neuron, feature, value, out[neuron][feature]]))];
  }

  servedRows() {
    return [["density", "loss", "one feature", "several", "features per neuron", "computed"], ...this.data.points.map((point) => [point.density, point.loss[2], point.one, point.several, point.served[2], point.computed[2]])];
  }
}
