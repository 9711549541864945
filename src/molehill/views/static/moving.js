// @ts-check
/**
 * A vector moved by hand: one token's vector pushed along a direction by as much as the slider says,
 * and what the model says next, with attention recomputed and with attention frozen.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schema
 * molehill.moving/1, see docs/howto/shift.md) into `el` and returns its own cleanup. All strengths
 * are in the data, so that the slider asks nothing; what needs an answer is shown where the host
 * gives some.
 */

import { Page, clamp, clipped, h, number, percent, rendering, s, shape, shown, sized, small } from "./kit.js";

const render = rendering(() => View);
export default { render };

/** Words that have a line of their own. */
const LINES = 8;
const DASHES = ["", "7 2", "3 2", "10 2 3 2", "5 1.5", "12 2 3 2 3 2", "2 1.5", "9 4"];
const WAYS = {
  free: ["Attention recomputed", "Every head looks anew."],
  frozen: ["Attention frozen", "Every head looks where it looked without the move."],
};

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.subject = data.text;
    this.last = data.strengths.length - 1;
    this.state = { theme: "auto", strength: this.first() };
    this.notice = this.fromHash();
  }

  /** Where the slider begins: the weakest push, forwards or back, at which something else is said. */
  first() {
    const { strengths, free, unmoved, words } = this.data;
    const best = (place) => words.reduce((most, word) => (word.free[place] > most.free[place] ? word : most), words[0]);
    const other = (place) => (free[place].pieces.length ? free[place].text !== free[unmoved].text : best(place) !== best(unmoved));
    const found = strengths.map((_, place) => place).filter(other);
    const near = (place) => Math.abs(strengths[place]) - (strengths[place] > 0 ? 0.01 : 0);
    return found.sort((a, b) => near(a) - near(b))[0] ?? this.last;
  }

  build() {
    this.mount(this.head(), this.leadOf(this.data.summary), this.hand(), this.ways(), this.table(), this.foot());
    this.observer = new ResizeObserver(() => this.resized());
    for (const figure of Object.values(this.curves)) this.observer.observe(figure.parentElement);
    this.on(document, "keydown", (event) => this.key(event));
    this.resized();
    this.all();
  }

  halt() {
    this.observer?.disconnect();
    clearTimeout(this.spoken);
  }

  takers() {
    return { strength: (value) => this.takeStrength(Number(value)) };
  }

  /** @param {number} value */
  takeStrength(value) {
    const place = this.data.strengths.findIndex((strength) => Math.abs(strength - value) < 1e-6);
    return place >= 0 && this.set("strength", place);
  }

  all() {
    this.drawMove();
    this.syncControls();
    this.writeHash([`strength=${this.data.strengths[this.state.strength]}`]);
    this.say(() => `Strength ${signedStrength(this.strength)}. ${Object.keys(WAYS).map((way) => `${WAYS[way][0]}: ${this.data[way][this.state.strength].text || shown(this.best(way).piece)}`).join(". ")}.`);
  }

  get strength() {
    return this.data.strengths[this.state.strength];
  }

  /** The likeliest next word at the chosen strength. @param {string} way */
  best(way) {
    const place = this.state.strength;
    return this.data.words.reduce((most, word) => (word[way][place] > most[way][place] ? word : most), this.data.words[0]);
  }

  /** @param {number} place */
  moveTo(place) {
    this.change({ strength: clamp(Math.round(place), 0, this.last) });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || this.dialog.open || target.closest?.("input, select, textarea, summary")) return;
    const keys = /** @type {Record<string, () => void>} */ ({
      ArrowLeft: () => this.moveTo(this.state.strength - 1),
      ArrowRight: () => this.moveTo(this.state.strength + 1),
      0: () => this.moveTo(this.data.unmoved),
      "?": () => this.dialog.showModal(),
    });
    if (!Object.hasOwn(keys, event.key)) return;
    keys[event.key]();
    event.preventDefault();
  }

  // --- what is moved -------------------------------------------------------------------------------

  head() {
    const { provenance: made, direction, length } = this.data;
    const help = this.helpOf([["← →", "weaker, stronger"], ["0", "no move"], ["?", "this list"], ["Esc", "close it"]],
      "The address holds the strength: copy it to come back.");
    const about = `along ${direction.name}, ${this.data.after} · the vector is ${number(length)} long, its cosine with the direction ${number(direction.cosine)} · ${made.model}, ${made.dtype}`;
    return h("header", {},
      h("div", {}, h("h1", { class: "text", dir: "auto" }, this.tokens()), h("p", { class: "sub" }, about)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  /** The text's tokens; where the host answers, each can be taken in place of the one that is moved. */
  tokens() {
    return this.data.pieces.map((piece, place) => {
      const text = piece.replace(/^·/, "").replace(/^##/, "") || " ";
      const space = place && (piece.startsWith("·") || !/^[\p{L}\p{N}]/u.test(piece) && piece.startsWith(" ")) ? " " : "";
      if (place === this.data.position) return [space, h("mark", { class: "moved-token", title: `token ${place}, moved` }, text)];
      if (!this.opens) return [space, text];
      return [space, this.button(text, () => this.again({ position: place }), { class: "token-choice", title: `Move token ${place} instead` })];
    });
  }

  /** The same question with something else in it. @param {Record<string, any>} changed */
  again(changed) {
    const { text, position, at, direction, word, sentences, free } = this.data;
    const tokens = Math.max(...free.map((row) => row.pieces.length));
    this.open("moving", { text, position, at, direction: direction.name.replaceAll("−", "-"), tokens, word, sentences, ...changed });
  }

  hand() {
    this.slider = h("input", { type: "range", min: 0, max: this.last, step: 1, "aria-label": "Strength, in lengths of the vector" });
    this.on(this.slider, "input", () => this.moveTo(Number(this.slider.value)));
    this.told = h("output", {});
    this.added = h("span", { class: "small" });
    const { strengths, unmoved } = this.data;
    const scale = h("div", { class: "scale", "aria-hidden": "true" }, h("span", {}, signedStrength(strengths[0])), strengths.length > 2 && unmoved > 0 && unmoved < this.last ? h("span", {}, "0: not moved") : "", h("span", {}, signedStrength(strengths[this.last])));
    return h("section", { class: "hand", "aria-label": "The move" },
      h("div", { class: "strength" }, h("h2", {}, "How far it is moved"), h("span", {}, this.told, " ", this.added)),
      this.slider, scale, this.asking());
  }

  /** Another point, the way back: where the host can show them. */
  asking() {
    if (!this.opens) return "";
    const { points, at, word, sentences, text, pieces, position } = this.data;
    const place = points.findIndex((point) => point.name === at);
    const pick = h("select", { "aria-label": "Where it is moved" }, points.map((point) => h("option", { value: point.name }, point.after)));
    pick.value = at;
    this.on(pick, "change", () => this.again({ at: pick.value }));
    const step = (by, label) => this.button(label, () => this.again({ at: points[place + by].name }), { disabled: !points[place + by], "aria-label": by < 0 ? "One point earlier" : "One point later" });
    const bare = shown(pieces[position]);
    const back = word && sentences.length ? { word, sentences } : { word: bare, sentences: [text] };
    return h("div", { class: "asks" },
      h("label", {}, "Where", h("span", {}, step(-1, "‹"), " ", pick, " ", step(1, "›"))),
      this.button("Its whole journey", () => this.open("shift", back)),
      this.button("Its ledger here", () => this.open("ledger", { text, position, at })));
  }

  // --- what comes of it ----------------------------------------------------------------------------

  ways() {
    /** @type {Record<string, SVGElement>} */
    this.curves = {};
    /** @type {Record<string, any>} */
    this.parts = {};
    const made = Object.keys(WAYS).map((way) => {
      const [title, hint] = WAYS[way];
      const figure = s("svg", { class: "curves", role: "img" });
      this.curves[way] = figure;
      const parts = { says: h("div", {}), far: h("p", { class: "small" }), next: h("div", {}) };
      this.parts[way] = parts;
      this.pointing(figure);
      return h("section", { class: `way picture ${way}` },
        h("div", { class: "controls" }, h("h2", {}, h("i", { "aria-hidden": "true" }), title), this.exports(way, () => figure, () => this.rows(way))),
        small(hint), parts.says, parts.far,
        h("h3", {}, "The next word"), parts.next,
        h("h3", {}, "Its probability by strength"), h("div", { class: "frame" }, figure));
    });
    return h("div", { class: "ways" }, made);
  }

  /** The strength follows the pointer that is held down on a picture. @param {SVGElement} figure */
  pointing(figure) {
    const put = (event) => {
      const box = figure.getBoundingClientRect();
      const { left, right } = this.pad;
      const share = (event.clientX - box.left - left) / (box.width - left - right);
      const { strengths } = this.data;
      const value = strengths[0] + share * (strengths[this.last] - strengths[0]);
      const gaps = strengths.map((strength) => Math.abs(strength - value));
      const place = gaps.indexOf(Math.min(...gaps));
      if (place !== this.state.strength) this.moveTo(place);
    };
    this.on(figure, "pointerdown", (event) => {
      figure.setPointerCapture(event.pointerId);
      put(event);
    });
    this.on(figure, "pointermove", (event) => event.buttons && put(event));
  }

  drawMove() {
    const place = this.state.strength;
    this.slider.value = String(place);
    this.slider.setAttribute("aria-valuetext", `${signedStrength(this.strength)} lengths`);
    this.told.textContent = this.strength ? signedStrength(this.strength) : "0";
    this.added.textContent = this.strength ? `lengths of the vector: ${number(Math.abs(this.strength) * this.data.length)} added ${this.strength > 0 ? "along" : "against"} the direction` : "not moved";
    for (const way of Object.keys(WAYS)) {
      const { says, far, next } = this.parts[way];
      says.replaceChildren(...this.said(way));
      const row = this.data[way][place];
      const written = row.pieces.length ? `${row.alike} of ${row.pieces.length} tokens as without the move; ` : "";
      far.textContent = `${written}the next word’s distribution is ${small2(row.divergence)} nats from the unmoved one.`;
      next.replaceChildren(this.nextWords(way));
      this.drawCursor(way);
    }
  }

  /** The continuation, and the unmoved one below it. @param {string} way */
  said(way) {
    const { text, unmoved } = this.data;
    const [row, plain] = [this.data[way][this.state.strength], this.data[way][unmoved]];
    if (!row.pieces.length) return [];
    let common = 0;
    while (common < Math.min(row.text.length, plain.text.length) && row.text[common] === plain.text[common]) common += 1;
    // A character that is two units of the text must not be cut.
    if (/[\uD800-\uDBFF]/.test(row.text[common - 1] ?? "")) common -= 1;
    const lines = (written) => written.replaceAll("\n", " ⏎ ");
    return [
      h("p", { class: "says", dir: "auto" }, h("span", { class: "given" }, text), lines(row.text.slice(0, common)), row.text.length > common ? h("span", { class: "other" }, lines(row.text.slice(common))) : ""),
      h("p", { class: "says plain", dir: "auto" }, "Without: ", lines(plain.text)),
    ];
  }

  /** The likeliest words as bars, with a tick where each stood without the move. @param {string} way */
  nextWords(way) {
    const { words, unmoved } = this.data;
    const place = this.state.strength;
    const rest = 1 - words.reduce((sum, word) => sum + word[way][place], 0);
    const order = [...words].sort((a, b) => Math.max(b[way][place], b[way][unmoved]) - Math.max(a[way][place], a[way][unmoved])).slice(0, 7);
    const most = Math.max(0.01, ...order.flatMap((word) => [word[way][place], word[way][unmoved]]));
    const body = order.map((word) => {
      const now = h("span", { class: "now" });
      const was = h("span", { class: "was" });
      now.style.width = `${(100 * word[way][place]) / most}%`;
      was.style.left = `${clamp((100 * word[way][unmoved]) / most, 0, 99)}%`;
      return h("tr", {}, h("th", { scope: "row", dir: "auto" }, shown(word.piece)), h("td", { class: "room" }, h("span", { class: "track", "aria-hidden": "true" }, now, was)),
        h("td", { class: "figure" }, percent(word[way][place])), h("td", { class: "figure" }, percent(word[way][unmoved])));
    });
    const heads = ["word", "", "now", "unmoved"];
    const head = h("tr", {}, heads.map((name, index) => h("th", { scope: "col", class: index > 1 ? "figure" : null }, name)));
    return h("div", {}, h("table", { class: "next" }, h("thead", {}, head), h("tbody", {}, body)),
      small(`The tick is where the word stood without the move. ${words.length} words are followed; all others together ${percent(Math.max(0, rest))}.`));
  }

  // --- probabilities by strength -------------------------------------------------------------------

  get pad() {
    return { left: 42, right: 92, top: 12, bottom: 34 };
  }

  resized() {
    for (const way of Object.keys(WAYS)) this.drawCurves(way);
  }

  /** @param {string} way */
  drawCurves(way) {
    const figure = this.curves[way];
    const width = Math.max(240, Math.floor(figure.parentElement.clientWidth));
    const height = 250;
    const { left, right, top, bottom } = this.pad;
    const { strengths, unmoved } = this.data;
    const words = this.data.words.slice(0, LINES);
    const both = words.flatMap((word) => [...word.free, ...word.frozen]);
    const most = Math.max(0.01, ...both);
    const x = (strength) => left + ((strength - strengths[0]) / (strengths[this.last] - strengths[0] || 1)) * (width - left - right);
    const y = (value) => top + (1 - value / most) * (height - top - bottom);
    this.scale = { ...this.scale, [way]: { x, y, height } };
    sized(figure, width, height);
    const rules = [0, 0.5, 1].map((share) => [
      s("line", { class: "rule", x1: left, x2: width - right, y1: y(share * most), y2: y(share * most) }),
      s("text", { class: "axis", x: left - 6, y: y(share * most), dy: "0.32em", "text-anchor": "end" }, percent(share * most))]);
    const marks = strengths.filter((strength) => Math.abs(strength - Math.round(strength)) < 1e-9).map((strength) =>
      s("text", { class: "axis", x: x(strength), y: height - 16, "text-anchor": "middle" }, strength ? signedStrength(strength) : "0"));
    const ends = words.map((word, index) => ({ index, at: y(word[way][this.last]) })).sort((a, b) => a.at - b.at);
    for (let place = 1; place < ends.length; place += 1) ends[place].at = Math.max(ends[place].at, ends[place - 1].at + 14);
    for (let place = ends.length - 1, low = height - bottom - 2; place >= 0 && ends[place].at > low; place -= 1, low -= 14) ends[place].at = low;
    const lines = ends.map(({ index, at }) => {
      const word = words[index];
      const points = strengths.map((strength, place) => `${x(strength).toFixed(1)},${y(word[way][place]).toFixed(1)}`).join(" ");
      return s("g", { class: `c${index + 1}` }, s("title", {}, shown(word.piece)),
        s("polyline", { class: "line", points, "stroke-dasharray": DASHES[index] }),
        s("text", { class: "name", x: width - right + 8, y: at, dy: "0.32em" }, clipped(shown(word.piece), 11)));
    });
    const cursor = s("g", { class: "here" });
    figure.setAttribute("aria-label", `Probability of ${words.length} next words by strength, ${WAYS[way][0].toLowerCase()}; the table below has all numbers`);
    figure.replaceChildren(...rules.flat(), s("line", { class: "zero", x1: x(strengths[unmoved]), x2: x(strengths[unmoved]), y1: top, y2: height - bottom }),
      ...lines, cursor, ...marks, s("text", { class: "axis", x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle" }, "strength, in lengths of the vector"));
    this.drawCursor(way);
  }

  /** @param {string} way */
  drawCursor(way) {
    const scale = this.scale?.[way];
    const cursor = this.curves[way].querySelector(".here");
    if (!scale || !cursor) return;
    const place = this.state.strength;
    const at = scale.x(this.strength);
    cursor.replaceChildren(s("line", { class: "cursor", x1: at, x2: at, y1: this.pad.top, y2: scale.height - this.pad.bottom }),
      ...this.data.words.slice(0, LINES).map((word, index) => s("g", { class: `c${index + 1}` }, s("path", { class: "dot", d: shape(index, 4), transform: `translate(${at},${scale.y(word[way][place])})` }))));
  }

  // --- tables and foot -----------------------------------------------------------------------------

  /** @param {string} way */
  rows(way) {
    const { strengths, words } = this.data;
    return [["strength", "divergence", "tokens_alike", "continuation", ...words.map((word) => shown(word.piece))],
      ...strengths.map((strength, place) => {
        const row = this.data[way][place];
        return [strength, row.divergence, row.alike, row.text, ...words.map((word) => word[way][place])];
      })];
  }

  table() {
    const written = this.data.free.some((row) => row.pieces.length);
    const rows = () => [["strength", ...Object.values(WAYS).map(([title]) => title)], ...this.data.strengths.map((strength, place) => [strength, ...Object.keys(WAYS).map((way) => this.data[way][place].text)])];
    return h("section", { class: "all" },
      written ? this.details("Every continuation", rows) : "",
      ...Object.entries(WAYS).map(([way, [title]]) => this.details(`Every probability: ${title.toLowerCase()}`, () => this.rows(way).map((row) => row.filter((_, index) => index !== 3)))));
  }

  /** @param {number} room */
  signature(room) {
    const { text, direction, after } = this.data;
    return [{ text: clipped(`“${text}”, token ${this.data.position} moved along ${direction.name} ${after}; strength ${signedStrength(this.strength)} marked`, room) }, ...super.signature(room)];
  }

  foot() {
    return this.footOf(this.data.notes, "moving");
  }
}

/** @param {number} strength */
function signedStrength(strength) {
  return `${strength > 0 ? "+" : strength < 0 ? "−" : ""}${Number(Math.abs(strength).toFixed(3))}`;
}

/** A small amount with two digits that count. @param {number} value */
function small2(value) {
  return value && value < 0.095 ? value.toPrecision(1) : number(value);
}
