// @ts-check
/**
 * A word in hundreds of sentences: every use at every layer in one basis, coloured by group; up to
 * a hundred thousand points under the pointer.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.crowd/1, see docs/howto/shift.md) into `el` and returns its own cleanup. Paths are drawn
 * on a canvas; what is chosen lies above it as elements.
 */

import { Page, clamp, clipped, colour, h, marker, number, percent, rendering, s, sentenceCase, shape, shown, sized, small } from "./kit.js";
import { PointGrid, drawPath, wiped } from "./points.js";

const render = rendering(() => View);
export default { render };

const AXES = { "1-2": [0, 1], "1-3": [0, 2], "2-3": [1, 2] };
const STEP_MS = 260;
/** Sentences that a shift takes to be followed closely. */
const CLOSELY = 8;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.word;
    this.points = data.points;
    this.sentences = data.sentences;
    this.last = data.points.length - 1;
    this.hovered = -1;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.state = { theme: "auto", basis: Object.keys(data.bases)[0], axes: "1-2", point: this.last, sentence: 0, group: 0, find: "", picks: [] };
    this.notice = this.fromHash();
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.frame);
    this.on(document, "keydown", (event) => this.key(event));
    this.resized();
    this.all();
  }

  halt() {
    this.pause();
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  // --- state ---------------------------------------------------------------------------------------

  takers() {
    const count = this.sentences.length;
    return {
      basis: (value) => Object.hasOwn(this.data.bases, value) && this.set("basis", value),
      axes: (value) => Object.hasOwn(AXES, value) && this.set("axes", value),
      point: (value) => this.take("point", value, 0, this.last),
      sentence: (value) => this.take("sentence", value, 1, count),
      group: (value) => this.take("group", value, 0, this.data.groups.length),
      find: (value) => this.set("find", value.slice(0, 100)),
      picks: (value) => {
        const picks = value.split("-").map(Number);
        return picks.length <= CLOSELY && picks.every((one) => Number.isInteger(one) && one >= 1 && one <= count) && this.set("picks", picks);
      },
    };
  }

  all() {
    this.lay();
    this.syncControls();
    this.paint();
    this.drawAbove();
    this.drawSide();
    const { basis, axes, point, sentence, group, find, picks } = this.state;
    this.writeHash([`basis=${basis}`, `axes=${axes}`, `point=${point}`, ...(sentence ? [`sentence=${sentence}`] : []), ...(group ? [`group=${group}`] : []),
      ...(find ? [`find=${encodeURIComponent(find)}`] : []), ...(picks.length ? [`picks=${picks.join("-")}`] : [])]);
    this.speak();
  }

  syncControls() {
    super.syncControls();
    if (this.laid) this.paint();
  }

  speak() {
    this.say(() => {
      const { point } = this.state;
      const chosen = this.state.sentence && this.sentences[this.state.sentence - 1];
      return `${sentenceCase(this.points[point].after)}.${chosen ? ` Sentence ${chosen.number}, group ${chosen.group}: ${chosen.shown.join("")}` : ""}`;
    });
  }

  /** Whether a sentence is among those that are looked at. @param {any} one */
  wanted(one) {
    const { group, find } = this.state;
    return (!group || one.group === group) && (!find || one.text.toLowerCase().includes(find.toLowerCase()));
  }

  // --- head and stage ------------------------------------------------------------------------------

  head() {
    const made = this.data.provenance;
    const keys = [["← →", "along the journey"], ["Home End", "to its start or end"], ["↑ ↓", "sentence before or after (picture focused)"], ["Space", "play or pause"], ["/", "find sentences"], ["p", "pick the chosen sentence"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Hover over a point to read it, click to stay there. The address holds what you see.");
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(this.data.word, 60)), h("p", { class: "sub" }, `in ${this.sentences.length.toLocaleString("en")} sentences · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  stage() {
    this.ground = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "layer", "aria-hidden": "true" }));
    this.marks = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "layer", "aria-hidden": "true" }));
    this.figure = s("svg", { class: "paths", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.frame = h("div", { class: "frame" }, this.ground, this.marks, this.figure);
    this.caption = h("p", { class: "caption" });
    const names = { raw: "raw vectors", axes: "named axes" };
    const controls = h("div", { class: "controls" },
      this.segments("basis", "Basis", Object.fromEntries(Object.keys(this.data.bases).map((name) => [name, names[name] ?? name]))),
      this.segments("axes", "Axes", { "1-2": "1–2", "1-3": "1–3", "2-3": "2–3" }),
      this.exports("uses", () => this.whole(), () => this.rows()));
    this.pointing();
    return h("section", { class: "stage" },
      h("div", { class: "picture" }, controls, this.frame, this.scrubber(), this.caption, this.details("All sentences as a table", () => this.sentenceRows())),
      this.side());
  }

  scrubber() {
    this.play = this.button("▶", () => this.toggle(), { class: "play", "aria-label": "Play", "aria-keyshortcuts": "Space" });
    this.slider = h("input", { type: "range", min: 0, max: this.last, step: 1, "aria-label": "Point of the journey" });
    this.on(this.slider, "input", () => {
      this.pause();
      this.change({ point: Number(this.slider.value) });
    });
    this.place = h("output", { class: "place" });
    return h("div", { class: "scrubber" }, this.play, this.slider, this.place);
  }

  side() {
    this.groups = h("ul", { class: "groups" });
    this.find = h("input", { type: "search", value: this.state.find, spellcheck: "false" });
    this.on(this.find, "input", () => this.change({ find: this.find.value }));
    this.found = h("small", {});
    this.reading = h("section", { class: "reading", "aria-label": "The chosen sentence" });
    this.picked = h("section", { class: "picks" });
    const head = this.data.groups.length > 1 ? "Groups" : "Sentences";
    return h("div", { class: "side" }, h("h2", {}, head), this.groups, h("label", { class: "find" }, "Find sentences with", this.find, this.found), this.reading, this.picked);
  }

  pointing() {
    const at = (event) => {
      const box = this.figure.getBoundingClientRect();
      return this.nearest(event.clientX - box.left, event.clientY - box.top);
    };
    this.on(this.figure, "pointermove", (event) => this.hover(at(event)));
    this.on(this.figure, "pointerleave", () => this.hover(-1));
    this.on(this.figure, "click", (event) => {
      const found = at(event);
      if (found < 0) return;
      this.pause();
      this.hovered = -1;
      this.change({ sentence: Math.floor(found / this.points.length) + 1, point: found % this.points.length });
    });
  }

  /** The nearest point of those that are looked at. @param {number} x @param {number} y */
  nearest(x, y) {
    const per = this.points.length;
    const point = this.grid.nearest(x, y, 20, (one) => (one % per === this.state.point ? 0.6 : 1));
    return point < 0 ? -1 : this.kept[Math.floor(point / per)] * per + (point % per);
  }

  /** @param {number} found */
  hover(found) {
    if (found === this.hovered) return;
    this.hovered = found;
    this.drawAbove();
    this.drawReading();
  }

  // --- the picture ---------------------------------------------------------------------------------

  resized() {
    const width = Math.max(260, Math.floor(this.frame.clientWidth));
    if (this.size?.[0] === width) return;
    this.size = [width, Math.round(clamp(width * 0.7, 300, 640))];
    sized(this.figure, ...this.size);
    this.laid = "";
    if (this.root.isConnected) this.all();
  }

  /** Lay all points out, and those that are looked at into a grid; again only when something changed. */
  lay() {
    const { basis, axes, group, find } = this.state;
    const key = [basis, axes, group, find, ...this.size].join("|");
    if (key === this.laid) return;
    this.laid = key;
    const [across, up] = AXES[axes].map((axis) => this.data.bases[basis].coordinates[axis]);
    const [width, height] = this.size;
    const pad = [30, 30, 22, 40];
    const extent = (values) => values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
    const [[left, right], [low, high]] = [extent(across), extent(up)];
    const scale = Math.min((width - pad[0] - pad[1]) / Math.max(right - left, 1e-9), (height - pad[2] - pad[3]) / Math.max(high - low, 1e-9));
    const [middleX, middleY] = [(left + right) / 2, (low + high) / 2];
    this.xs = Float32Array.from(across, (value) => pad[0] + (width - pad[0] - pad[1]) / 2 + (value - middleX) * scale);
    this.ys = Float32Array.from(up, (value) => pad[2] + (height - pad[2] - pad[3]) / 2 - (value - middleY) * scale);
    this.kept = this.sentences.map((one, index) => (this.wanted(one) ? index : -1)).filter((index) => index >= 0);
    const per = this.points.length;
    const pick = (values) => {
      const found = new Float32Array(this.kept.length * per);
      this.kept.forEach((index, place) => found.set(values.subarray(index * per, (index + 1) * per), place * per));
      return found;
    };
    this.grid = new PointGrid(pick(this.xs), pick(this.ys));
    this.painted = "";
  }

  /** The colour of each group, as the theme has it. */
  colours() {
    return [...this.groups.children].map((item) => getComputedStyle(item).getPropertyValue("--c"));
  }

  /** Paths and points on the canvas: all faintly, those at the chosen point strongly. */
  paint() {
    if (!this.groups.children.length) this.drawGroups();
    const colours = this.colours();
    const per = this.points.length;
    const key = `${this.laid}|${colours}`;
    const chosen = new Set(this.kept);
    if (this.painted !== key) {
      this.painted = key;
      const brush = wiped(this.ground, ...this.size);
      brush.lineWidth = 0.8;
      // The more paths, the fainter each: what many share stays visible.
      const line = clamp(30 / this.kept.length, 0.03, 0.28);
      this.sentences.forEach((one, index) => {
        const mine = chosen.has(index);
        brush.fillStyle = brush.strokeStyle = colours[one.group - 1];
        drawPath(brush, this.xs, this.ys, index * per, (index + 1) * per, mine ? { line, dots: 0.3, size: 1.6 } : { line: 0, dots: 0.05, size: 1.6 });
      });
    }
    const brush = wiped(this.marks, ...this.size);
    const r = clamp(90 / Math.sqrt(this.kept.length), 2, 4.5);
    for (const index of this.kept) {
      const place = index * per + this.state.point;
      const group = this.sentences[index].group;
      brush.globalAlpha = 0.9;
      brush.fillStyle = colours[group - 1];
      brush.translate(this.xs[place], this.ys[place]);
      brush.fill(this.shapeOf(group, r));
      brush.translate(-this.xs[place], -this.ys[place]);
    }
  }

  /** A group's marker, made once for each size. @param {number} group @param {number} r */
  shapeOf(group, r) {
    if (this.shapes?.r !== r) this.shapes = { r, made: this.data.groups.map((_, index) => new Path2D(shape(index, r))) };
    return this.shapes.made[group - 1];
  }

  /** What lies above the canvas: axes, the chosen path, the picks, the hovered point. */
  drawAbove() {
    const per = this.points.length;
    const { point, sentence, picks } = this.state;
    const hovered = this.hovered < 0 ? null : Math.floor(this.hovered / per) + 1;
    const paths = [...new Set([...picks, sentence, hovered].filter(Boolean))].map((number) => this.drawnPath(number, point));
    const ring = this.hovered < 0 ? "" : s("circle", { class: "ring", cx: this.xs[this.hovered], cy: this.ys[this.hovered], r: 8 });
    this.figure.replaceChildren(s("title", {}, `Uses of ${this.data.word}`), this.keptGround ?? "", ...this.axisLabels(), ...paths, ring);
    this.slider.value = String(point);
    this.slider.setAttribute("aria-valuetext", this.points[point].after);
    this.place.textContent = sentenceCase(this.points[point].after);
    this.figure.setAttribute("aria-label", `Uses of ${this.data.word} in ${this.sentences.length} sentences, ${this.points[point].after}. Arrow keys move along the journey and from sentence to sentence.`);
  }

  /** @param {number} number @param {number} point */
  drawnPath(number, point) {
    const per = this.points.length;
    const one = this.sentences[number - 1];
    const places = Array.from({ length: per }, (_, step) => (number - 1) * per + step);
    const points = places.map((place) => `${this.xs[place].toFixed(1)},${this.ys[place].toFixed(1)}`).join(" ");
    const [x, y] = [this.xs[places[point]], this.ys[places[point]]];
    return s("g", { class: colour(one.group) }, s("polyline", { class: "halo", points }), s("polyline", { points }),
      s("path", { class: "now", d: shape(one.group - 1, 6), transform: `translate(${x},${y})` }),
      s("text", { x: clamp(x, 16, this.size[0] - 16), y: y > 24 ? y - 11 : y + 20, "text-anchor": "middle" }, String(number)));
  }

  /** @param {number} axis */
  axisName(axis) {
    return this.data.bases[this.state.basis].names?.[axis] ?? `axis ${axis + 1}`;
  }

  axisLabels() {
    const [width, height] = this.size;
    const [across, up] = AXES[this.state.axes];
    const { explained } = this.data.bases[this.state.basis];
    const label = (axis) => `${clipped(this.axisName(axis), Math.floor(width / 14))}: ${percent(explained[axis])}`;
    return [
      s("path", { class: "cross", d: `M14,${height - 40}V${height - 14}H40` }),
      s("text", { class: "axis", x: 46, y: height - 10 }, label(across)),
      s("text", { class: "axis", x: 18, y: height - 46, transform: `rotate(-90 18 ${height - 46})` }, label(up)),
    ];
  }

  drawCaption() {
    const { basis, axes } = this.state;
    const told = this.data.bases[basis];
    const sum = AXES[axes].reduce((total, axis) => total + told.explained[axis], 0);
    const what = {
      differences: "Principal components of what the uses do not share: directions (vectors scaled to length 1), with the mean of all uses at the same layer taken off.",
      directions: "Principal components of the vectors’ directions (all scaled to length 1).",
      axes: `Axes that were named, for the vectors’ directions (scaled to length 1): ${(told.names ?? []).map((name, axis) => `${name} (${percent(told.explained[axis])}, turned by ${number(told.turned[axis])}°)`).join("; ")}; others are principal components of what is left.`,
    }[basis];
    this.caption.textContent = `${what} One basis for all ${(this.sentences.length * this.points.length).toLocaleString("en")} points, and all of them are drawn; what you see is ${percent(sum)} of their variance. Strong markers: where every use stands ${this.points[this.state.point].after}. Faint lines: the whole ways.`;
  }

  // --- beside the picture --------------------------------------------------------------------------

  drawGroups() {
    this.groups.replaceChildren(...this.data.groups.map((one) => {
      const words = one.words.length ? one.words.join(", ") : "all sentences";
      const near = one.near.length ? h("small", {}, `near: ${one.near.join(", ")}`) : "";
      return h("li", { class: colour(one.number) }, this.button([marker(one.number), h("b", {}, one.count.toLocaleString("en")), h("span", {}, words), near],
        () => this.change({ group: this.state.group === one.number ? 0 : one.number }), { "aria-pressed": "false", "data-group": one.number }));
    }));
  }

  drawSide() {
    for (const button of this.groups.querySelectorAll("button")) button.setAttribute("aria-pressed", String(Number(button.dataset.group) === this.state.group));
    this.found.textContent = this.kept.length < this.sentences.length ? `${this.kept.length.toLocaleString("en")} of ${this.sentences.length.toLocaleString("en")} sentences are looked at; the others are dots without a colour’s strength` : "";
    if (document.activeElement !== this.find) this.find.value = this.state.find;
    this.drawCaption();
    this.drawReading();
    this.drawPicks();
  }

  drawReading() {
    const per = this.points.length;
    const { sentence, point, picks } = this.state;
    const number_ = this.hovered < 0 ? sentence : Math.floor(this.hovered / per) + 1;
    const at = this.hovered < 0 ? point : this.hovered % per;
    if (!number_) return this.reading.replaceChildren(small("Hover over a point to read its sentence; click to stay there."));
    const one = this.sentences[number_ - 1];
    const [before, word, behind] = one.shown;
    const place = (number_ - 1) * per + at;
    const { coordinates } = this.data.bases[this.state.basis];
    const held = picks.includes(number_);
    const parts = [
      h("h2", { class: colour(one.group) }, marker(one.group), h("span", {}, `${number_}, ${this.points[at].after}`)),
      h("p", { class: "text", dir: "auto" }, before, h("mark", {}, word), behind),
      small(`Near, at the end: ${one.near.map(shown).join(", ") || "no word"}. ${coordinates.map((axis, index) => `${this.axisName(index)} ${number(axis[place])}`).join(", ")}.`),
    ];
    const tools = [
      this.button(held ? "No longer picked" : "Pick", () => this.pick(number_), { "aria-keyshortcuts": "p", disabled: !held && picks.length >= CLOSELY }),
      this.opens ? this.button("Its journey in full", () => this.open("shift", { word: this.data.word, sentences: [one.text] })) : "",
    ];
    return this.reading.replaceChildren(...parts, h("div", { class: "tools" }, tools));
  }

  /** @param {number} number */
  pick(number) {
    const { picks } = this.state;
    if (picks.includes(number)) this.change({ picks: picks.filter((one) => one !== number) });
    else if (picks.length < CLOSELY) this.change({ picks: [...picks, number] });
  }

  drawPicks() {
    const { picks } = this.state;
    if (!picks.length) return this.picked.replaceChildren();
    const items = picks.map((number) => {
      const one = this.sentences[number - 1];
      return h("li", { class: colour(one.group) }, h("span", { dir: "auto" }, h("b", {}, `${number} `), clipped(one.shown.join(""), 70)), this.button("×", () => this.pick(number), { class: "quiet", "aria-label": `Sentence ${number} no longer picked` }));
    });
    const follow = () => this.open("shift", { word: this.data.word, sentences: picks.map((number) => this.sentences[number - 1].text) });
    return this.picked.replaceChildren(h("h3", {}, `Picked (at most ${CLOSELY})`), h("ul", { class: "picked" }, items),
      this.opens ? this.button("Follow these closely", follow) : small("`molehill explore` follows them closely: rows, pairs, where they part."));
  }

  // --- keys and playing ----------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || this.dialog.open) return;
    const control = target.closest?.("input, select, textarea, summary");
    const { point, sentence } = this.state;
    const keys = /** @type {Record<string, () => void>} */ ({
      ArrowRight: () => this.change({ point: Math.min(this.last, point + 1) }),
      ArrowLeft: () => this.change({ point: Math.max(0, point - 1) }),
      Home: () => this.change({ point: 0 }),
      End: () => this.change({ point: this.last }),
      ArrowDown: () => this.step(1),
      ArrowUp: () => this.step(-1),
      "/": () => this.find.focus(),
      "?": () => this.dialog.showModal(),
      p: () => sentence && this.pick(sentence),
      " ": () => this.toggle(),
    });
    if (control || !Object.hasOwn(keys, event.key)) return;
    if (/^Arrow(Up|Down)$|Home|End/.test(event.key) && document.activeElement !== this.figure) return;
    if (event.key === " " && target.closest?.("button, a")) return;
    if (event.key !== " ") this.pause();
    keys[event.key]();
    event.preventDefault();
  }

  /** The sentence before or after, of those that are looked at. @param {number} by */
  step(by) {
    if (!this.kept.length) return;
    const place = this.kept.indexOf(this.state.sentence - 1);
    const count = this.kept.length;
    this.change({ sentence: this.kept[(((place < 0 ? (by > 0 ? -1 : 0) : place) + by) % count + count) % count] + 1 });
  }

  toggle() {
    if (this.timer) return this.pause();
    if (this.state.point >= this.last) this.state.point = -1;
    const next = () => {
      if (this.state.point >= this.last) return this.pause();
      return this.change({ point: this.state.point + 1 });
    };
    this.timer = setInterval(next, this.still.matches ? 900 : STEP_MS);
    this.play.textContent = "❙❙";
    this.play.setAttribute("aria-label", "Pause");
    return next();
  }

  pause() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "Play");
  }

  // --- to keep -------------------------------------------------------------------------------------

  /** The picture with what is on the canvas in it: a line for each sentence, a marker where it stands. */
  whole() {
    const per = this.points.length;
    this.keptGround = s("g", { class: "ground" }, this.kept.map((index) => {
      const places = Array.from({ length: per }, (_, step) => index * per + step);
      const { group } = this.sentences[index];
      const here = index * per + this.state.point;
      return s("g", { class: colour(group) }, s("polyline", { points: places.map((place) => `${this.xs[place].toFixed(1)},${this.ys[place].toFixed(1)}`).join(" ") }),
        s("path", { class: "now", d: shape(group - 1, 3), transform: `translate(${this.xs[here].toFixed(1)},${this.ys[here].toFixed(1)})` }));
    }));
    this.drawAbove();
    this.keptGround = undefined;
    setTimeout(() => this.drawAbove());
    return this.figure;
  }

  sentenceRows() {
    return [["number", "group", "sentence", "near, at the end"], ...this.kept.map((index) => {
      const one = this.sentences[index];
      return [one.number, one.group, one.text, one.near.map(shown).join(" ")];
    })];
  }

  rows() {
    const per = this.points.length;
    const { coordinates } = this.data.bases[this.state.basis];
    return [["sentence", "group", "text", "point", "axis_1", "axis_2", "axis_3"], ...this.kept.flatMap((index) =>
      this.points.map((point, step) => [index + 1, this.sentences[index].group, this.sentences[index].text, point.name, ...coordinates.map((axis) => axis[index * per + step])]))];
  }

  /** @param {number} room */
  signature(room) {
    return [{ text: clipped(`“${this.data.word}” in ${this.sentences.length} sentences, ${this.points[this.state.point].after}; ${this.state.basis}, axes ${this.state.axes}`, room) }, ...super.signature(room)];
  }

  foot() {
    return this.footOf(this.data.notes, "crowd");
  }
}
