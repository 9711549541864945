// @ts-check
/**
 * A word in motion: one path per sentence in one fixed basis, what was added at every step, where
 * two paths part and what parted them.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.shift/1, see docs/howto/shift.md) into `el` and returns its own cleanup. It asks nothing
 * of the network, and every text from the data becomes a text node.
 *
 * @typedef {{name: string, share: number | null, kind?: string, word?: string, sentence?: number,
 *   source?: number, coefficient?: number | null, norm?: number | null, cosine?: number | null}} Row
 * @typedef {{piece: string, score: number | null, probability?: number | null}} Near
 * @typedef {{entries: any[], rest: number, rest_count: number}} Shares
 * @typedef {{norm: number, step: number, next: Near[], own: Near[], own_words: string[],
 *   rows: Row[], closing_error: number | null}} Step
 * @typedef {{basis: string, axes: string, point: number, sentence: number,
 *   pair: number, at: "parting" | "end", theme: "auto" | "light" | "dark", yaw: number,
 *   pitch: number}} State
 */

import {
  Page, clamp, clipped, colour, h, marker, number, percent, rendering, s, scientific, sentenceCase,
  shape, shown, sized, small, ticks,
} from "./kit.js";
import { MANY, PointGrid, drawPath, wiped } from "./points.js";

const render = rendering(() => View);
export default { render };

const DASHES = ["", "7 2", "3 2", "10 2 3 2", "5 1.5", "12 2 3 2 3 2", "2 1.5", "9 4"];
const AXES = { "1-2": [0, 1], "1-3": [0, 2], "2-3": [1, 2] };
/** Scores of set-apart words below this are what the best of a vocabulary reaches by chance. */
const CHANCE = 4.3;
const STEP_MS = 130;

// --- the view ------------------------------------------------------------------------------------

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.word;
    this.points = data.points;
    this.sentences = data.sentences;
    this.pairs = data.pairs;
    this.last = data.points.length - 1;
    this.frame = 0;
    this.moment = this.last;
    this.playing = false;
    /** @type {{sentence: number, point: number} | null} */
    this.hovered = null;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    /** @type {State} */
    this.state = {
      basis: Object.keys(data.bases)[0], axes: "1-2", point: this.last, sentence: 1, pair: this.firstPair(),
      at: "parting", theme: "auto", yaw: 0.6, pitch: 0.4,
    };
    this.notice = this.fromHash();
    this.moment = this.state.point;
  }

  /** The pair that is shown first: the one that the summary speaks of. */
  firstPair() {
    const [a, b] = this.data.first_to_part ?? [];
    return Math.max(0, this.pairs.findIndex((pair) => pair.a === a && pair.b === b));
  }

  build() {
    const head = this.head();
    this.mount(head, this.leadOf(this.data.summary), this.stage(), this.pairs.length ? this.apart() : "", this.moves(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.figure.parentElement);
    this.on(document, "keydown", (event) => this.key(event));
    this.resized();
    this.all();
  }

  readAddress() {
    this.moment = this.state.point;
  }

  halt() {
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  // --- state ---------------------------------------------------------------------------------------

  /** What the address may say. @returns {Record<string, (value: string) => boolean>} */
  takers() {
    return {
      basis: (value) => Object.hasOwn(this.data.bases, value) && this.set("basis", value),
      axes: (value) => (value in AXES || value === "3d") && this.set("axes", value),
      at: (value) => ["parting", "end", ...(this.asks ? ["here"] : [])].includes(value) && this.set("at", value),
      point: (value) => this.take("point", value, 0, this.last),
      sentence: (value) => this.take("sentence", value, 1, this.sentences.length),
      pair: (value) => {
        const index = this.pairs.findIndex((pair) => `${pair.a}-${pair.b}` === value);
        return index >= 0 && this.set("pair", index);
      },
      turn: (value) => {
        const [yaw, pitch] = value.split(",").map(Number);
        return Number.isFinite(yaw) && Number.isFinite(pitch) && this.set("yaw", yaw) && this.set("pitch", pitch);
      },
    };
  }

  toHash() {
    const { basis, axes, point, sentence, at, yaw, pitch } = this.state;
    const parts = [`basis=${basis}`, `axes=${axes}`, `point=${point}`, `sentence=${sentence}`];
    const pair = this.pair;
    if (pair) parts.push(`pair=${pair.a}-${pair.b}`, `at=${at}`);
    if (axes === "3d") parts.push(`turn=${yaw.toFixed(2)},${pitch.toFixed(2)}`);
    this.writeHash(parts);
  }

  get pair() {
    return this.pairs[this.state.pair];
  }

  /** @param {Partial<State>} change */
  change(change) {
    Object.assign(this.state, change);
    if ("point" in change) this.moment = this.state.point;
    this.all();
  }

  /** Everything that depends on the state. */
  all() {
    this.drawPaths();
    this.drawMoment();
    this.drawReading();
    this.drawMoved();
    if (this.pairs.length) {
      this.drawDistances();
      this.drawMatrix();
      this.drawParting();
    }
    this.syncControls();
    this.toHash();
    this.speak();
  }

  syncControls() {
    super.syncControls();
    // A canvas keeps the colours that it was painted in; the theme may have changed.
    if (!this.canvas.hidden) this.paintGround(wiped(this.canvas, ...this.size));
    if (this.pairs.length) {
      this.pickA.value = String(this.pair.a);
      this.pickB.value = String(this.pair.b);
    }
  }

  /** Say the selection to those who listen; not on every frame. */
  speak() {
    if (this.playing) return;
    this.say(() => {
      const { sentence, point } = this.selection();
      const step = this.step(sentence, point);
      const row = step.rows[0];
      const parts = [`Sentence ${sentence}, ${this.points[point].after}. Length ${number(step.norm)}, step ${number(step.step)}.`];
      if (row) parts.push(`Most of it: ${this.rowName(row)}, ${percent(row.share)}.`);
      if (step.own_words.length) parts.push(`Set apart by ${step.own_words.join(", ")}.`);
      return parts.join(" ");
    });
  }

  selection() {
    return this.hovered ?? { sentence: this.state.sentence, point: Math.round(this.moment) };
  }

  /** @param {number} sentence @param {number} point @returns {Step} */
  step(sentence, point) {
    return this.sentences[sentence - 1].steps[point];
  }

  /** @param {Row} row */
  rowName(row) {
    return row.word === undefined ? row.name : `${row.name} from ${shown(row.word)}`;
  }

  // --- head and lead -------------------------------------------------------------------------------

  head() {
    const made = this.data.provenance;
    const count = this.sentences.length;
    const keys = [
      ["← →", "along the journey"], ["Home End", "to its start or end (picture focused)"],
      ["1 … 9", "choose a sentence"], ["↑ ↓", "sentence before or after (picture focused)"],
      ["Space", "play or pause"], ["[ ]", "turn the 3-D picture"], ["?", "this list"], ["Esc", "close it"],
    ];
    const help = this.helpOf(keys, "Hover over a point to read it, click to stay there. The address holds what you see: copy it to come back.");
    return h(
      "header", {},
      h("div", {},
        h("h1", { dir: "auto" }, clipped(this.data.word, 60)),
        h("p", { class: "sub" }, `in ${count} sentence${count === 1 ? "" : "s"}${made.twice ? ", read twice" : ""} · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help),
    );
  }

  // --- the stage: sentences, paths, reading --------------------------------------------------------

  stage() {
    this.choices = h("div", { class: "sentences", role: "radiogroup", "aria-label": "Sentence" });
    for (const sentence of this.sentences) {
      const input = h("input", { type: "radio", name: "sentence", value: sentence.number, "data-state": "sentence" });
      this.on(input, "change", () => this.change({ sentence: sentence.number }));
      this.choices.append(
        h("label", { class: `sentence ${colour(sentence.number)}` }, input,
          h("span", { class: "tag" }, marker(sentence.number), h("b", {}, String(sentence.number))),
          h("span", { class: "text", dir: "auto" }, this.marked(sentence))),
      );
    }
    this.figure = s("svg", { class: "paths", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "many", "aria-hidden": "true" }));
    this.caption = h("p", { class: "caption" });
    this.reading = h("section", { class: "reading", "aria-label": "The chosen point" });
    this.pathTable = this.details("The picture as a table", () => this.pathRows());
    const controls = h(
      "div", { class: "controls" },
      this.segments("basis", "Basis", Object.fromEntries(Object.keys(this.data.bases).map((name) => [name, { raw: "raw vectors", axes: "named axes" }[name] ?? name]))),
      this.segments("axes", "Axes", { "1-2": "1–2", "1-3": "1–3", "2-3": "2–3", "3d": "3-D" }),
      this.exports("paths", () => this.whole(), () => this.pathCsv()),
    );
    this.pointing();
    return h(
      "section", { class: "stage" },
      h("div", { class: "picture" }, controls, h("div", { class: "frame" }, this.canvas, this.figure), this.scrubber(), this.caption, this.pathTable),
      h("div", { class: "side" }, h("h2", {}, "Sentences"), this.choices, this.reading),
    );
  }

  /** The sentence with its word marked; of a long one, what stands around it. @param {any} sentence */
  marked(sentence) {
    const characters = [...sentence.text];
    const [start, end] = sentence.word_at;
    const room = 160;
    const before = characters.slice(0, start);
    const rest = characters.slice(end);
    return [
      before.length > room ? `…${before.slice(-room).join("")}` : before.join(""),
      h("mark", {}, characters.slice(start, end).join("")),
      rest.length > room ? `${rest.slice(0, room).join("")}…` : rest.join(""),
    ];
  }

  scrubber() {
    this.play = this.button(playIcon(false), () => this.toggle(), { class: "play", "aria-label": "Play", "aria-keyshortcuts": "Space" });
    this.slider = h("input", { type: "range", min: 0, max: this.last, step: 1, "aria-label": "Point of the journey" });
    this.on(this.slider, "input", () => {
      this.pause();
      this.moveTo(Number(this.slider.value));
    });
    this.place = h("output", { class: "place" });
    return h("div", { class: "scrubber" }, this.play, this.slider, this.place);
  }

  /** Pointing at the picture: the nearest point of any path; in 3-D, dragging turns it. */
  pointing() {
    /** @type {{x: number, y: number, yaw: number, pitch: number} | null} */
    let held = null;
    this.on(this.figure, "pointerdown", (event) => {
      if (this.state.axes !== "3d") return;
      held = { x: event.clientX, y: event.clientY, yaw: this.state.yaw, pitch: this.state.pitch };
      this.figure.setPointerCapture(event.pointerId);
    });
    this.on(this.figure, "pointermove", (event) => {
      if (held) {
        this.state.yaw = held.yaw + (event.clientX - held.x) / 160;
        this.state.pitch = clamp(held.pitch + (event.clientY - held.y) / 160, -1.5, 1.5);
        this.drawPaths();
        this.drawMoment();
        return;
      }
      this.hover(this.nearest(event));
    });
    this.on(this.figure, "pointerup", () => {
      if (held) this.toHash();
      held = null;
    });
    this.on(this.figure, "pointerleave", () => this.hover(null));
    this.on(this.figure, "click", (event) => {
      const found = this.nearest(event);
      if (!found) return;
      this.hovered = null;
      this.pause();
      this.change(found);
    });
  }

  /** @param {PointerEvent} event */
  nearest(event) {
    const box = this.figure.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    // Where paths lie on one another, the chosen one is meant.
    const point = this.grid.nearest(x, y, 26, (one) => (Math.floor(one / this.points.length) + 1 === this.state.sentence ? 0.7 : 1));
    const found = point < 0 ? null : { sentence: Math.floor(point / this.points.length) + 1, point: point % this.points.length };
    return found;
  }

  /** @param {{sentence: number, point: number} | null} found */
  hover(found) {
    const same = found?.sentence === this.hovered?.sentence && found?.point === this.hovered?.point;
    if (same || this.playing) return;
    this.hovered = found;
    this.drawMoment();
    this.drawReading();
    this.speak();
  }

  // --- the paths -----------------------------------------------------------------------------------

  resized() {
    const width = Math.max(260, Math.floor(this.figure.parentElement.clientWidth));
    const height = Math.round(clamp(width * 0.7, 300, 600));
    if (this.size && this.size[0] === width) return;
    this.size = [width, height];
    sized(this.figure, width, height);
    this.drawPaths();
    this.drawMoment();
    if (this.pairs.length) this.drawDistances();
  }

  /** @param {number[]} coordinates @returns {[number, number]} */
  projected([x, y, z]) {
    if (this.state.axes !== "3d") {
      const [across, up] = AXES[this.state.axes];
      return [[x, y, z][across], [x, y, z][up]];
    }
    const { yaw, pitch } = this.state;
    const depth = x * Math.sin(yaw) + z * Math.cos(yaw);
    return [x * Math.cos(yaw) - z * Math.sin(yaw), y * Math.cos(pitch) + depth * Math.sin(pitch)];
  }

  /**
   * Lay all paths out and draw what does not change while scrubbing; many points on a canvas, if they need not be kept.
   * @param {boolean} [inFull]
   */
  drawPaths(inFull = false) {
    const { paths, explained } = this.data.bases[this.state.basis];
    const flat = paths.map((path) => path.map((point) => this.projected(point.map((value) => value ?? 0))));
    this.placed = this.fitted(flat, paths);
    const places = this.placed.flat();
    this.grid = new PointGrid(Float64Array.from(places, ([x]) => x), Float64Array.from(places, ([, y]) => y));
    const many = places.length > MANY && !inFull;
    const brush = wiped(this.canvas, ...this.size);
    this.canvas.hidden = !many;
    const grounds = many ? this.paintGround(brush) : this.placed.map((path, index) =>
      s("g", { class: `ground ${colour(index + 1)}` },
        s("polyline", { points: path.map((point) => point.join(",")).join(" "), "stroke-dasharray": DASHES[index % 8] }),
        path.map(([x, y]) => s("circle", { cx: x, cy: y, r: 1.5 }))));
    this.ground = s("g", {}, this.axisLabels(explained), grounds);
    this.above = s("g", {});
    this.figure.replaceChildren(s("title", {}, `Paths of ${this.data.word}`), this.ground, this.above);
    this.drawCaption(explained);
  }

  /** The paths on the canvas below the picture. @param {CanvasRenderingContext2D} brush */
  paintGround(brush) {
    const { xs, ys } = this.grid;
    this.placed.forEach((path, index) => {
      const probe = this.choices.children[index];
      brush.fillStyle = brush.strokeStyle = getComputedStyle(probe).getPropertyValue("--c");
      brush.setLineDash(DASHES[index % 8].split(" ").filter(Boolean).map(Number));
      drawPath(brush, xs, ys, index * path.length, (index + 1) * path.length);
    });
    return [];
  }

  /** The picture with everything that is on the canvas in it, to be kept. */
  whole() {
    const again = (inFull) => {
      this.drawPaths(inFull);
      this.drawMoment();
    };
    again(true);
    setTimeout(again);
    return this.figure;
  }

  /**
   * One scale for both axes, so that distances in the picture are those in the plane.
   * @param {number[][][]} flat @param {number[][][]} paths
   */
  fitted(flat, paths) {
    const [width, height] = this.size;
    const pad = { left: 36, right: 36, top: 34, bottom: 44 };
    const [room, tall] = [width - pad.left - pad.right, height - pad.top - pad.bottom];
    let box;
    if (this.state.axes === "3d") {
      // A ball that holds everything however it is turned, so that turning does not change the scale.
      const far = Math.max(1e-9, ...paths.flat().map((point) => Math.hypot(...point.map((value) => value ?? 0))));
      box = [-far, far, -far, far];
    } else {
      const [xs, ys] = [0, 1].map((axis) => flat.flat().map((point) => point[axis]));
      box = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    }
    const scale = Math.min(room / Math.max(box[1] - box[0], 1e-9), tall / Math.max(box[3] - box[2], 1e-9));
    const [middleX, middleY] = [(box[0] + box[1]) / 2, (box[2] + box[3]) / 2];
    return flat.map((path) => path.map(([x, y]) => [
      Math.round((pad.left + room / 2 + (x - middleX) * scale) * 100) / 100,
      Math.round((pad.top + tall / 2 - (y - middleY) * scale) * 100) / 100,
    ]));
  }

  /** @param {number[]} explained */
  axisLabels(explained) {
    const [width, height] = this.size;
    if (this.state.axes === "3d") {
      return s("text", { class: "axis", x: width - 12, y: height - 14, "text-anchor": "end" }, "drag, or [ and ], to turn");
    }
    const [across, up] = AXES[this.state.axes];
    const label = (axis) => `${clipped(this.axisName(axis), Math.floor(width / 14))}: ${percent(explained[axis])}`;
    return [
      s("path", { class: "cross", d: `M14,${height - 40}V${height - 14}H40` }),
      s("text", { class: "axis", x: 46, y: height - 10 }, label(across)),
      s("text", { class: "axis", x: 18, y: height - 46, transform: `rotate(-90 18 ${height - 46})` }, label(up)),
    ];
  }

  /** What an axis of the chosen basis is called. @param {number} axis */
  axisName(axis) {
    return this.data.bases[this.state.basis].names?.[axis] ?? `axis ${axis + 1}`;
  }

  /** What the named axes are, how much each was turned, and what fills up the rest. */
  namedAxes() {
    const { names, turned, explained } = this.data.bases.axes;
    const told = names.map((name, axis) => `${name} (${percent(explained[axis])}${turned[axis] >= 0.05 ? `, turned by ${number(turned[axis])}° to stand at a right angle to those before it` : ""})`);
    const rest = names.length < 3 ? ` The other axes are principal components of what ${names.length > 1 ? "these leave" : "it leaves"}.` : "";
    return `Axes that were named, for the vectors’ directions (all scaled to length 1), so that a coordinate is the cosine with the axis: ${told.join("; ")}.${rest} `;
  }

  /** @param {number[]} explained */
  drawCaption(explained) {
    const { axes, basis } = this.state;
    const used = axes === "3d" ? [0, 1, 2] : AXES[axes];
    const sum = used.reduce((total, axis) => total + (explained[axis] ?? 0), 0);
    const what = {
      differences: "what the paths do not share: directions (vectors scaled to length 1), with the mean of all paths at the same layer taken off",
      directions: "the vectors’ directions (all scaled to length 1)",
      raw: "the vectors as they are",
    }[basis];
    this.caption.textContent =
      (basis === "axes" ? this.namedAxes() : `Principal components of ${what}; one basis, fitted to all ${this.points.length} points of all ` +
      `${this.sentences.length} paths. `) + `What you see is ${percent(sum)} of their variance; the rest is hidden by the projection.` +
      (basis === "differences" && this.sentences.length === 2 ? " Two paths without what they share mirror one another." : "") +
      (this.pair ? ` The dotted line joins the chosen pair; the number on it is how far apart the two vectors are (not their images): 0 is one place, 1.41 a right angle.` : "");
  }

  /** Where a path stands at a moment between two points. @param {number} index @param {number} moment */
  between(index, moment) {
    const path = this.placed[index];
    const before = Math.floor(moment);
    const [x, y] = path[before];
    const [nextX, nextY] = path[Math.min(before + 1, this.last)];
    const part = moment - before;
    return [x + (nextX - x) * part, y + (nextY - y) * part];
  }

  /** What changes while scrubbing: the way so far, the markers, the pair's distance. */
  drawMoment() {
    const moment = this.moment;
    const chosen = this.state.sentence;
    const order = this.placed.map((_, index) => index).sort((a, b) => Number(a + 1 === chosen) - Number(b + 1 === chosen));
    const here = this.placed.map((_, index) => this.between(index, moment));
    const trails = order.map((index) => {
      const way = [...this.placed[index].slice(0, Math.floor(moment) + 1), here[index]];
      return s("g", { class: `trail ${colour(index + 1)}${index + 1 === chosen ? " chosen" : ""}` },
        s("polyline", { points: way.map((point) => point.join(",")).join(" "), "stroke-dasharray": DASHES[index % 8] }));
    });
    const markers = order.map((index) =>
      s("path", { class: `now ${colour(index + 1)}${index + 1 === chosen ? " chosen" : ""}`, d: shape(index, index + 1 === chosen ? 6.5 : 5), transform: `translate(${here[index].join(",")})` }));
    const [startX, startY] = this.placed[0][0];
    const start = moment > 0.5 && s("g", { class: "start" }, s("circle", { cx: startX, cy: startY, r: 4 }), s("text", { x: startX, y: startY - 9, "text-anchor": "middle" }, "start"));
    const link = this.link(here);
    // What a number must not cover: other markers, and the words in the picture.
    const taken = [...here.map(([x, y]) => [x, y, 12]), ...(start ? [[startX, startY - 12, 20], [startX, startY, 11]] : []), ...(link.middle ? [[...link.middle, 20]] : [])];
    this.above.replaceChildren(...trails, link.drawn, ...(start ? [start] : []), ...markers, ...this.labels(here, taken), this.ring());
    const point = this.points[Math.round(moment)];
    this.slider.value = String(Math.round(moment));
    this.slider.setAttribute("aria-valuetext", point.after);
    this.place.textContent = sentenceCase(point.after);
    this.figure.setAttribute("aria-label", `Paths of ${this.data.word} through ${this.sentences.length} sentences, ${point.after}. Arrow keys move along the chosen path.`);
    this.cursor?.();
  }

  /**
   * The chosen pair's distance, as a line between the two, and where its number stands.
   * @param {number[][]} here @returns {{drawn: SVGElement, middle?: number[]}}
   */
  link(here) {
    const pair = this.pair;
    if (!pair) return { drawn: s("g") };
    const [a, b] = [here[pair.a - 1], here[pair.b - 1]];
    if (Math.hypot(a[0] - b[0], a[1] - b[1]) < 30) return { drawn: s("g") };
    const distance = pair.distances[Math.round(this.moment)];
    // Half way, or further along where the word `start` stands there.
    const [startX, startY] = this.placed[0][0];
    const spot = (part) => [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
    const free = ([x, y]) => Math.abs(x - startX) > 36 || Math.abs(y + 4 - startY) > 20;
    const [x, y] = [0.5, 0.65, 0.35, 0.8, 0.2].map(spot).find(free) ?? spot(0.5);
    const drawn = s("g", { class: "link" },
      s("line", { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }),
      s("text", { x, y: y - 5, "text-anchor": "middle" }, number(distance)));
    return { drawn, middle: [x, y - 9] };
  }

  /**
   * Numbers beside the markers, pushed apart until none covers another or what is taken.
   * @param {number[][]} here @param {number[][]} taken places as x, y and the room they need
   */
  labels(here, taken) {
    const [width, height] = this.size;
    const middle = [0, 1].map((axis) => here.reduce((sum, point) => sum + point[axis], 0) / here.length);
    const spots = here.map(([x, y], index) => {
      const away = Math.hypot(x - middle[0], y - middle[1]);
      const angle = away > 3 ? Math.atan2(y - middle[1], x - middle[0]) : -Math.PI / 2 + (2 * Math.PI * index) / here.length;
      return [x + 16 * Math.cos(angle), y + 16 * Math.sin(angle)];
    });
    for (let round = 0; round < 80; round += 1) {
      spots.forEach((spot, a) => {
        for (const [x, y, room] of taken) {
          const [dx, dy] = [spot[0] - x || 0.1 * (a - 2), spot[1] - y || 0.1];
          const gap = Math.hypot(dx, dy) || 0.1;
          if (gap >= room) continue;
          spot[0] += (dx / gap) * (room - gap);
          spot[1] += (dy / gap) * (room - gap);
        }
        spots.forEach((other, b) => {
          if (a >= b) return;
          const [dx, dy] = [other[0] - spot[0] || 0.1, other[1] - spot[1] || 0.1];
          const gap = Math.hypot(dx, dy);
          if (gap > 15) return;
          const push = (15 - gap) / gap / 2;
          spot[0] -= dx * push;
          spot[1] -= dy * push;
          other[0] += dx * push;
          other[1] += dy * push;
        });
      });
    }
    const leaders = spots.map(([x, y], index) => {
      const [toX, toY] = here[index];
      return Math.hypot(x - toX, y - toY) < 24 ? null : s("line", { class: `leader ${colour(index + 1)}`, x1: x, y1: y, x2: toX, y2: toY });
    });
    const numbers = spots.map(([x, y], index) =>
      s("text", { class: `number ${colour(index + 1)}${index + 1 === this.state.sentence ? " chosen" : ""}`, x: clamp(x, 10, width - 10), y: clamp(y, 12, height - 8), "text-anchor": "middle", dy: "0.35em" }, String(index + 1)));
    return [...leaders.filter((line) => line !== null), ...numbers];
  }

  ring() {
    if (!this.hovered) return s("g");
    const { sentence, point } = this.hovered;
    const [x, y] = this.placed[sentence - 1][point];
    const label = `${sentence}, ${this.points[point].after}`;
    const half = label.length * 3.3;
    return s("g", { class: `ring ${colour(sentence)}` },
      s("circle", { cx: x, cy: y, r: 8 }),
      s("text", { x: clamp(x, half + 6, this.size[0] - half - 6), y: y > 34 ? y - 15 : y + 24, "text-anchor": "middle" }, label));
  }

  // --- scrubbing -----------------------------------------------------------------------------------

  /** @param {number} point */
  moveTo(point) {
    this.hovered = null;
    this.state.point = clamp(Math.round(point), 0, this.last);
    this.moment = this.state.point;
    this.drawMoment();
    this.drawReading();
    if (this.pairs.length && this.state.at === "here") this.drawParting();
    this.toHash();
    this.speak();
  }

  toggle() {
    if (this.playing) return this.pause();
    this.playing = true;
    this.hovered = null;
    if (this.moment >= this.last) this.moment = 0;
    this.playLabel();
    let before = performance.now();
    let waited = 0;
    const tick = (now) => {
      if (!this.playing) return;
      // Who asked for less motion sees whole steps, slowly, and nothing in between.
      // A frame's own time can lie before that of the click that asked for it.
      const passed = Math.max(0, now - before);
      waited += passed;
      if (!this.still.matches) this.moment += passed / STEP_MS;
      else if (waited > 700) {
        this.moment = Math.round(this.moment) + 1;
        waited = 0;
      }
      before = now;
      this.moment = Math.min(this.moment, this.last);
      const point = Math.round(this.moment);
      this.drawMoment();
      if (point !== this.state.point) {
        this.state.point = point;
        this.drawReading();
      }
      if (this.moment >= this.last) this.pause();
      else this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
    return undefined;
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    cancelAnimationFrame(this.frame);
    this.playLabel();
    this.moveTo(this.moment);
  }

  playLabel() {
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.play.replaceChildren(playIcon(this.playing));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || this.dialog.open) return;
    const control = target.closest?.("input, select, textarea, summary");
    const arrows = /** @type {Record<string, () => void>} */ ({
      ArrowRight: () => this.moveTo(this.state.point + 1),
      ArrowLeft: () => this.moveTo(this.state.point - 1),
      ArrowDown: () => this.choose(this.state.sentence + 1),
      ArrowUp: () => this.choose(this.state.sentence - 1),
      Home: () => this.moveTo(0),
      End: () => this.moveTo(this.last),
      "[": () => this.turn(-0.2),
      "]": () => this.turn(0.2),
    });
    if (event.key === "?") this.dialog.showModal();
    else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.sentences.length) this.choose(Number(event.key));
    else if (event.key === " " && !control && !target.closest?.("button, a")) this.toggle();
    else if (Object.hasOwn(arrows, event.key) && !control && this.root.contains(target === document.body ? this.root : target)) {
      // Up and down belong to the page's own scrolling until the picture has the focus.
      if (/^Arrow(Up|Down)$|Home|End/.test(event.key) && document.activeElement !== this.figure) return;
      this.pause();
      arrows[event.key]();
    } else return;
    event.preventDefault();
  }

  /** @param {number} sentence */
  choose(sentence) {
    const count = this.sentences.length;
    this.hovered = null;
    this.change({ sentence: ((sentence - 1 + count) % count) + 1 });
  }

  /** @param {number} by */
  turn(by) {
    if (this.state.axes === "3d") this.change({ yaw: this.state.yaw + by });
  }

  // --- the reading of one point --------------------------------------------------------------------

  drawReading() {
    const { sentence, point } = this.selection();
    const step = this.step(sentence, point);
    const told = this.points[point];
    const first = point === 0;
    const shownSum = step.rows.reduce((sum, row) => sum + (row.share ?? 0), 0);
    this.reading.replaceChildren(
      h("h2", { class: colour(sentence) }, marker(sentence), h("span", {}, `${sentence}, ${told.after}`)),
      h("dl", { class: "figures" },
        pairOf("length", number(step.norm)),
        pairOf(first ? "" : "step", first ? "" : number(step.step)),
        pairOf("closing error", scientific(step.closing_error))),
      step.own.length ? this.nearby("Set apart from the other paths by", step.own, "score") : "",
      this.nearby(step.next.some((near) => near.probability !== undefined) ? "Would say next" : "Nearest words", step.next, "probability"),
      first
        ? small("The token’s own embedding: nothing has been added yet.")
        : !step.rows.length ? small("The last norm divides and weighs the vector; it adds nothing to it.")
        : h("div", {},
            h("h3", {}, "Added in this step"),
            this.bars(step.rows.map((row) => ({ name: this.rowName(row), share: row.share }))),
            small(`The ${step.rows.length} largest rows, along the step; all others together ${percent(1 - shownSum)}.`)),
      this.opening(sentence, point),
    );
  }

  /** What else can be seen of the chosen point, where the host shows it. @param {number} number @param {number} point */
  opening(number, point) {
    if (!this.opens) return "";
    const one = this.sentences[number - 1];
    const [position, at] = [one.positions[one.positions.length - 1], this.points[point].name];
    // Where nothing but a full stop follows, what comes right after the word tells more than what comes after that.
    const [upTo, rest] = [[...one.read].slice(0, one.spans[position][1]).join(""), [...one.read].slice(one.spans[position][1]).join("")];
    const text = one.spans[position][1] && !/[\p{L}\p{N}]/u.test(rest) ? upTo : one.read;
    const others = [this.pair?.a, this.pair?.b].filter((other) => other && other !== number);
    const word = one.steps[this.last].next[0]?.piece.replace(/^·/, "");
    const along = others.length && point ? `${others[0]} - ${number}` : word;
    const move = () => this.open("moving", { text, position, at, direction: along, word: this.data.word, sentences: this.sentences.map((each) => each.read) });
    // A model that says nothing has nothing to show for a move, and the last norm is past moving.
    const movable = at !== "final" && one.steps[this.last].next.some((near) => near.probability !== undefined);
    return h("div", { class: "tools" },
      movable ? this.button("Move this vector by hand", move) : "",
      this.button("Its ledger here", () => this.open("ledger", { text: one.read, position, at })));
  }

  /** @param {string} title @param {Near[]} words @param {string} scale */
  nearby(title, words, scale) {
    const strong = words.some((near) => (near.score ?? 0) >= CHANCE);
    const list = words.map((near) => {
      const value = near.probability !== undefined ? percent(near.probability) : number(near.score);
      const weak = scale === "score" && (near.score ?? 0) < CHANCE;
      return h("li", { class: weak ? "weak" : null }, h("span", { dir: "auto" }, shown(near.piece)), h("i", {}, value));
    });
    const note = scale === "score" && !strong ? " (no more than chance)" : "";
    return h("div", {}, h("h3", {}, `${title}${note}`), h("ul", { class: "words" }, list));
  }

  /** Shares as bars; what pulls back goes the other way and is hatched. @param {{name: any, share: number | null}[]} entries */
  bars(entries) {
    const largest = Math.max(1e-9, ...entries.map((entry) => Math.abs(entry.share ?? 0)));
    return h("ul", { class: "bars" }, entries.map(({ name, share }) => {
      const bar = h("span", { class: `bar${(share ?? 0) < 0 ? " back" : ""}` });
      bar.style.width = `${(100 * Math.abs(share ?? 0)) / largest}%`;
      return h("li", {}, h("span", { class: "name", dir: "auto" }, name), h("span", { class: "track", "aria-hidden": "true" }, bar), h("span", { class: "value" }, percent(share)));
    }));
  }

  // --- distances -----------------------------------------------------------------------------------

  apart() {
    this.chart = s("svg", { class: "distances", role: "img" });
    this.matrix = s("svg", { class: "matrix", "aria-hidden": "true" });
    this.matrixNote = h("span", {});
    const options = () => this.sentences.map((one) => h("option", { value: one.number }, String(one.number)));
    this.pickA = h("select", { "aria-label": "First sentence of the pair" }, options());
    this.pickB = h("select", { "aria-label": "Second sentence of the pair" }, options());
    for (const pick of [this.pickA, this.pickB]) this.on(pick, "change", () => this.picked(pick));
    this.on(this.chart, "click", (event) => this.chartClicked(event));
    this.parting = h("div", { class: "parting" });
    this.pairHead = h("h2", {});
    this.distanceNote = h("p", { class: "caption" });
    return h("div", {},
      h("section", { class: "apart" },
        h("div", { class: "picture" },
          h("div", { class: "controls" }, h("h2", {}, "How far apart, point by point"), this.exports("distances", () => this.chart, () => this.distanceCsv())),
          h("div", { class: "frame" }, this.chart), this.distanceNote,
          this.details("The chosen pair as a table", () => this.distanceRows()),
          this.details("All pairs as a table", () => this.pairRows())),
        h("div", { class: "side" },
          h("h2", {}, "Pairs"),
          h("p", { class: "picker" }, this.pickA, " and ", this.pickB),
          this.matrix,
          h("p", { class: "caption" }, this.matrixNote))),
      h("section", { class: "why" }, h("div", { class: "controls" }, this.pairHead, this.segments("at", "Told at", { parting: "where they part", end: "at the end", ...(this.asks ? { here: "at the chosen point" } : {}) })), this.parting));
  }

  /** @param {HTMLSelectElement} changed */
  picked(changed) {
    let [a, b] = [Number(this.pickA.value), Number(this.pickB.value)];
    const count = this.sentences.length;
    if (a === b) {
      const other = changed.value === String(count) ? count - 1 : a + 1;
      if (changed === this.pickA) b = other;
      else a = other;
    }
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    this.change({ pair: this.pairs.findIndex((pair) => pair.a === low && pair.b === high) });
  }

  drawDistances() {
    const [width] = this.size;
    const height = 250;
    const pad = { left: 40, right: 16, top: 22, bottom: 34 };
    const largest = Math.max(0.1, ...this.pairs.flatMap((pair) => pair.distances.filter(Number.isFinite)));
    const x = (point) => pad.left + (point / Math.max(1, this.last)) * (width - pad.left - pad.right);
    const y = (distance) => height - pad.bottom - (distance / largest) * (height - pad.top - pad.bottom);
    this.chartScale = { x, y, height, pad };
    sized(this.chart, width, height);
    const line = (distances) => runs(distances).map((run) => `M${run.map(([point, value]) => `${x(point).toFixed(1)},${y(value).toFixed(1)}`).join("L")}`).join("");
    const chosen = this.pair;
    const others = this.pairs.filter((pair) => pair !== chosen);
    const cursor = s("line", { class: "cursor", y1: pad.top, y2: height - pad.bottom });
    this.cursor = () => {
      for (const end of ["x1", "x2"]) cursor.setAttribute(end, String(x(this.moment)));
    };
    this.chart.replaceChildren(
      s("title", {}, `Distance of each pair of paths, point by point; ${chosen.a} and ${chosen.b} chosen`),
      ...this.chartAxes(width, height, pad, x, y, largest),
      cursor,
      ...others.map((pair) => s("path", { class: "other", d: line(pair.distances) })),
      s("path", { class: "halo", d: line(chosen.distances) }),
      s("path", { class: "line", d: line(chosen.distances) }),
      this.partingMark(chosen, width, height, pad, x, y),
    );
    this.cursor();
    const parts = chosen.parts_after ? `part ${chosen.parts_after}: from there on they are never closer than half of their largest distance` : "never part";
    const rest = others.length ? ` The thin lines are the other ${others.length === 1 ? "pair" : `${others.length} pairs`}; click one to choose it.` : "";
    this.distanceNote.textContent = `${chosen.a} and ${chosen.b} ${parts}. Distance against the root mean square of the two lengths: 0 is one place, 1.41 a right angle.${rest}`;
    this.chart.setAttribute("aria-label", this.distanceNote.textContent);
  }

  /** @param {any} pair @param {number} width @param {number} height @param {any} pad @param {any} x @param {any} y */
  partingMark(pair, width, height, pad, x, y) {
    const point = pair.parts_at_index;
    if (point === null) return s("g");
    const long = `${pair.a} and ${pair.b} part ${pair.parts_after}`;
    const room = Math.max(x(point) - pad.left, width - x(point));
    const label = long.length * 6.7 < room ? long : `part: ${this.points[point].mark}`;
    const left = x(point) + label.length * 6.7 > width;
    return s("g", { class: "part" },
      s("line", { x1: x(point), x2: x(point), y1: pad.top - 8, y2: height - pad.bottom }),
      s("path", { d: shape(3, 4.5), transform: `translate(${x(point)},${y(pair.distances[point])})` }),
      s("text", { x: x(point) + (left ? -7 : 7), y: pad.top - 1, "text-anchor": left ? "end" : "start" }, label));
  }

  /** @param {number} width @param {number} height @param {any} pad @param {any} x @param {any} y @param {number} largest */
  chartAxes(width, height, pad, x, y, largest) {
    const lines = ticks(largest, 4).map((value) => [
      s("line", { class: "grid", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, String(Number(value.toFixed(3)))),
    ]);
    const every = Math.max(1, Math.ceil(this.points.length / (width / 34)));
    let shownLast = -99;
    const marks = this.points.map((point, index) => {
      const firstOfLayer = point.layer !== null && this.points[index - 1]?.layer !== point.layer;
      const ends = index === 0 || index === this.last;
      if (!(ends || (firstOfLayer && point.layer % 5 === 0 && index - shownLast >= every && this.last - index >= every))) return null;
      shownLast = index;
      return s("text", { class: "axis", x: x(index), y: height - pad.bottom + 17, "text-anchor": ends && index ? "end" : ends ? "start" : "middle" }, ends ? point.mark : String(point.layer));
    });
    return [...lines.flat(), ...marks, s("text", { class: "axis", x: (pad.left + width) / 2, y: height - 3, "text-anchor": "middle" }, "layer")].filter(Boolean);
  }

  /** @param {PointerEvent} event */
  chartClicked(event) {
    const box = this.chart.getBoundingClientRect();
    const { x, y, pad } = this.chartScale;
    const across = (event.clientX - box.left - pad.left) / (x(this.last) - pad.left);
    const point = clamp(Math.round(across * this.last), 0, this.last);
    const at = event.clientY - box.top;
    const gaps = this.pairs.map((pair) => Math.abs(y(pair.distances[point] ?? 0) - at));
    const best = gaps.indexOf(Math.min(...gaps));
    this.pause();
    this.change(gaps[best] < 18 ? { point, pair: best } : { point });
  }

  drawMatrix() {
    const count = this.sentences.length;
    const cell = clamp(Math.floor(300 / count), 9, 50);
    const tall = clamp(cell, 9, 30);
    const edge = 20;
    sized(this.matrix, edge + cell * (count - 1) + 2, edge + tall * (count - 1) + 2);
    const largest = Math.max(1e-9, ...this.pairs.map((pair) => pair.end_distance ?? 0));
    const parts = this.pairs.map((pair, index) => {
      const [x, y] = [edge + (pair.b - 2) * cell, edge + (pair.a - 1) * tall];
      const depth = (pair.end_distance ?? 0) / largest;
      const square = s("rect", { x: x + 1, y: y + 1, width: cell - 2, height: tall - 2, rx: 3, "fill-opacity": (0.06 + 0.34 * depth ** 2).toFixed(3) });
      const name = pair.parts_at ? this.points[pair.parts_at_index].mark : "never";
      const mark = cell >= 48 ? name : name.replace(" attn", "a").replace(" MLP", "m").replace("never", "–");
      const group = s("g", { class: `cell${index === this.state.pair ? " chosen" : ""}` },
        s("title", {}, `${pair.a} and ${pair.b}: ${pair.parts_after ? `part ${pair.parts_after}` : "never part"}, end ${number(pair.end_distance)} apart`),
        square, cell >= 26 ? s("text", { x: x + cell / 2, y: y + tall / 2, dy: "0.35em", "text-anchor": "middle" }, mark) : null);
      this.on(group, "click", () => this.change({ pair: index }));
      return group;
    });
    const head = (number, x, y) => s("text", { class: `head ${colour(number)}`, x, y, "text-anchor": "middle" }, String(number));
    const heads = cell < 12 ? [] : this.sentences.slice(1).flatMap(({ number }) => [
      head(number, edge + (number - 1.5) * cell, edge - 6),
      head(number - 1, edge - 9, edge + (number - 1.5) * tall + 4),
    ]);
    this.matrix.replaceChildren(...heads, ...parts);
    const marks = cell >= 48 ? "Each square: where the two paths part, “6 attn” after attention of layer 6, “6 MLP” after its MLP."
      : cell >= 26 ? "Each square: where the two paths part, 6a after attention of layer 6, 6m after its MLP, – never." : "Each square: two paths.";
    this.matrixNote.textContent = `${marks} The stronger the shade, the further apart they end.`;
  }

  // --- what parted them, what moved each -----------------------------------------------------------

  drawParting() {
    const pair = this.pair;
    const told = this.state.at === "here" ? this.partedHere(pair) : this.state.at === "parting" ? pair.parting : pair.end;
    const name = [h("span", { class: colour(pair.a) }, marker(pair.a), ` ${pair.a}`), " and ", h("span", { class: colour(pair.b) }, marker(pair.b), ` ${pair.b}`)];
    this.pairHead.replaceChildren("What parted ", ...name);
    if (!told) {
      const why = this.state.at === "here" ? this.refused ?? "Asking what parts them here …" : pair.parts_at === null ? "These two never part." : "What parts these two was not worked out: ask for them alone.";
      this.parting.replaceChildren(small(why), ...this.byFeature(pair));
      return;
    }
    const point = this.points.find((one) => one.name === told.point);
    this.parting.replaceChildren(
      h("p", {}, `${sentenceCase(point.after)} the two vectors lie ${number(told.distance)} apart. `,
        h("span", { class: "small" }, `Every share is a part of that distance; all rows add up to it, within ${scientific(told.closing_error)}.`)),
      ...this.account(told, told.heads, [pair.a, pair.b]), ...this.byFeature(pair));
  }

  /** What parts a pair at the chosen point: asked for, and kept. @param {any} pair */
  partedHere(pair) {
    const { twice } = this.data.provenance;
    const at = this.points[this.state.point].name;
    const key = `${pair.a}-${pair.b}-${at}`;
    this.parted ??= new Map();
    this.refused = undefined;
    if (this.parted.has(key) || this.asking?.key === key) return this.parted.get(key);
    this.asking?.stop.abort();
    const asking = { key, stop: new AbortController() };
    this.asking = asking;
    const inputs = { word: this.data.word, sentences: [pair.a, pair.b].map((one) => this.sentences[one - 1].text), numbers: [pair.a, pair.b], at, twice };
    // Who scrubs past a point does not want its answer.
    setTimeout(async () => {
      if (asking.stop.signal.aborted || this.signal.aborted) return;
      try {
        this.parted.set(key, await this.ask("shift.parted", inputs, { signal: asking.stop.signal }));
      } catch (error) {
        if (error.name === "AbortError") return;
        this.refused = error.message;
      }
      if (this.asking === asking) this.asking = undefined;
      if (this.state.at === "here" && !this.refused) this.drawParting();
      else if (this.refused) this.parting.replaceChildren(small(this.refused));
    }, 150);
    return undefined;
  }

  /** The features in which the chosen two differ, where a file of features was given. @param {any} pair */
  byFeature(pair) {
    const told = this.data.features;
    const own = told?.pairs.find((one) => one.a === pair.a && one.b === pair.b);
    if (!own) return [];
    const heads = ["feature", "share", `in ${pair.a}`, `in ${pair.b}`, "cosine"];
    const body = own.features.map((one) => h("tr", {}, h("th", { scope: "row" }, String(one.feature)),
      [percent(one.share), ...[...one.values, one.cosine].map(number)].map((text) => h("td", { class: "figure" }, text))));
    const table = h("table", {}, h("thead", {}, h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index ? "figure" : null }, name)))), h("tbody", {}, body));
    const rest = own.rest_count ? `${own.rest_count} more features, together ${percent(own.rest)}. ` : "";
    return [h("h3", {}, `By features of ${told.name}, at ${told.point}`), this.stack(own.kinds),
      h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Features that part them" }, table),
      small(`${rest}Shares of the distance of ${number(own.distance)}; all parts add up to it, within ${scientific(own.closing_error)}.`)];
  }

  /** Who brought what: kinds, words, places in the model, rows. @param {any} told @param {Shares} places @param {number[]} sentences */
  account(told, places, sentences) {
    const two = sentences.length > 1;
    return [
      this.stack(told.kinds),
      h("div", { class: "columns" },
        h("div", {}, h("h3", {}, "Brought from words"), sentences.map((sentence) => this.shaded(sentence, told.words, two)), this.restNote(told.words, "tokens")),
        h("div", {}, h("h3", {}, "Where in the model"), this.bars(places.entries.slice(0, 10)), this.restNote(restOf(places, 10), two ? "heads and layers" : "parts")),
        h("div", { class: "wide" }, h("h3", {}, "Largest rows"), this.rowTable(told.rows, two))),
    ];
  }

  moves() {
    this.moved = h("section", { class: "why" });
    return this.moved;
  }

  drawMoved() {
    const one = this.sentences[this.state.sentence - 1];
    const { moved } = one;
    const first = one.steps[0];
    const last = one.steps[this.last];
    this.moved.replaceChildren(
      h("h2", {}, "What moved ", h("span", { class: colour(one.number) }, marker(one.number), ` ${one.number}`)),
      h("p", {}, `From length ${number(first.norm)} at the start to ${number(last.norm)} at the end. `,
        h("span", { class: "small" }, `Shares of the whole move, which is ${number(moved.length)} long; rows add up within ${scientific(one.closing_error.relative)}. The word is carried by ${one.carried_by}.`)),
      ...this.account(moved, moved.components, [one.number]));
  }

  /** One bar for what came from words and what from the model's own parts. @param {{name: string, share: number | null}[]} kinds */
  stack(kinds) {
    const seen = kinds.filter((kind) => Math.abs(kind.share ?? 0) >= 0.0005);
    const total = seen.reduce((sum, kind) => sum + Math.abs(kind.share ?? 0), 0) || 1;
    const parts = seen.map((kind, index) => {
      const part = h("span", { class: `k${index % 4}${(kind.share ?? 0) < 0 ? " back" : ""}`, title: `${kind.name} ${percent(kind.share)}` });
      part.style.width = `${(100 * Math.abs(kind.share ?? 0)) / total}%`;
      return part;
    });
    const keys = seen.map((kind, index) => h("li", {}, h("i", { class: `k${index % 4}` }), `${kind.name} ${percent(kind.share)}`));
    return h("div", { class: "stack" }, h("div", { class: "whole", "aria-hidden": "true" }, parts), h("ul", {}, keys));
  }

  /**
   * A sentence whose tokens are shaded by what was brought from them.
   * @param {number} sentence @param {Shares} words @param {boolean} compared
   */
  shaded(sentence, words, compared) {
    const one = this.sentences[sentence - 1];
    const shares = new Map(words.entries.filter((entry) => entry.sentence === sentence).map((entry) => [entry.position, entry.share ?? 0]));
    const largest = Math.max(1e-9, ...words.entries.map((entry) => Math.abs(entry.share ?? 0)));
    const characters = [...one.read];
    const long = one.spans.length > 400;
    let reached = 0;
    const parts = [];
    one.spans.forEach(([start, end], position) => {
      const share = shares.get(position);
      if (long && share === undefined) return;
      const text = end > start ? characters.slice(Math.max(start, reached), end).join("") : one.pieces[position];
      if (!text) return;
      parts.push(long ? " … " : end > start ? characters.slice(reached, start).join("") : "");
      reached = Math.max(reached, end);
      const token = h("span", { class: `token${(share ?? 0) < 0 ? " back" : ""}${one.positions.includes(position) ? " itself" : ""}`, title: share === undefined ? null : `${shown(one.pieces[position])} ${percent(share)}` }, text);
      token.style.setProperty("--weight", `${Math.round((60 * Math.abs(share ?? 0)) / largest)}%`);
      parts.push(token);
    });
    if (!long) parts.push(characters.slice(reached).join(""));
    const best = words.entries.filter((entry) => entry.sentence === sentence).slice(0, 6);
    return h("div", { class: `shaded ${colour(sentence)}` },
      h("p", { dir: "auto" }, compared ? [marker(sentence), " "] : "", parts),
      this.bars(best.map((entry) => ({ name: entry.itself ? `${shown(entry.word)} (itself)` : shown(entry.word), share: entry.share }))));
  }

  /** @param {{rest: number, rest_count: number}} shares @param {string} what */
  restNote(shares, what) {
    return shares.rest_count ? small(`Not drawn: ${shares.rest_count} more ${what}, together ${percent(shares.rest)}.`) : "";
  }

  /** @param {Row[]} rows @param {boolean} compared */
  rowTable(rows, compared) {
    const heads = ["row", "from", "share", "coefficient", "length", "cosine"];
    const body = rows.map((row) => {
      const from = row.word === undefined ? "" : [shown(row.word), compared && row.sentence ? h("small", {}, ` in ${row.sentence}`) : ""];
      return h("tr", {}, h("th", { scope: "row" }, row.name), h("td", { dir: "auto" }, from),
        [percent(row.share), number(row.coefficient), number(row.norm), number(row.cosine)].map((text) => h("td", { class: "figure" }, text)));
    });
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index > 1 ? "figure" : null }, name)));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Largest rows" }, h("table", {}, h("thead", {}, head), h("tbody", {}, body)));
  }

  // --- tables for pictures -------------------------------------------------------------------------

  /** The chosen path, and the chosen pair, from the rows that are saved for all. */
  pathRows() {
    const [head, ...rows] = this.pathCsv();
    return [head, ...rows.filter((row) => row[0] === this.state.sentence)].map((row) => row.slice(2));
  }

  distanceRows() {
    const [head, ...rows] = this.distanceCsv();
    return [head, ...rows.filter((row) => row[0] === this.pair.a && row[1] === this.pair.b)].map((row) => row.slice(2, 5));
  }

  pairRows() {
    return [["pair", "part", "distance at the end"], ...this.pairs.map((pair) => [`${pair.a} and ${pair.b}`, pair.parts_after ?? "never", pair.end_distance])];
  }

  pathCsv() {
    const { paths } = this.data.bases[this.state.basis];
    const rows = this.sentences.flatMap((one, index) =>
      one.steps.map((step, point) => [one.number, one.text, this.points[point].name, ...paths[index][point], step.norm, step.step, step.closing_error, step.own_words.join(" ")]));
    return [["sentence", "text", "point", "axis_1", "axis_2", "axis_3", "length", "step", "closing_error", "set_apart_by"], ...rows];
  }

  distanceCsv() {
    const rows = this.pairs.flatMap((pair) => pair.distances.map((distance, point) => [pair.a, pair.b, this.points[point].name, distance, pair.cosines[point], pair.parts_at]));
    return [["a", "b", "point", "distance", "cosine", "parts_at"], ...rows];
  }

  // --- pictures to keep ----------------------------------------------------------------------------

  /** @param {number} room */
  signature(room) {
    const made = this.data.provenance;
    const listed = this.sentences.slice(0, 12).map((one) => ({ sentence: one.number, text: clipped(`${one.number}  ${one.text}`, room) }));
    const more = this.sentences.length - listed.length;
    const { explained } = this.data.bases[this.state.basis];
    return [
      ...listed,
      ...(more > 0 ? [{ text: `and ${more} more sentences` }] : []),
      { text: clipped(`${sentenceCase(this.points[this.state.point].after)}; ${this.state.basis === "raw" ? "raw vectors" : this.state.basis}; variance along the axes ${explained.map((share, axis) => (this.state.basis === "axes" ? `${this.axisName(axis)} ` : "") + percent(share)).join(", ")}`, room) },
      { text: clipped(`${made.model} (${made.fingerprint.slice(0, 12)}), ${made.dtype}, Molehill ${made.version}, closing error ${scientific(this.data.closing_error)}`, room) },
      { text: clipped(sentenceCase(made.checked.told), room) },
    ];
  }

  // --- foot and help -------------------------------------------------------------------------------

  foot() {
    const error = this.data.closing_error;
    return this.footOf([
      `Closing error ${scientific(error)}: the largest distance, over every ledger on this page, between the sum of its rows and the vector that the model computed, against that vector’s length.`,
      ...this.data.notes,
    ], "shift");
  }
}

/** @param {boolean} playing */
function playIcon(playing) {
  return s("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" }, s("path", { d: playing ? "M4 2h3v12H4zM9 2h3v12H9z" : "M4 2l10 6-10 6z" }));
}

/** @param {string} name @param {string} value */
function pairOf(name, value) {
  return name ? h("div", {}, h("dt", {}, name), h("dd", {}, value)) : "";
}

/** What is left when only the first of some shares are drawn. @param {Shares} shares @param {number} kept */
function restOf(shares, kept) {
  const left = shares.entries.slice(kept);
  return { rest: shares.rest + left.reduce((sum, entry) => sum + (entry.share ?? 0), 0), rest_count: shares.rest_count + left.length };
}

/** Stretches without gaps; what is not finite leaves one. @param {(number | null)[]} values @returns {[number, number][][]} */
function runs(values) {
  /** @type {[number, number][][]} */
  const found = [];
  let open = false;
  values.forEach((value, index) => {
    if (value === null || !Number.isFinite(value)) {
      open = false;
      return;
    }
    if (!open) found.push([]);
    found[found.length - 1].push([index, value]);
    open = true;
  });
  return found;
}
