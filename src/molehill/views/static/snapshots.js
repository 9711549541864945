// @ts-check
/**
 * A word's journey over training: its paths at one snapshot after another in one fixed basis, where
 * two paths part and when, the nearest words by step. Steps and layers are both walked along.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.snapshots/1, see docs/rooms/views.md) into `el` and returns its own cleanup. It asks
 * nothing, and every text from the data becomes a text node.
 */

import {
  Page, clamp, clipped, colour, h, marker, number, percent, rendering, s, shape, shown, sized, small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const AXES = { "1-2": [0, 1], "1-3": [0, 2], "2-3": [1, 2] };
const DASHES = ["", "7 2", "3 2", "10 2 3 2", "5 1.5", "12 2 3 2 3 2", "2 1.5", "9 4"];
const STEP_MS = 650;
/** Scores of set-apart words below this are what the best of a vocabulary reaches by chance. */
const CHANCE = 4.3;
const WAYS = { layers: "through the layers", training: "through training" };

/** @param {number} value */
const whole = (value) => value.toLocaleString("en-US");

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = `${data.word} ${data.run}`;
    this.last = data.steps.length - 1;
    this.end = data.points.length - 1;
    this.playing = false;
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.state = {
      ...this.state, basis: data.basis, axes: "1-2", way: "layers", step: this.last, point: this.end, sentence: 1,
      pair: this.furthest(),
    };
    this.notice = this.fromHash();
  }

  /** The pair that ends furthest apart. */
  furthest() {
    const ends = this.data.pairs.map((pair) => pair.distances[this.last]?.[this.end] ?? 0);
    return Math.max(0, ends.indexOf(Math.max(...ends)));
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.stage(), this.data.pairs.length ? this.parting() : "", this.words(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.frame);
    this.on(document, "keydown", (event) => this.key(event));
    this.resized();
    this.all();
  }

  halt() {
    super.halt();
    this.pause();
    this.observer?.disconnect();
  }

  takers() {
    return {
      basis: (value) => Object.hasOwn(this.data.bases, value) && this.set("basis", value),
      axes: (value) => Object.hasOwn(AXES, value) && this.set("axes", value),
      way: (value) => Object.hasOwn(WAYS, value) && this.set("way", value),
      // The step itself, so that a link holds when other snapshots are chosen.
      step: (value) => {
        const found = this.data.steps.findIndex((one) => String(one.step) === value);
        return found >= 0 && this.set("step", found);
      },
      point: (value) => this.take("point", value, 0, this.end),
      sentence: (value) => this.take("sentence", value, 1, this.data.sentences.length),
      pair: (value) => {
        const found = this.data.pairs.findIndex((pair) => `${pair.a}-${pair.b}` === value);
        return found >= 0 && this.set("pair", found);
      },
    };
  }

  all() {
    this.drawPaths();
    this.drawReading();
    if (this.data.pairs.length) this.drawMap();
    this.markWords();
    this.syncControls();
    const { basis, axes, way, step, point, sentence } = this.state;
    const pair = this.data.pairs[this.state.pair];
    this.writeHash([`basis=${basis}`, `axes=${axes}`, `way=${way}`, `step=${this.data.steps[step].step}`, `point=${point}`, `sentence=${sentence}`, ...(pair ? [`pair=${pair.a}-${pair.b}`] : [])]);
    if (!this.playing) this.say(() => this.spokenText());
  }

  spokenText() {
    const { step, point, sentence } = this.state;
    const near = this.data.steps[step].near[sentence - 1].map((one) => shown(one.piece)).slice(0, 3).join(", ");
    const pair = this.data.pairs[this.state.pair];
    const apart = pair ? ` Sentences ${pair.a} and ${pair.b} are ${number(pair.distances[step][point])} apart.` : "";
    return `Step ${whole(this.data.steps[step].step)}, ${this.data.points[point].after}.${apart} Sentence ${sentence} ends nearest to ${near}.`;
  }

  syncControls() {
    super.syncControls();
    const { step, point } = this.state;
    this.stepSlider.value = String(step);
    this.stepSlider.setAttribute("aria-valuetext", `step ${whole(this.data.steps[step].step)}`);
    this.stepPlace.textContent = `step ${whole(this.data.steps[step].step)}`;
    this.pointSlider.value = String(point);
    this.pointSlider.setAttribute("aria-valuetext", this.data.points[point].after);
    this.pointPlace.textContent = this.data.points[point].after;
    if (this.picker) this.picker.value = String(this.state.pair);
  }

  // --- head ----------------------------------------------------------------------------------------

  head() {
    const keys = [["← →", "a snapshot before or after"], ["↑ ↓", "a point of the journey further or back"], ["Space", "play training, or pause"], ["1 … 9", "choose a sentence"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Click into the map of distances to go to that step and layer. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", { dir: "auto" }, clipped(this.data.word, 60)), h("p", { class: "sub" }, `over the training of ${this.data.run} · ${this.data.provenance.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  // --- the stage -----------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "paths", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown Space" });
    this.frame = h("div", { class: "frame" }, this.figure);
    this.caption = h("p", { class: "caption" });
    this.sentences = h("div", { class: "sentences", role: "radiogroup", "aria-label": "Sentence" }, this.data.sentences.map((one) => this.sentence(one)));
    this.reading = h("section", { class: "reading", "aria-label": "The chosen snapshot" });
    this.on(this.figure, "click", (event) => {
      const found = this.nearest(event);
      if (found) this.change(found);
    });
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" },
          this.segments("way", "What is joined by a line", WAYS),
          this.segments("basis", "Basis", Object.fromEntries(Object.keys(this.data.bases).map((name) => [name, name === "raw" ? "raw vectors" : name]))),
          this.segments("axes", "Axes", { "1-2": "1–2", "1-3": "1–3", "2-3": "2–3" }),
          this.exports("paths", () => this.figure, () => this.pathCells())),
        this.frame, this.scrubbers(), this.caption, this.details("The picture as a table", () => this.pathCells())),
      h("div", { class: "side" }, h("h2", {}, "Sentences"), this.sentences, this.reading));
  }

  /** @param {any} one */
  sentence(one) {
    const input = h("input", { type: "radio", name: "sentence", value: one.number, "data-state": "sentence" });
    this.on(input, "change", () => this.change({ sentence: one.number }));
    const characters = [...one.text];
    const [start, end] = one.word_at;
    return h("label", { class: `sentence ${colour(one.number)}` }, input, h("span", { class: "tag" }, marker(one.number), h("b", {}, String(one.number))),
      h("span", { class: "text", dir: "auto" }, characters.slice(0, start).join(""), h("mark", {}, characters.slice(start, end).join("")), characters.slice(end).join("")));
  }

  scrubbers() {
    const slider = (last, label, name) => {
      const made = h("input", { type: "range", min: 0, max: last, step: 1, "aria-label": label });
      this.on(made, "input", () => {
        if (name === "step") this.pause();
        this.change({ [name]: Number(made.value) });
      });
      return made;
    };
    this.play = this.button("▶", () => this.toggle(), { class: "play", "aria-label": "Play training", "aria-keyshortcuts": "Space" });
    this.stepSlider = slider(this.last, "Step of training", "step");
    this.stepPlace = h("output", { class: "place" });
    this.pointSlider = slider(this.end, "Point of the journey", "point");
    this.pointPlace = h("output", { class: "place" });
    return h("div", { class: "scrubbers" }, this.play, h("span", { class: "small" }, "training"), this.stepSlider, this.stepPlace,
      h("span", {}), h("span", { class: "small" }, "layers"), this.pointSlider, this.pointPlace);
  }

  toggle() {
    if (this.playing) return this.pause();
    this.playing = true;
    this.play.textContent = "❚❚";
    this.play.setAttribute("aria-label", "Pause");
    if (this.state.step === this.last) this.change({ step: 0 });
    this.timer = setTimeout(() => this.next(), STEP_MS);
  }

  next() {
    if (!this.playing) return;
    this.change({ step: this.state.step + 1 });
    if (this.state.step >= this.last) return this.pause();
    this.timer = setTimeout(() => this.next(), STEP_MS);
  }

  pause() {
    clearTimeout(this.timer);
    this.playing = false;
    if (!this.play) return;
    this.play.textContent = "▶";
    this.play.setAttribute("aria-label", "Play training");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input:not([type=radio]), select, textarea, dialog, button, summary")) return;
    if (event.key === "?") return this.dialog.showModal();
    const { step, point } = this.state;
    const radio = target.closest?.("input");
    const to = {
      ArrowLeft: () => ({ step: step - 1 }), ArrowRight: () => ({ step: step + 1 }), ArrowUp: () => ({ point: point + 1 }), ArrowDown: () => ({ point: point - 1 }),
    }[event.key];
    if (to && !radio) {
      const [[name, value]] = Object.entries(to());
      // Up and down scroll the page, unless the picture or the map is meant.
      if (name === "point" && !target.closest?.("svg")) return;
      event.preventDefault();
      this.pause();
      this.change({ [name]: clamp(value, 0, name === "step" ? this.last : this.end) });
    } else if (event.key === " " && !radio) {
      event.preventDefault();
      this.toggle();
    } else if (/^[1-9]$/.test(event.key) && Number(event.key) <= this.data.sentences.length) this.change({ sentence: Number(event.key) });
  }

  // --- the paths -----------------------------------------------------------------------------------

  resized() {
    const room = Math.max(250, Math.floor(this.frame.clientWidth));
    if (this.size?.[0] === room) return;
    this.size = [room, Math.round(clamp(room * 0.68, 280, 560))];
    sized(this.figure, ...this.size);
    this.drawPaths();
    if (this.data.pairs.length) this.drawMap();
  }

  /** One scale for all snapshots and both axes: what seems to move did. */
  placed() {
    const { basis, axes } = this.state;
    if (this.known === `${basis} ${axes} ${this.size}`) return this.places;
    this.known = `${basis} ${axes} ${this.size}`;
    const [across, up] = AXES[axes];
    const { paths } = this.data.bases[basis];
    let box = [Infinity, -Infinity, Infinity, -Infinity];
    for (const point of paths.flat(2)) box = [Math.min(box[0], point[across]), Math.max(box[1], point[across]), Math.min(box[2], point[up]), Math.max(box[3], point[up])];
    const [width, height] = this.size;
    const pad = [30, 44];
    const scale = Math.min((width - 2 * pad[0]) / Math.max(box[1] - box[0], 1e-9), (height - pad[0] - pad[1]) / Math.max(box[3] - box[2], 1e-9));
    const middle = [(box[0] + box[1]) / 2, (box[2] + box[3]) / 2];
    const place = (point) => [
      Math.round((width / 2 + (point[across] - middle[0]) * scale) * 10) / 10,
      Math.round(((height + pad[0] - pad[1]) / 2 - (point[up] - middle[1]) * scale) * 10) / 10,
    ];
    this.places = paths.map((snapshot) => snapshot.map((path) => path.map(place)));
    return this.places;
  }

  drawPaths() {
    if (!this.size) return;
    const places = this.placed();
    const { step, point, way, sentence, basis, axes } = this.state;
    const [, height] = this.size;
    const along = way === "layers";
    const count = this.data.sentences.length;
    // The line that is walked along, and what it looks like elsewhere.
    const path = (at, which) => (along ? places[at][which] : places.map((snapshot) => snapshot[which][at]));
    const here = along ? step : point;
    const now = along ? point : step;
    const others = (along ? [...Array(this.last + 1).keys()] : [...Array(this.end + 1).keys()]).filter((at) => at !== here);
    const line = (points, kind, which) => s("polyline", { class: kind, points: points.map((one) => one.join(",")).join(" "), "stroke-dasharray": DASHES[which % 8] || null });
    const ghosts = [...Array(count).keys()].flatMap((which) => others.map((at) => s("g", { class: `ghost ${colour(which + 1)}` }, line(path(at, which), "", which))));
    const order = [...Array(count).keys()].sort((a, b) => Number(a + 1 === sentence) - Number(b + 1 === sentence));
    const lines = order.map((which) => {
      const points = path(here, which);
      const [x, y] = points[now];
      return s("g", { class: `path ${colour(which + 1)}${which + 1 === sentence ? " chosen" : ""}` }, line(points, "faint", which), line(points.slice(0, now + 1), "walked", which),
        points.map(([px, py], place) => s("circle", { class: place <= now ? "been" : "to-come", cx: px, cy: py, r: 2 })),
        s("path", { class: "now", d: shape(which, 6.5), transform: `translate(${x},${y})` }), s("text", { class: "number", x: x + 9, y: y - 7 }, String(which + 1)));
    });
    const { explained, by_snapshot: own } = this.data.bases[basis];
    const [across, up] = AXES[axes];
    this.figure.replaceChildren(s("title", {}, `Paths of ${this.data.word} over training`),
      s("path", { class: "cross", d: `M14,${height - 40}V${height - 14}H40` }),
      s("text", { class: "axis", x: 46, y: height - 10 }, `axis ${across + 1}: ${percent(explained[across])}`),
      s("text", { class: "axis", x: 18, y: height - 46, transform: `rotate(-90 18 ${height - 46})` }, `axis ${up + 1}: ${percent(explained[up])}`), ...ghosts, ...lines);
    this.figure.setAttribute("aria-label", `Paths of ${this.data.word} in ${count} sentences at step ${whole(this.data.steps[step].step)}, ${this.data.points[point].after}`);
    const seen = own[step][across] + own[step][up];
    const what = along ? "Each line is one sentence's journey at this snapshot; faint lines are the other snapshots." : "Each line is one point of the journey from snapshot to snapshot; faint lines are the other points.";
    const named = { differences: "The mean of all sentences at the same snapshot and point is taken off, so that only what they differ in is seen; learned positions too. ", outcome: "The mean of all sentences is taken off, and the axes are those along which they differ at the last snapshot: what lay elsewhere before is not seen. ", raw: "Lengths are as in the model. ", directions: "Every vector is drawn at length one. " }[basis];
    this.caption.textContent = `${what} ${named}The two axes hold ${percent(explained[across] + explained[up])} of the variance of all ${whole((this.last + 1) * count * (this.end + 1))} points, and ${percent(seen)} of this snapshot's own.${seen < 0.3 ? " Little of this moment is seen here: try another basis or other axes." : ""}`;
  }

  /** @param {PointerEvent} event */
  nearest(event) {
    const box = this.figure.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { way, step, point } = this.state;
    let best = 26 ** 2;
    let found = null;
    const places = this.placed();
    this.data.sentences.forEach((one, which) => {
      const points = way === "layers" ? places[step][which] : places.map((snapshot) => snapshot[which][point]);
      points.forEach(([px, py], place) => {
        const far = (px - x) ** 2 + (py - y) ** 2;
        if (far < best) {
          best = far;
          found = { sentence: one.number, [way === "layers" ? "point" : "step"]: place };
        }
      });
    });
    return found;
  }

  pathCells() {
    const { basis } = this.state;
    const rows = this.data.bases[basis].paths.flatMap((snapshot, step) => snapshot.flatMap((path, which) => path.map((point, place) => [this.data.steps[step].step, which + 1, this.data.points[place].name, ...point])));
    return [["step", "sentence", "point", "axis 1", "axis 2", "axis 3"], ...rows];
  }

  drawReading() {
    const { step, sentence } = this.state;
    const one = this.data.steps[step];
    const list = (words, told) => h("ul", { class: "words" }, words.map((near) => h("li", { dir: "auto", class: near.probability === undefined && near.score < CHANCE && told === "own" ? "weak" : null }, shown(near.piece), h("i", {}, near.probability === undefined ? number(near.score) : percent(near.probability)))));
    const own = one.own[sentence - 1] ?? [];
    const strong = own.some((near) => near.score >= CHANCE);
    this.reading.replaceChildren(
      h("h2", { class: colour(sentence) }, marker(sentence), `Sentence ${sentence} at step ${whole(one.step)}`),
      h("h3", {}, "Nearest at the end of its journey"), list(one.near[sentence - 1], "near"),
      ...(own.length ? [h("h3", {}, "What sets it apart from the other sentences there"), list(own, "own"), strong ? "" : small(`Scores below ${CHANCE} are what the best of a vocabulary reaches by chance.`)] : []),
      small(`Weights ${one.fingerprint.slice(0, 12)}: ${this.data.run}@${one.step}`));
  }

  // --- where paths part ----------------------------------------------------------------------------

  parting() {
    this.map = s("svg", { class: "map", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.mapBox = h("div", { class: "scroll" }, this.map);
    this.mapTold = small("");
    this.picker = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Two sentences" }, this.data.pairs.map((pair, index) => h("option", { value: index }, `sentences ${pair.a} and ${pair.b}`))));
    this.on(this.picker, "change", () => this.change({ pair: Number(this.picker.value) }));
    this.on(this.mapBox, "scroll", () => this.stick(this.mapBox, this.names));
    this.on(this.map, "click", (event) => {
      const cell = event.target.closest?.("[data-step]");
      if (cell) this.change({ step: Number(cell.dataset.step), point: Number(cell.dataset.point) });
    });
    return h("section", { class: "why part picture" },
      h("div", { class: "controls" }, h("h2", {}, "How far apart, by step and layer"), this.picker, this.exports("distances", () => this.map, () => this.mapCells())),
      this.mapBox, this.mapTold, this.details("Distances as a table", () => this.mapCells()));
  }

  mapCells() {
    const pair = this.data.pairs[this.state.pair];
    return [["step", "part at", ...this.data.points.map((point) => point.name)],
      ...this.data.steps.map((one, step) => [one.step, pair.parts_at[step] === null ? "" : this.data.points[pair.parts_at[step]].name, ...pair.distances[step]])];
  }

  drawMap() {
    const pair = this.data.pairs[this.state.pair];
    const most = Math.max(1e-9, ...pair.distances.flat());
    const [left, top] = [72, 8];
    const width = Math.max(this.mapBox.clientWidth || 300, left + (this.last + 1) * 30 + 8);
    const wide = Math.min(90, (width - left - 8) / (this.last + 1));
    const tall = clamp(Math.round(300 / (this.end + 1)), 13, 26);
    const height = top + (this.end + 1) * tall + 40;
    sized(this.map, left + wide * (this.last + 1) + 8, height);
    const y = (point) => top + (this.end - point) * tall;
    const every = Math.max(1, Math.ceil(13 / tall));
    const cells = pair.distances.flatMap((row, step) => row.map((value, point) => {
      const cell = s("rect", { class: "cell", "data-step": step, "data-point": point, x: left + step * wide, y: y(point), width: wide - 1, height: tall - 1 },
        s("title", {}, `step ${whole(this.data.steps[step].step)}, ${this.data.points[point].after}: ${number(value)}`));
      cell.setAttribute("fill-opacity", (0.04 + 0.92 * ((value ?? 0) / most)).toFixed(3));
      return cell;
    }));
    const parts = pair.parts_at.map((at, step) => (at === null ? "" : s("path", { class: "parts", d: `M${left + step * wide},${y(at) + tall - 0.5}h${wide - 1}` })));
    const names = this.data.points.map((point, place) => (place % every ? "" : s("text", { class: "axis", x: left - 8, y: y(place) + tall / 2, dy: "0.35em", "text-anchor": "end" }, point.mark)));
    const sparse = Math.max(1, Math.ceil(44 / wide));
    const steps = this.data.steps.map((one, step) => (step !== this.last && (step % sparse || (this.last - step) * wide < 44) ? "" : s("text", { class: "axis", x: left + (step + 0.5) * wide, y: height - 22, "text-anchor": "middle" }, whole(one.step))));
    const { step, point } = this.state;
    const here = s("rect", { class: "here", x: left + step * wide - 1, y: y(point) - 1, width: wide + 1, height: tall + 1 });
    const title = `Distance of sentences ${pair.a} and ${pair.b} by step of training and point of the journey`;
    this.names = s("g", {}, s("rect", { class: "cover", x: 0, y: 0, width: left - 2, height }), names);
    this.map.replaceChildren(s("title", {}, title), ...cells, ...parts, ...steps, here, s("text", { class: "axis", x: left + (wide * (this.last + 1)) / 2, y: height - 5, "text-anchor": "middle" }, "steps of training"), this.names);
    this.map.setAttribute("aria-label", title);
    this.bring(this.mapBox, left + step * wide, wide, left);
    this.stick(this.mapBox, this.names);
    const at = pair.parts_at[step];
    this.mapTold.textContent = `At step ${whole(this.data.steps[step].step)}, ${this.data.points[point].after}: ${number(pair.distances[step][point])} (0 is one place, 1.41 a right angle; the darkest is ${number(most)}). ${at === null ? (Math.max(...pair.distances[step]) < 0.05 ? "They do not part at this snapshot." : "They come together again at this snapshot.") : `They part ${this.data.points[at].after}.`} The bar in each column is where they part.`;
  }

  // --- words by step -------------------------------------------------------------------------------

  words() {
    const heads = this.data.sentences.map((one) => h("th", { scope: "col" }, marker(one.number), ` ${one.number}`));
    this.rows = this.data.steps.map((one, step) => {
      const go = this.button(whole(one.step), () => this.change({ step }), { class: "quiet", "aria-label": `Go to step ${whole(one.step)}` });
      return h("tr", {}, h("th", { scope: "row", class: "figure" }, go), one.near.map((words) => h("td", { dir: "auto" }, words.slice(0, 3).map((near, place) => h("span", { class: place ? "small" : null }, `${shown(near.piece)} `)))));
    });
    return h("section", { class: "why" }, h("h2", {}, "Nearest words at the end of the journey, by step"),
      h("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Nearest words by step" },
        h("table", { class: "by-step" }, h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "figure" }, "step"), heads)), h("tbody", {}, this.rows))));
  }

  markWords() {
    this.rows.forEach((row, step) => row.classList.toggle("chosen", step === this.state.step));
  }

  /** What stands below a saved picture. @param {number} room */
  signature(room) {
    const { step, point } = this.state;
    return [{ text: `“${this.data.word}” at step ${whole(this.data.steps[step].step)} of ${this.data.run}, ${this.data.points[point].after}; basis of ${this.state.basis}` },
      ...this.data.sentences.map((one) => ({ sentence: one.number, text: clipped(one.text, room - 6) })), { text: `Molehill ${this.data.provenance.version}` }];
  }

  source() {
    return `Run ${this.data.provenance.run}, ${this.data.provenance.dtype}; Molehill ${this.data.provenance.version}.`;
  }

  foot() {
    return this.footOf(this.data.notes, "snapshots");
  }
}
