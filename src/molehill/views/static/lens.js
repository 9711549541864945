// @ts-check
/**
 * The nearest words at every point of every token's journey: a grid, one cell in detail, and where
 * chosen words stand along the way.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.lens/1, see docs/howto/ledger.md) into `el` and returns its own cleanup. It asks nothing
 * of the network, and every text from the data becomes a text node.
 *
 * @typedef {{words: string[], scores: (number | null)[], probabilities?: (number | null)[],
 *   entropy?: number | null, ranks?: (number | null)[]}} Reading
 */

import {
  Page, clamp, clipped, colour, h, marker, number, percent, quoted, rendering, s, sentenceCase, shape,
  shown, sized, small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

/** A rank for people, from 1; scores that are no numbers have none. @param {number | null} rank */
const ranked = (rank) => (rank === null ? "not finite" : (rank + 1).toLocaleString("en"));

/** Tokens that the grid shows at a time: more columns than a screen has are pages. */
const COLUMNS = 64;
/** Characters of the text that stand below the title at once. */
const READ = 160;
const EDGE = { left: 62, top: 26 };
const TALL = 21;

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.text;
    this.points = data.points;
    this.last = data.points.length - 1;
    this.sure = data.ruler === "logit";
    this.shows = { word: "nearest word", ...Object.fromEntries(data.tracked.map((one, index) => [`rank${index}`, `rank of ${shown(one.piece)}`])) };
    this.state = { ...this.state, point: this.last, token: data.focus, show: "word" };
    /** @type {[number, number] | null} what is pointed at */
    this.pointed = null;
    this.notice = this.fromHash();
  }

  build() {
    const stage = this.stage();
    this.mount(this.head(), this.textRead(), this.tracker(), this.leadOf(this.data.summary), stage, this.along(), this.footOf(this.data.notes, "lens"));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.box);
    this.on(document, "keydown", (event) => {
      if (event.key === "?" && !event.target.closest?.("input, select, textarea")) this.dialog.showModal();
    });
    this.on(this.figure, "keydown", (event) => this.key(event));
    this.resized();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return {
      point: (value) => this.take("point", value, 0, this.last),
      token: (value) => this.take("token", value, 0, this.data.pieces.length - 1),
      show: (value) => Object.hasOwn(this.shows, value) && this.set("show", value),
    };
  }

  all() {
    // Thousands of cells: they are drawn for a width, a page and what they show, not for each step.
    const drawn = `${this.room} ${this.page} ${this.state.show}`;
    if (this.drawn !== drawn) this.drawGrid();
    this.drawn = drawn;
    this.mark();
    this.drawReading();
    this.drawTracks();
    this.syncControls();
    this.writeHash([`point=${this.state.point}`, `token=${this.state.token}`, ...(this.state.show === "word" ? [] : [`show=${this.state.show}`])]);
    this.say(() => `${this.place()}. Nearest: ${this.reading.words.slice(0, 3).map(shown).join(", ")}.`);
  }

  /** The cell that is told of: the one that is pointed at, else the chosen one. @returns {[number, number]} */
  get cellTold() {
    return this.pointed ?? [this.state.point, this.state.token];
  }

  /** @returns {Reading} */
  get reading() {
    const [point, token] = this.cellTold;
    return this.data.readings[point][token];
  }

  place() {
    return `${sentenceCase(this.points[this.state.point].after)}, at ${shown(this.data.pieces[this.state.token])}`;
  }

  /** Ask the lens again, of other words: by the host, or in place. @param {string[]} track */
  async again(track) {
    const { question, inputs } = this.data.asked;
    const next = { ...inputs, track };
    if (this.opens) return this.open(question, next);
    this.status.textContent = "Reading …";
    try {
      this.model.set("data", await this.ask(question, next, { onProgress: (told) => { this.status.textContent = told.what; } }));
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = error.message;
    }
  }

  /** The words whose rank is followed, and one more. */
  tracker() {
    if (!this.asks || !this.data.asked) return "";
    const { track } = this.data.asked.inputs;
    const chips = track.map((word, index) => this.button([word, h("span", { "aria-hidden": "true" }, " ×")], () => this.again(track.filter((_, other) => other !== index)), { "aria-label": `Follow ${word} no longer` }));
    const field = /** @type {HTMLInputElement} */ (h("input", { type: "text", maxlength: 100, placeholder: "another word", "aria-label": "Follow the rank of another word", autocomplete: "off", spellcheck: "false" }));
    const add = () => field.value.trim() && !track.includes(field.value.trim()) && this.again([...track, field.value.trim()]);
    this.on(field, "keydown", (event) => event.key === "Enter" && add());
    this.status = h("span", { class: "small", role: "status" });
    return h("div", { class: "tracker", role: "group", "aria-label": "Words whose rank is followed" }, h("span", { class: "small" }, "Follow"), chips, track.length < 8 ? [field, this.button("Add", add)] : "", this.status);
  }

  head() {
    const made = this.data.provenance;
    const keys = [["← →", "token before or after (grid focused)"], ["↑ ↓", "earlier or later in the model"], ["Home End", "first or last token"], ["Enter", "the ledger at the chosen cell, where somebody answers"], ["?", "this list"], ["Esc", "close it"]];
    const help = this.helpOf(keys, "Click a cell to read it. The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", {}, "Nearest words"),
        h("p", { class: "sub" }, `at every point of every token's journey · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  /** The text that was read; a long one opens in full. */
  textRead() {
    const { text } = this.data;
    if ([...text].length <= READ) return h("p", { class: "read", dir: "auto" }, text);
    const box = h("details", { class: "read" }, h("summary", { dir: "auto" }, clipped(text, READ)), h("p", { dir: "auto" }, text));
    return box;
  }

  // --- the grid ------------------------------------------------------------------------------------

  stage() {
    this.figure = s("svg", { class: "grid", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.box = h("div", { class: "frame around" }, this.figure);
    this.on(this.box, "scroll", () => this.stick());
    this.on(this.figure, "click", (event) => this.clicked(event));
    this.on(this.figure, "dblclick", () => this.openers().at(-1)?.click());
    this.on(this.figure, "pointermove", (event) => event.pointerType === "mouse" && this.point(this.cellAt(event)));
    this.on(this.figure, "pointerleave", () => this.point(null));
    this.told = h("section", { class: "told", "aria-label": "The chosen cell" });
    const turn = (by) => () => this.change({ token: clamp((this.page + by) * COLUMNS, 0, this.data.pieces.length - 1) });
    this.earlier = this.button("Earlier", turn(-1), { "aria-label": "Earlier tokens" });
    this.later = this.button("Later", turn(1), { "aria-label": "Later tokens" });
    this.pageNote = h("span", { class: "small" });
    const many = this.data.pieces.length > COLUMNS;
    const upright = () => {
      this.box.scrollTo(0, 0);
      this.stick();
      return this.figure;
    };
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "From the start, down to the end"), many ? h("div", { class: "pages" }, this.earlier, this.pageNote, this.later) : "", this.exports("grid", upright, () => this.rows())),
        Object.keys(this.shows).length > 1 ? h("div", { class: "scroll picks" }, this.segments("show", "What a cell shows", this.shows)) : "",
        this.box,
        h("p", { class: "caption" }, this.sure
          ? "Each cell: the word the model would say next if it stopped there. The deeper the colour, the surer."
          : "Each cell: the nearest token. The deeper the colour, the larger the cosine.", this.blanks(),
          this.data.points_left_out.length ? ` Left out: ${this.data.points_left_out.length} of ${this.points.length + this.data.points_left_out.length} points.` : "",
          Object.keys(this.shows).length > 1 ? " Ranks: 1 is the nearest of all words; the deeper the colour, the nearer." : ""),
        this.details("The chosen token as a table", () => this.tokenRows())),
      h("div", { class: "side" }, this.told));
  }

  /** What the cells mean that show no word: tokens of white space alone. */
  blanks() {
    const first = new Set(this.data.readings.flat().map((cell) => cell.words[0] ?? ""));
    const space = [...first].some((word) => /^·+$/.test(word));
    const line = [...first].some((word) => /^·*⏎[·⏎]*$/.test(word));
    const told = [space ? "“·” is a token that is only a space" : "", line ? "“⏎” one that is a new line" : ""].filter(Boolean);
    return told.length ? ` ${sentenceCase(told.join(", "))}.` : "";
  }

  get page() {
    return Math.floor(this.state.token / COLUMNS);
  }

  resized() {
    const room = Math.max(220, Math.floor(this.box.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
    this.reveal();
  }

  drawGrid() {
    const first = this.page * COLUMNS;
    const pieces = this.data.pieces.slice(first, first + COLUMNS);
    const wide = clamp(Math.floor((this.room - EDGE.left - 2) / pieces.length), 64, 130);
    const letters = Math.floor((wide - 8) / 6.9);
    const [width, height] = [EDGE.left + wide * pieces.length + 1, EDGE.top + TALL * this.points.length + 1];
    sized(this.figure, width, height);
    this.cell = { wide, first, count: pieces.length };
    const cells = this.points.map((_, point) => pieces.map((_, column) => this.oneCell(point, first + column, EDGE.left + column * wide, wide, letters)));
    this.marks = s("g", { class: "marks" }, s("rect", { class: "cover", width: EDGE.left, height }),
      this.points.map((one, point) => s("text", { class: "axis", x: EDGE.left - 8, y: EDGE.top + (point + 0.5) * TALL, dy: "0.35em", "text-anchor": "end" }, one.mark)));
    this.heads = s("g", { class: "heads" }, s("rect", { class: "cover", width, height: EDGE.top }),
      pieces.map((piece, column) => s("text", { class: "axis", x: EDGE.left + (column + 0.5) * wide, y: EDGE.top - 9, "text-anchor": "middle" }, s("title", {}, shown(piece)), clipped(shown(piece), letters))));
    this.corner = s("rect", { class: "cover", width: EDGE.left, height: EDGE.top });
    const frame = (name) => s("rect", { class: name, width: wide - 1, height: TALL - 1, rx: 2 });
    [this.over, this.chosen] = [frame("over"), frame("chosen")];
    this.figure.replaceChildren(s("title", {}, this.state.show === "word" ? "The nearest word by point and token" : `The ${this.shows[this.state.show]} by point and token`), s("g", {}, cells), this.over, this.chosen, this.heads, this.marks, this.corner);
    this.pageNote.textContent = `tokens ${first}–${first + pieces.length - 1} of ${this.data.pieces.length}`;
    this.earlier.disabled = first === 0;
    this.later.disabled = first + pieces.length >= this.data.pieces.length;
    this.stick();
  }

  /** @param {number} point @param {number} token @param {number} x @param {number} wide @param {number} letters */
  oneCell(point, token, x, wide, letters) {
    const [sure, text] = this.cellShown(this.data.readings[point][token]);
    const y = EDGE.top + point * TALL;
    return s("g", { class: "cell" },
      s("rect", { x: x + 0.5, y: y + 0.5, width: wide - 1, height: TALL - 1, rx: 2, "fill-opacity": (0.04 + 0.46 * sure).toFixed(3) }),
      s("text", { x: x + wide / 2, y: y + TALL / 2, dy: "0.35em", "text-anchor": "middle" }, clipped(text, letters)));
  }

  /** How deep a cell's colour is, and what stands in it. @param {Reading} reading @returns {[number, string]} */
  cellShown(reading) {
    if (this.state.show === "word") {
      return [clamp((this.sure ? reading.probabilities?.[0] : reading.scores[0]) ?? 0, 0, 1), shown(reading.words[0] ?? "")];
    }
    const rank = reading.ranks?.[Number(this.state.show.slice(4))] ?? null;
    return [rank === null ? 0 : 1 - Math.log(rank + 1) / Math.log(this.data.d_vocab), ranked(rank)];
  }

  /** The chosen cell, its row and its column. */
  mark() {
    const { point, token } = this.state;
    this.frame(this.chosen, [point, token]);
    this.frame(this.over, this.pointed);
    this.marks.querySelectorAll("text").forEach((one, index) => one.classList.toggle("chosen", index === point));
    this.heads.querySelectorAll("text").forEach((one, index) => one.classList.toggle("chosen", this.cell.first + index === token));
    this.figure.setAttribute("aria-label", `Grid of ${this.points.length} points by ${this.cell.count} tokens; chosen: ${this.place()}`);
  }

  /** @param {SVGElement} rect @param {[number, number] | null} cell */
  frame(rect, cell) {
    rect.setAttribute("visibility", cell ? "visible" : "hidden");
    if (!cell) return;
    rect.setAttribute("x", String(EDGE.left + (cell[1] - this.cell.first) * this.cell.wide + 0.5));
    rect.setAttribute("y", String(EDGE.top + cell[0] * TALL + 0.5));
  }

  /** Tell of the cell that is pointed at. @param {[number, number] | null} cell */
  point(cell) {
    if (String(cell) === String(this.pointed)) return;
    this.pointed = cell;
    this.frame(this.over, cell);
    this.drawReading();
  }

  /** The names of rows and columns stay where they can be seen. */
  stick() {
    const { scrollLeft: x, scrollTop: y } = this.box;
    this.marks.setAttribute("transform", `translate(${x},0)`);
    this.heads.setAttribute("transform", `translate(0,${y})`);
    this.corner.setAttribute("transform", `translate(${x},${y})`);
  }

  /** Scroll the chosen cell into its box, never the page. */
  reveal() {
    const x = EDGE.left + (this.state.token - this.cell.first) * this.cell.wide;
    const y = EDGE.top + this.state.point * TALL;
    const { scrollLeft: left, scrollTop: top, clientWidth: width, clientHeight: height } = this.box;
    this.box.scrollTo(
      clamp(left, x + this.cell.wide - width, x - EDGE.left),
      clamp(top, y + TALL - height, y - EDGE.top),
    );
  }

  /** @param {MouseEvent} event @returns {[number, number]} */
  cellAt(event) {
    const around = this.figure.getBoundingClientRect();
    const column = Math.floor((event.clientX - around.left - EDGE.left) / this.cell.wide);
    const point = Math.floor((event.clientY - around.top - EDGE.top) / TALL);
    return [clamp(point, 0, this.last), this.cell.first + clamp(column, 0, this.cell.count - 1)];
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    const [point, token] = this.cellAt(event);
    this.pointed = null;
    this.change({ point, token });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "Enter") return this.openers().at(-1)?.click();
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -1e9], End: [0, 1e9] }[event.key];
    if (!steps || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.pointed = null;
    this.change({
      point: clamp(this.state.point + steps[0], 0, this.last),
      token: clamp(this.state.token + steps[1], 0, this.data.pieces.length - 1),
    });
    this.reveal();
  }

  // --- one cell ------------------------------------------------------------------------------------

  drawReading() {
    const { words, scores, probabilities, entropy, ranks } = this.reading;
    const [at, token] = this.cellTold;
    const point = this.points[at];
    const largest = Math.max(1e-9, ...(probabilities ?? scores).map((value) => Math.abs(value ?? 0)));
    const bars = words.map((word, index) => {
      const value = probabilities ? probabilities[index] : scores[index];
      const bar = h("span", { class: "bar" });
      bar.style.width = `${(100 * Math.abs(value ?? 0)) / largest}%`;
      return h("li", {}, h("span", { dir: "auto" }, shown(word)), h("span", { class: "track" }, bar), h("span", { class: "value" }, probabilities ? percent(value) : number(value)));
    });
    const figures = [
      ...(entropy === undefined ? [] : [["entropy, bits", number(entropy)]]),
      ...(ranks ?? []).map((rank, index) => [`rank of ${shown(this.data.tracked[index].piece)}`, ranked(rank)]),
    ];
    this.told.replaceChildren(
      h("h2", {}, `${sentenceCase(point.after)}, at `, h("em", { dir: "auto" }, shown(this.data.pieces[token]))),
      h("h3", {}, this.sure ? "The model would say" : "Nearest tokens, by cosine"),
      h("ul", { class: "bars" }, bars),
      figures.length ? h("dl", { class: "figures" }, figures.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : "",
      this.pointed ? "" : h("div", { class: "tools" }, this.openers()));
  }

  /** Buttons: what this vector is made of, why its best word has that score, and follow that word. */
  openers() {
    const known = this.model.get("catalogue")?.questions;
    const { point, token } = this.state;
    const { text, pieces, asked } = this.data;
    const best = (this.data.readings[point][token].words[0] ?? "").replace(/^·/, "");
    const made = [];
    if (this.asks && asked && best && asked.inputs.track.length < 8 && !asked.inputs.track.includes(best)) made.push(this.button(`Follow ${quoted(best)}`, () => this.again([...asked.inputs.track, best])));
    if (!this.opens || (known && !known.some((one) => one.name === "ledger"))) return made;
    const at = point === this.last ? "final" : this.points[point].name;
    made.push(this.button(`Ledger of ${quoted(pieces[token])} here`, () => this.open("ledger", { text, position: token, at })));
    if (at === "final" && this.sure && best) made.push(this.button(`Why ${quoted(best)}`, () => this.open("ledger", { text, position: token, at, toward: best })));
    return made;
  }

  // --- along the journey ---------------------------------------------------------------------------

  along() {
    const tracked = this.data.tracked.length > 0;
    if (!tracked && !this.sure) return "";
    this.tracks = s("svg", { class: "tracks", role: "img" });
    this.legend = h("ul", { class: "words" });
    const title = tracked ? "Where the tracked words stand" : "How unsure the model would be";
    return h("section", { class: "why" },
      h("div", { class: "controls" }, h("h2", {}, title), this.exports("track", () => this.tracks, () => this.tokenRows())),
      h("div", { class: "frame" }, this.tracks), this.legend,
      tracked ? small("Rank 1 is the nearest of all words; the scale is logarithmic.") : small("Entropy of the next word, in bits, at the chosen token. " + (this.asks ? "Follow a word to see its ranks." : "Ask for words with --track to see their ranks.")));
  }

  drawTracks() {
    if (!this.tracks) return;
    const column = this.data.readings.map((row) => row[this.state.token]);
    const { tracked } = this.data;
    const log = tracked.length > 0;
    const series = log ? tracked.map((_, index) => column.map((one) => (one.ranks[index] === null ? null : one.ranks[index] + 1))) : [column.map((one) => one.entropy)];
    const top = log ? this.data.d_vocab : Math.log2(this.data.d_vocab);
    const [width, height] = [Math.max(220, Math.floor(this.tracks.parentElement.clientWidth)), 220];
    const pad = { left: 56, right: 16, top: 14, bottom: 30 };
    const x = (point) => pad.left + (point / Math.max(1, this.last)) * (width - pad.left - pad.right);
    const share = (value) => (log ? Math.log(value) / Math.log(top) : 1 - value / top);
    const y = (value) => pad.top + share(value) * (height - pad.top - pad.bottom);
    const steps = log ? [1, 10, 100, 1000, 10_000, 100_000].filter((value) => value < top) : [0, 4, 8, 12, 16].filter((value) => value < top);
    const lines = steps.map((value) => [
      s("line", { class: "rule", x1: pad.left, x2: width - pad.right, y1: y(value), y2: y(value) }),
      s("text", { class: "axis", x: pad.left - 8, y: y(value), dy: "0.32em", "text-anchor": "end" }, value.toLocaleString("en")),
    ]);
    const every = Math.max(1, Math.ceil(this.points.length / (width / 64)));
    const marks = this.points.map((one, point) => (point % every === 0 && (point === 0 || x(this.last) - x(point) > 40)) || point === this.last
      ? s("text", { class: "axis", x: x(point), y: height - 8, "text-anchor": point === 0 ? "start" : point === this.last ? "end" : "middle" }, one.mark) : null);
    const drawn = series.map((values, index) => {
      const held = values.map((value, point) => (value === null || !Number.isFinite(value) ? null : `${x(point).toFixed(1)},${y(value).toFixed(1)}`));
      return s("g", { class: `track ${colour(index + 1)}` },
        s("polyline", { points: held.filter(Boolean).join(" ") }),
        held[this.state.point] ? s("path", { d: shape(index, 5), transform: `translate(${held[this.state.point]})` }) : null);
    });
    sized(this.tracks, width, height);
    const what = log ? `Ranks of ${tracked.map((one) => shown(one.piece)).join(", ")}` : "Entropy";
    this.tracks.setAttribute("aria-label", `${what} along the journey of ${shown(this.data.pieces[this.state.token])}`);
    this.tracks.replaceChildren(s("title", {}, what), ...lines.flat(), ...marks.filter(Boolean), ...drawn);
    this.legend.replaceChildren(...tracked.map((one, index) => {
      const rank = column[this.state.point].ranks[index];
      return h("li", {}, marker(index + 1), " ", h("span", { dir: "auto" }, shown(one.piece)), h("i", {}, `rank ${ranked(rank)}`));
    }));
  }

  // --- tables --------------------------------------------------------------------------------------

  tokenRows() {
    const [head, ...rows] = this.rows();
    return [head, ...rows.filter((row) => row[1] === this.state.token)].map(([point, , , ...rest]) => [point, ...rest]);
  }

  rows() {
    const ranks = this.data.tracked.map((one) => `rank of ${shown(one.piece)}`);
    const rows = this.data.readings.flatMap((row, point) => row.map((one, token) => [
      this.points[point].name, token, this.data.pieces[token], one.words.join(" "), one.scores[0], one.probabilities?.[0] ?? "", one.entropy ?? "", ...(one.ranks ?? []).map((rank) => (rank === null ? "" : rank + 1)),
    ]));
    return [["point", "token", "piece", "nearest", "score", "probability", "entropy", ...ranks], ...rows];
  }
}
