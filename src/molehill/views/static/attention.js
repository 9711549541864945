// @ts-check
/**
 * Who looks at whom: all heads at a glance, one head large, and the text itself with what a token
 * looks at and what looks at it.
 *
 * A plain ES module for any host: `render({model, el})` draws `model.get("data")` (the schemas
 * molehill.attention/1 and molehill.attention-head/1, see docs/howto/attention.md) into `el` and
 * returns its own cleanup. Where the host answers questions it asks for other heads' matrices
 * (`attention.head`) and for why a score is what it is (`why`); else it has those that came with
 * the data. Every text from the data becomes a text node.
 */

import {
  Page, barChart, clamp, clipped, h, minus, number, percent, rendering, s, scientific,
  sentenceCase, shown, signed, sized, small,
} from "./kit.js";

const render = rendering(() => View);
export default { render };

const WEIGH = { pattern: "attention", added: "what is added", toward: "along a direction" };
const FULL = { pattern: "share of attention", added: "length of what is added", toward: "what is added, along the direction" };
const LISTED = 6;
const ARCS = 8;
const WHY = 8;
/** The least cells that a zoomed picture shows. */
const CLOSEST = 8;
const KEYS = [
  ["← → ↑ ↓", "head to head, pair to pair, token to token (where the focus is)"],
  ["+ −", "closer, farther (large picture); so does the wheel, once it has been clicked"],
  ["0", "the whole picture"],
  ["[ ]", "head before, head after"],
  ["w", "change what the pictures weigh"],
  ["Esc", "back from the pair that is looked at to the pinned one"],
  ["?", "this list"],
];

class View extends Page {
  /** @param {any} data @param {import("./kit.js").Host} host */
  constructor(data, host) {
    super(data, host);
    this.count = data.pieces.length;
    this.subject = data.text;
    this.heads = new Map();
    for (const one of [...(data.heads ?? []), data.head]) this.heads.set(this.place(one), one);
    this.matrices = new Map();
    this.images = new Map();
    const at = data.toward.position;
    this.state = { ...this.state, head: this.place(data.head), by: data.values ? "small.pattern" : "", weigh: "pattern", query: at, key: 0, zoom: this.count, x: 0, y: 0 };
    this.state.key = this.most(this.whole("pattern"), at);
    this.notice = this.fromHash();
    /** @type {{query: number, key: number | null} | null} */
    this.over = null;
  }

  /** A head as one number. @param {{layer: number, head: number}} one */
  place(one) {
    return one.layer * this.data.heads_per_layer + one.head;
  }

  /** @param {number} place */
  name(place) {
    const { heads_per_layer: heads } = this.data;
    return `${Math.floor(place / heads)}.${place % heads}`;
  }

  build() {
    const parts = [this.header(), this.leadOf(this.data.summary), this.data.values ? this.glance() : "", this.large(), this.footOf(this.data.notes, "attention")];
    this.mount(...parts.filter(Boolean));
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.field);
    this.on(document, "keydown", (event) => this.anyKey(event));
    this.on(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.all());
    this.resized();
    this.bringHead();
  }

  halt() {
    super.halt();
    this.observer?.disconnect();
    clearTimeout(this.waiting);
    cancelAnimationFrame(this.frame ?? 0);
  }

  takers() {
    const { layers, heads_per_layer: heads } = this.data;
    const last = this.count - 1;
    return {
      head: (value) => this.take("head", value, 0, layers * heads - 1),
      by: (value) => this.glances().some(([name]) => name === value) && this.set("by", value),
      weigh: (value) => Object.hasOwn(WEIGH, value) && this.set("weigh", value),
      query: (value) => this.take("query", value, 0, last),
      key: (value) => this.take("key", value, 0, last),
      zoom: (value) => this.take("zoom", value, 1, this.count),
      x: (value) => this.take("x", value, 0, last),
      y: (value) => this.take("y", value, 0, last),
    };
  }

  resized() {
    const room = Math.max(220, Math.floor(this.field.clientWidth));
    if (room === this.room) return;
    this.room = room;
    this.all();
  }

  all() {
    this.over = null;
    this.bounded();
    this.syncControls();
    const { head, by, weigh, query, key, zoom, x, y } = this.state;
    const near = zoom < this.count ? [`zoom=${zoom}`, `x=${x}`, `y=${y}`] : [];
    this.writeHash([`head=${head}`, ...(by ? [`by=${by}`] : []), `weigh=${weigh}`, `query=${query}`, `key=${key}`, ...near]);
    this.say(() => `Head ${this.name(this.state.head)}. ${this.note.textContent}`);
  }

  /** The theme and the choices, and pictures in its colours. */
  syncControls() {
    super.syncControls();
    if (this.choice) this.choice.value = this.state.by;
    this.colours = this.inks();
    if (this.data.values) this.drawGlance();
    this.want();
  }

  // --- what is looked at -----------------------------------------------------------------------------

  /** Whether a query sees a key. @param {number} query @param {number} key */
  sees(query, key) {
    if (!this.data.causal) return true;
    const window = this.data.windows?.[Math.floor(this.state.head / this.data.heads_per_layer)] ?? null;
    return key <= query && (window === null || query - key < window);
  }

  /** Another head: from what is here, or asked of the host. */
  want() {
    const { head } = this.state;
    this.asking?.abort();
    clearTimeout(this.waiting);
    if (this.heads.has(head)) return this.drawHead();
    if (!this.asks) return this.lacking();
    this.busy(true);
    // Keys that are held down pass over many heads.
    this.waiting = setTimeout(() => this.fetch(head), 60);
  }

  /** @param {number} place */
  async fetch(place) {
    const mine = new AbortController();
    this.asking = mine;
    const { heads_per_layer: heads, toward, text } = this.data;
    const layer = Math.floor(place / heads);
    try {
      const found = await this.ask("attention.head", { text, layer, head: place % heads, toward: toward.word, position: toward.position }, { signal: mine.signal });
      this.heads.set(place, found.head);
      if (this.state.head === place) this.drawHead();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.said(`Head ${this.name(place)} could not be had: ${error.message}`);
    }
  }

  /** @param {boolean} waiting */
  busy(waiting) {
    this.field.setAttribute("aria-busy", String(waiting));
    this.title.textContent = `Head ${this.name(this.state.head)}${waiting ? " …" : ""}`;
  }

  /** A page on a disk has one head's matrices where the text is long. */
  lacking() {
    const [layer, head] = this.name(this.state.head).split(".");
    this.said(`This page does not hold the matrices of head ${layer}.${head}: make one with --layer ${layer} --head ${head}, or use molehill explore.`);
  }

  /** Nothing to draw, and why. @param {string} text */
  said(text) {
    this.busy(false);
    this.field.classList.add("empty");
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.plane.replaceChildren();
    this.note.textContent = text;
    this.lists.replaceChildren();
    this.whyBox.replaceChildren();
    this.shade(null);
  }

  /** @returns {any} the chosen head, if its matrices are here */
  get one() {
    return this.heads.get(this.state.head);
  }

  /** A weighting of the chosen head, row after row. @param {string} weigh @returns {Float32Array} */
  whole(weigh) {
    const name = `${this.state.head} ${weigh}`;
    if (!this.matrices.has(name)) {
      if (this.matrices.size > 11) this.matrices.clear();
      this.matrices.set(name, this.unpacked(weigh));
    }
    return this.matrices.get(name);
  }

  /** @param {string} weigh */
  unpacked(weigh) {
    const { one, count } = this;
    if (weigh !== "added") return unpack(halves(one[weigh].halves), count, this.data.causal, one[weigh].scale);
    const made = Float32Array.from(this.whole("pattern"));
    for (let query = 0, at = 0; query < count; query += 1) {
      const by = one.divisors?.[query] ?? 1;
      for (let key = 0; key < count; key += 1, at += 1) made[at] *= one.sizes[key] / by;
    }
    return made;
  }

  /** The key of a query's largest entry. @param {Float32Array} matrix @param {number} query */
  most(matrix, query) {
    let best = query * this.count;
    for (let at = best; at < (query + 1) * this.count; at += 1) if (Math.abs(matrix[at]) > Math.abs(matrix[best])) best = at;
    return best - query * this.count;
  }

  /** A number of the chosen weighting in words. @param {number} value */
  told(value, weigh = this.state.weigh) {
    if (weigh === "pattern") return percent(value);
    if (value && Math.abs(value) < 0.005) return `${weigh === "toward" && value > 0 ? "+" : ""}${minus(value.toPrecision(1))}`;
    return weigh === "added" ? number(value) : signed(value);
  }

  /** What is looked at: under the pointer, else what is pinned. */
  get look() {
    return this.over ?? { query: this.state.query, key: this.state.key };
  }

  /** Look at a pair without pinning it; drawn once a frame. @param {{query: number, key: number | null} | null} pair */
  hover(pair) {
    this.over = pair;
    cancelAnimationFrame(this.frame ?? 0);
    this.frame = requestAnimationFrame(() => this.one && this.drawLook());
  }

  /** @param {Record<string, number>} pair */
  pin(pair) {
    this.whyAsked?.abort();
    this.change(pair);
  }

  header() {
    const made = this.data.provenance;
    const help = this.helpOf(KEYS, "The address holds what you see: copy it to come back.");
    return h("header", {},
      h("div", {}, h("h1", {}, "Attention"),
        h("p", { class: "sub" }, `who looks at whom, in every head · ${made.model}, ${made.dtype}`)),
      h("div", { class: "tools" }, this.themeSwitch(), help));
  }

  /** @param {KeyboardEvent} event */
  anyKey(event) {
    const target = /** @type {HTMLElement} */ (event.composedPath()[0]);
    if (target.closest?.("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { layers, heads_per_layer: heads } = this.data;
    const names = Object.keys(WEIGH);
    if (event.key === "?") this.dialog.showModal();
    else if (event.key === "[" || event.key === "]") this.change({ head: clamp(this.state.head + (event.key === "]" ? 1 : -1), 0, layers * heads - 1) });
    else if (event.key === "w") this.change({ weigh: names[(names.indexOf(this.state.weigh) + 1) % names.length] });
    else if (event.key === "Escape" && this.over) this.hover(null);
  }

  // --- all heads -------------------------------------------------------------------------------------

  /** What a glance can show: a name and a title each. @returns {string[][]} */
  glances() {
    if (!this.data.values) return [];
    return [...Object.keys(WEIGH).map((name) => [`small.${name}`, sentenceCase(this.weighs(name))]), ...this.data.measures.map((one) => [one.name, sentenceCase(one.title)])];
  }

  /** @param {string} weigh */
  weighs(weigh) {
    const { piece } = this.data.toward;
    return weigh === "toward" ? `what is added, ${piece ? `toward ${named(piece)}` : "along each token’s own move"}` : FULL[weigh];
  }

  glance() {
    this.choice = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "What the squares show" },
      h("optgroup", { label: "A small picture of each head" }, this.glances().filter(([name]) => name.startsWith("small.")).map(([value, text]) => h("option", { value }, text))),
      h("optgroup", { label: "One number for each head" }, this.glances().filter(([name]) => !name.startsWith("small.")).map(([value, text]) => h("option", { value }, text)))));
    this.on(this.choice, "change", () => {
      const by = this.choice.value;
      this.change({ by, ...(by.startsWith("small.") ? { weigh: by.slice(6) } : {}) });
    });
    this.grid = s("svg", { class: "heads", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown" });
    this.around = h("div", { class: "frame scroll" }, this.grid);
    this.on(this.around, "scroll", () => this.stick(this.around, this.rows));
    this.on(this.grid, "click", (event) => this.change({ head: this.headAt(event) }));
    this.on(this.grid, "keydown", (event) => this.headKey(event));
    this.glanceNote = h("p", { class: "caption" });
    this.told2 = h("div", { class: "side" });
    return h("section", { class: "stage" },
      h("div", { class: "picture" },
        h("div", { class: "controls" }, h("h2", {}, "All heads"), this.choice, this.exports("heads", () => {
          this.around.scrollLeft = 0;
          this.stick(this.around, this.rows);
          return this.grid;
        }, () => this.measureRows())),
        this.around, this.glanceNote,
        this.details("All heads and measures as a table", () => this.measureRows())),
      this.told2);
  }

  /** @param {MouseEvent} event */
  headAt(event) {
    const box = this.grid.getBoundingClientRect();
    const { cell, tall, left, top } = this.scale;
    const { layers, heads_per_layer: heads } = this.data;
    const layer = clamp(Math.floor((event.clientX - box.left - left) / cell), 0, layers - 1);
    return layer * heads + clamp(Math.floor((event.clientY - box.top - top) / tall), 0, heads - 1);
  }

  /** @param {KeyboardEvent} event */
  headKey(event) {
    const move = arrows(event);
    if (!move) return;
    event.preventDefault();
    const { layers, heads_per_layer: heads } = this.data;
    const layer = clamp(Math.floor(this.state.head / heads) + move[0], 0, layers - 1);
    this.change({ head: layer * heads + clamp((this.state.head % heads) + move[1], 0, heads - 1) });
    this.bringHead();
  }

  bringHead() {
    if (this.data.values) this.bring(this.around, this.scale.left + Math.floor(this.state.head / this.data.heads_per_layer) * this.scale.cell, this.scale.cell, this.scale.left);
  }

  drawGlance() {
    const { layers, heads_per_layer: heads } = this.data;
    const pictures = this.state.by.startsWith("small.");
    const room = Math.max(220, Math.floor(this.around.clientWidth));
    const [left, top] = [30, 2];
    // As large as there is room for, and never so tall that the rest of the page is out of sight.
    const most = Math.min(150, Math.floor(560 / heads));
    const cell = clamp(Math.floor((room - left - 2) / layers), pictures ? 22 : 18, Math.max(22, pictures ? most : 96));
    const tall = pictures ? cell : clamp(Math.round(cell * 0.8), 18, 30);
    this.scale = { cell, tall, left, top };
    const [width, height] = [left + cell * layers + 2, top + tall * heads + 34];
    sized(this.grid, width, height);
    const every = Math.max(1, Math.ceil(22 / cell));
    const numbers = Array.from({ length: layers }, (_, layer) => (layer % every ? null : s("text", { class: "axis", x: left + (layer + 0.5) * cell, y: height - 18, "text-anchor": "middle" }, String(layer))));
    this.rows = s("g", {}, s("rect", { class: "cover", width: left, height }),
      Array.from({ length: heads }, (_, head) => s("text", { class: "axis", x: left - 8, y: top + (head + 0.5) * tall, dy: "0.35em", "text-anchor": "end" }, String(head))),
      s("text", { class: "axis", x: left - 2, y: height - 3, "text-anchor": "end" }, "head"));
    const title = this.glances().find(([name]) => name === this.state.by)?.[1] ?? "";
    const inside = pictures ? this.mosaic(this.state.by.slice(6)) : this.cells();
    const [layer, head] = this.name(this.state.head).split(".").map(Number);
    const chosen = s("rect", { class: "chosen", x: left + layer * cell, y: top + head * tall, width: cell, height: tall, rx: 2 });
    this.grid.replaceChildren(s("title", {}, `${title}, by head`), ...inside, chosen, ...numbers.filter(Boolean),
      s("text", { class: "axis", x: left + (layers * cell) / 2, y: height - 3, "text-anchor": "middle" }, "layer"), this.rows);
    this.grid.setAttribute("aria-label", `${title}: ${layers} layers of ${heads} heads; chosen: head ${this.name(this.state.head)}`);
    this.stick(this.around, this.rows);
    this.drawTold();
  }

  /** One number a head. */
  cells() {
    const { by } = this.state;
    const measure = this.data.measures.find((one) => one.name === by);
    const values = this.data.values[by];
    const { cell, tall, left, top } = this.scale;
    const largest = measure.unit === "share" ? 1 : Math.max(1e-9, ...values.flat().map((value) => Math.abs(value ?? 0)));
    this.glanceNote.textContent = `${measure.told} ${measure.unit === "share" ? "The deepest colour is 100%." : `The deepest colour is ${this.measured(measure, largest)}.`}${measure.signed ? " Blue: along it; orange with a bar: against it." : ""}`;
    return values.flatMap((row, layer) => row.map((value, head) => {
      const [x, y] = [left + layer * cell, top + head * tall];
      const less = (value ?? 0) < 0;
      return s("g", {},
        s("rect", { class: less ? "cell less" : "cell more", x: x + 1, y: y + 1, width: cell - 2, height: tall - 2, rx: 2, "fill-opacity": (0.05 + 0.8 * Math.sqrt(Math.abs(value ?? 0) / largest)).toFixed(3) },
          s("title", {}, `head ${layer}.${head}: ${this.measured(measure, value)}`)),
        less && Math.abs(value) > 0.02 * largest ? s("line", { class: "minus", x1: x + 3, x2: x + cell - 3, y1: y + tall - 4, y2: y + tall - 4 }) : null);
    }));
  }

  /** A small picture of each head, all in one image. @param {string} weigh */
  mosaic(weigh) {
    const { layers, heads_per_layer: heads, small: kept } = this.data;
    const { cell, tall, left, top } = this.scale;
    const name = `mosaic ${weigh} ${this.colours.name}`;
    if (!this.images.has(name)) this.images.set(name, this.mosaicOf(weigh));
    const lines = [
      ...Array.from({ length: layers + 1 }, (_, at) => s("line", { class: "gap", x1: left + at * cell, x2: left + at * cell, y1: top, y2: top + heads * tall })),
      ...Array.from({ length: heads + 1 }, (_, at) => s("line", { class: "gap", x1: left, x2: left + layers * cell, y1: top + at * tall, y2: top + at * tall })),
    ];
    const largest = Math.max(...kept[weigh].scales);
    const pool = kept.cell > 1 ? ` Each point is the largest of ${kept.cell} × ${kept.cell} pairs.` : "";
    this.glanceNote.textContent = `Each square: one head; down, the tokens that look; across, those that are looked at. ${sentenceCase(this.weighs(weigh))}, by the square root; the deepest colour is ${weigh === "pattern" ? "100%" : this.told(largest, weigh)}.${weigh === "toward" ? " Blue: along it; orange: against it." : ""}${pool}`;
    return [s("image", { href: this.images.get(name), x: left, y: top, width: layers * cell, height: heads * tall, preserveAspectRatio: "none", "image-rendering": "pixelated" }), ...lines];
  }

  /** @param {string} weigh */
  mosaicOf(weigh) {
    const { layers, heads_per_layer: heads, causal, small: { side, [weigh]: kept } } = this.data;
    const raw = bytes(kept.pictures);
    const numbers = kept.signed ? new Int8Array(raw.buffer) : raw;
    const each = causal ? (side * (side + 1)) / 2 : side * side;
    const top = weigh === "pattern" ? 1 : Math.max(1e-12, ...kept.scales);
    const pixels = new ImageData(layers * side, heads * side);
    const ink = new Uint32Array(pixels.data.buffer).fill(this.colours.none);
    for (let layer = 0; layer < layers; layer += 1) {
      for (let head = 0; head < heads; head += 1) {
        const own = layer * heads + head;
        const scale = Math.sqrt(kept.scales[own] / top) / (kept.signed ? 127 : 255);
        for (let row = 0, at = own * each; row < side; row += 1) {
          for (let column = 0; column < (causal ? row + 1 : side); column += 1, at += 1) {
            ink[(head * side + row) * layers * side + layer * side + column] = this.colours.ink(numbers[at] * scale);
          }
        }
      }
    }
    const made = /** @type {HTMLCanvasElement} */ (h("canvas", { width: pixels.width, height: pixels.height }));
    made.getContext("2d")?.putImageData(pixels, 0, 0);
    return made.toDataURL();
  }

  /** @param {any} measure @param {number | null} value */
  measured(measure, value) {
    if (value === null || value === undefined) return "nothing to measure";
    if (measure.unit === "share") return percent(value);
    if (measure.signed) return signed(value);
    return measure.unit === "length" ? number(value) : `${number(value)} ${measure.unit}`;
  }

  /** The chosen head's measures with its place among all, and the heads that have most of one. */
  drawTold() {
    const { layers, heads_per_layer: heads, measures, values } = this.data;
    const [layer, head] = this.name(this.state.head).split(".").map(Number);
    const list = measures.map((one) => {
      const own = values[one.name][layer][head];
      const above = values[one.name].flat().filter((value) => value !== null && own !== null && Math.abs(value) > Math.abs(own)).length;
      return h("tr", {}, h("th", { scope: "row" }, one.title), h("td", { class: "figure" }, this.measured(one, own)), h("td", { class: "figure" }, own === null ? "" : `no. ${above + 1}`));
    });
    const by = this.state.by.startsWith("small.") ? "toward" : this.state.by;
    const measure = measures.find((one) => one.name === by);
    const best = Array.from({ length: layers * heads }, (_, place) => ({ place, value: values[by][Math.floor(place / heads)][place % heads] }))
      .filter((one) => one.value !== null).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, LISTED);
    const largest = Math.max(1e-9, ...best.map((one) => Math.abs(one.value)));
    this.told2.replaceChildren(
      h("h2", {}, `Most of: ${measure.title}`),
      this.bars(best.map(({ place, value }) => ({ name: `head ${this.name(place)}`, value, share: Math.abs(value) / largest, told: this.measured(measure, value), act: () => this.change({ head: place }), on: place === this.state.head }))),
      h("h2", { class: "next" }, `Head ${layer}.${head}, of ${(layers * heads).toLocaleString("en")}`),
      h("table", { class: "own" }, h("tbody", {}, list)));
  }

  /** @param {{name: string, value: number, share: number, told: string, act: () => void, on?: boolean}[]} entries */
  bars(entries) {
    return h("ul", { class: "bars" }, entries.map((one) => {
      const bar = h("span", { class: one.value < 0 ? "bar back" : "bar" });
      bar.style.width = `${100 * one.share}%`;
      return h("li", {}, this.button(one.name, one.act, { class: `quiet${one.on ? " on" : ""}`, dir: "auto", "aria-pressed": String(Boolean(one.on)) }), h("span", { class: "track" }, bar), h("span", { class: "value" }, one.told));
    }));
  }

  measureRows() {
    const { measures, values, layers, heads_per_layer: heads } = this.data;
    return [["layer", "head", ...measures.map((one) => one.title)],
      ...Array.from({ length: layers * heads }, (_, place) => [Math.floor(place / heads), place % heads, ...measures.map((one) => values[one.name][Math.floor(place / heads)][place % heads])])];
  }

  // --- one head, large -------------------------------------------------------------------------------

  large() {
    this.title = h("h2", {});
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { "aria-hidden": "true" }));
    this.plane = s("svg", { class: "plane", tabindex: 0, role: "img", "aria-keyshortcuts": "ArrowLeft ArrowRight ArrowUp ArrowDown + - 0" });
    this.field = h("div", { class: "field" }, this.canvas, this.plane);
    this.note = h("p", { class: "told" });
    this.largeNote = h("p", { class: "caption" });
    this.lists = h("div", {});
    this.whyBox = h("div", { class: "whybox" });
    this.zoomed = h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      this.button("−", () => this.zoom(2), { "aria-label": "Farther" }), this.button("+", () => this.zoom(0.5), { "aria-label": "Closer" }), this.button("Whole", () => this.change({ zoom: this.count, x: 0, y: 0 })));
    this.listen2();
    const weigh = Object.fromEntries(Object.entries(WEIGH).map(([name, text]) => [name, sentenceCase(name === "toward" && this.data.toward.piece ? `toward ${named(this.data.toward.piece)}` : text)]));
    return h("section", { class: "large" },
      h("div", { class: "controls" }, this.title, this.segments("weigh", "What is weighed", weigh)),
      this.reading(),
      h("div", { class: "stage" },
        h("div", { class: "picture" },
          h("div", { class: "controls" }, h("h3", {}, "Every pair"), this.count > CLOSEST ? this.zoomed : "", this.exports("head", () => this.pictured(), () => this.pairRows())),
          this.field, this.note, this.largeNote,
          this.details("The chosen token's keys as a table", () => this.keyRows())),
        h("div", { class: "side" }, this.lists, this.whyBox)));
  }

  listen2() {
    const { plane } = this;
    this.on(plane, "pointermove", (event) => (this.drag ? this.dragged(event) : this.hover(this.pairAt(event))));
    this.on(plane, "pointerleave", () => this.hover(null));
    this.on(plane, "pointerdown", (event) => {
      if (this.state.zoom < this.count && event.button === 0) this.drag = { from: event, x: this.state.x, y: this.state.y, moved: false };
    });
    this.on(plane, "pointerup", () => this.drag?.moved && setTimeout(() => { this.drag = null; }));
    this.on(plane, "click", (event) => {
      const [moved, pair] = [this.drag?.moved, this.pairAt(event)];
      this.drag = null;
      if (pair && !moved) this.pin(pair);
    });
    this.on(plane, "dblclick", (event) => this.zoom(0.5, this.pairAt(event)));
    this.on(plane, "wheel", (event) => {
      // A page is scrolled past a picture; once it has the focus, the wheel is the picture's.
      if (!(event.ctrlKey || event.metaKey || plane.matches(":focus")) || this.count <= CLOSEST) return;
      event.preventDefault();
      this.zoom(1.0015 ** clamp(event.deltaY, -400, 400), this.pairAt(event));
    }, { passive: false });
    this.on(plane, "keydown", (event) => this.planeKey(event));
  }

  /** @param {PointerEvent} event */
  dragged(event) {
    const { from, x, y } = this.drag;
    const { cell } = this.frameOf;
    const [dx, dy] = [Math.round((from.clientX - event.clientX) / cell), Math.round((from.clientY - event.clientY) / cell)];
    if (!dx && !dy && !this.drag.moved) return;
    this.drag.moved = true;
    this.change({ x: x + dx, y: y + dy });
  }

  /** @param {KeyboardEvent} event */
  planeKey(event) {
    const move = arrows(event);
    const size = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    const last = this.count - 1;
    if (move) {
      const query = clamp(this.state.query + move[1], 0, last);
      this.pin({ query, key: clamp(this.state.key + move[0], 0, this.data.causal ? query : last) });
      this.reveal();
    } else if (size && !event.ctrlKey && !event.metaKey) this.zoom(size);
    else if (event.key === "0") this.change({ zoom: this.count, x: 0, y: 0 });
    else return;
    event.preventDefault();
  }

  /** Closer or farther, around a pair. @param {number} by @param {{query: number, key: number} | null} [around] */
  zoom(by, around = null) {
    const { zoom, x, y, query, key } = this.state;
    const size = clamp(Math.round(zoom * by) === zoom ? zoom + Math.sign(by - 1) : Math.round(zoom * by), Math.min(CLOSEST, this.count), this.count);
    const at = around ?? { query, key };
    // What is under the pointer stays there; the pinned pair comes to the middle.
    const [right, down] = around ? [(at.key - x) / zoom, (at.query - y) / zoom] : [0.5, 0.5];
    this.change({ zoom: size, x: Math.round(at.key - right * size), y: Math.round(at.query - down * size) });
  }

  /** The window stays inside the picture. */
  bounded() {
    const { state, count } = this;
    state.zoom = clamp(state.zoom, Math.min(CLOSEST, count), count);
    state.x = clamp(state.x, 0, count - state.zoom);
    state.y = clamp(state.y, 0, count - state.zoom);
    if (this.data.causal && state.key > state.query) state.key = state.query;
  }

  /** The pinned pair, into the window. */
  reveal() {
    const { query, key, zoom, x, y } = this.state;
    const to = { x: clamp(x, key - zoom + 1, key), y: clamp(y, query - zoom + 1, query) };
    if (to.x !== x || to.y !== y) this.change(to);
  }

  /** @param {MouseEvent} event */
  pairAt(event) {
    const box = this.plane.getBoundingClientRect();
    const { left, top, cell } = this.frameOf;
    const [key, query] = [Math.floor((event.clientX - box.left - left) / cell) + this.state.x, Math.floor((event.clientY - box.top - top) / cell) + this.state.y];
    const { x, y, zoom } = this.state;
    return key < x || query < y || key >= x + zoom || query >= y + zoom ? null : { query, key };
  }

  drawHead() {
    this.field.classList.remove("empty");
    this.busy(false);
    const { zoom } = this.state;
    const named = this.room / zoom > 17;
    const [left, top] = named ? [Math.min(96, Math.round(this.room * 0.22)), 64] : [34, 20];
    const across = Math.min(this.room - left - (named ? 28 : 2), Math.max(320, zoom * 44), 720);
    this.frameOf = { left, top, across, cell: across / zoom, named };
    sized(this.plane, Math.min(this.room, left + across + 30), top + across + 3);
    this.canvas.style.left = `${left}px`;
    this.canvas.style.top = `${top}px`;
    this.canvas.style.width = this.canvas.style.height = `${across}px`;
    this.plane.style.touchAction = zoom < this.count ? "none" : "auto";
    this.paint();
    this.drawLook();
    this.drawWhy();
    this.showToken();
  }

  /** The window's pairs on the canvas; where a point has several, it shows the largest. */
  paint() {
    const { across } = this.frameOf;
    const points = Math.round(across * Math.min(2, devicePixelRatio || 1));
    const { x, y, zoom, weigh, head } = this.state;
    const cell = Math.ceil(zoom / points);
    const name = `${head} ${weigh} ${cell} ${this.colours.name}`;
    if (!this.images.has(name)) {
      if (this.images.size > 24) this.images.clear();
      this.images.set(name, this.imageOf(cell));
    }
    Object.assign(this.canvas, { width: points, height: points });
    const brush = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    brush.imageSmoothingEnabled = false;
    brush.drawImage(this.images.get(name), x / cell, y / cell, zoom / cell, zoom / cell, 0, 0, points, points);
    const top = weigh === "pattern" ? "100%" : this.told(this.top(weigh), weigh);
    const pool = cell > 1 ? ` Each point is the largest of ${cell} × ${cell} pairs; come closer to see each.` : "";
    const near = zoom < this.count ? ` Shown: ${zoom} × ${zoom} of ${this.count} × ${this.count} pairs.` : "";
    const dark = this.data.causal ? " What a token does not see is grey." : "";
    this.largeNote.textContent = `Down: the token that looks. Across: the one that is looked at. ${sentenceCase(this.weighs(weigh))}; the colour goes by the square root, and the deepest is ${top}.${weigh === "toward" ? " Blue: along it; orange: against it." : ""}${dark}${pool}${near}`;
  }

  /** The largest entry of a weighting. @param {string} weigh */
  top(weigh) {
    if (weigh === "pattern") return 1;
    let top = 1e-12;
    for (const value of this.whole(weigh)) if (Math.abs(value) > top) top = Math.abs(value);
    return top;
  }

  /** All pairs as an image, the largest of each square of `cell` rows and columns. @param {number} cell */
  imageOf(cell) {
    const { count } = this;
    const matrix = this.whole(this.state.weigh);
    const top = this.top(this.state.weigh);
    const side = Math.ceil(count / cell);
    const pixels = new ImageData(side, side);
    const ink = new Uint32Array(pixels.data.buffer).fill(this.colours.none);
    const best = new Float32Array(side * side);
    for (let query = 0; query < count; query += 1) {
      const row = Math.floor(query / cell) * side;
      for (let key = 0; key < count; key += 1) {
        if (!this.sees(query, key)) continue;
        const at = row + Math.floor(key / cell);
        const value = matrix[query * count + key];
        if (Math.abs(value) < Math.abs(best[at])) continue;
        best[at] = value;
        ink[at] = this.colours.ink(Math.sign(value) * Math.sqrt(Math.abs(value) / top));
      }
    }
    const made = /** @type {HTMLCanvasElement} */ (h("canvas", { width: side, height: side }));
    made.getContext("2d")?.putImageData(pixels, 0, 0);
    return made;
  }

  /** The picture for keeping: the canvas goes into the drawing as long as it is copied. */
  pictured() {
    const { left, top, across } = this.frameOf;
    const image = s("image", { href: this.canvas.toDataURL(), x: left, y: top, width: across, height: across, "image-rendering": "pixelated" });
    this.plane.prepend(image);
    setTimeout(() => image.remove());
    return this.plane;
  }

  /** What goes with the pair that is looked at: marks on the picture, words, lists, the text. */
  drawLook() {
    const { query, key } = this.look;
    const { left, top, across, cell, named } = this.frameOf;
    const { x, y, zoom, weigh } = this.state;
    const right = (at) => left + (at - x) * cell;
    const down = (at) => top + (at - y) * cell;
    const inside = (at, from) => at >= from && at < from + zoom;
    const marks = [s("rect", { class: "edge", x: left, y: top, width: across, height: across })];
    if (inside(query, y)) marks.push(s("rect", { class: "line", x: left, y: down(query), width: across, height: cell }));
    if (key !== null && inside(key, x)) marks.push(s("rect", { class: "line", x: right(key), y: top, width: cell, height: across }));
    const pinned = this.state;
    if (inside(pinned.query, y) && inside(pinned.key, x)) marks.push(s("rect", { class: "pinned", x: right(pinned.key) - 1, y: down(pinned.query) - 1, width: cell + 2, height: cell + 2 }));
    this.plane.replaceChildren(s("title", {}, `Head ${this.name(pinned.head)}: ${this.weighs(weigh)}`), ...marks, ...(named ? this.names(query, key) : this.ticks(query, key)));
    this.describe(query, key);
    this.drawLists(query);
    this.shade(query);
  }

  /** Every token's name beside its row and above its column. @param {number} query @param {number | null} key */
  names(query, key) {
    const { left, top, cell } = this.frameOf;
    const { x, y, zoom } = this.state;
    const letters = Math.floor((left - 10) / 6.8);
    return Array.from({ length: zoom }, (_, at) => [
      s("text", { class: y + at === query ? "axis chosen" : "axis", x: left - 7, y: top + (at + 0.5) * cell, dy: "0.35em", "text-anchor": "end" }, clipped(shown(this.data.pieces[y + at]), letters)),
      s("text", { class: x + at === key ? "axis chosen" : "axis", transform: `translate(${left + (at + 0.5) * cell + 4},${top - 6}) rotate(-60)` }, clipped(shown(this.data.pieces[x + at]), 9)),
    ]).flat();
  }

  /** Positions, where names have no room. @param {number} query @param {number | null} key */
  ticks(query, key) {
    const { left, top, across, cell } = this.frameOf;
    const { x, y, zoom } = this.state;
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find((size) => size * cell >= 46) ?? 1000;
    const made = [];
    for (let at = 0; at < this.count; at += step) {
      if (at >= y && at < y + zoom) made.push(s("text", { class: "axis", x: left - 5, y: clamp(top + (at - y + 0.5) * cell, top + 5, top + across), dy: "0.35em", "text-anchor": "end" }, String(at)));
      if (at >= x && at < x + zoom) made.push(s("text", { class: "axis", x: Math.max(left + 4, left + (at - x + 0.5) * cell), y: top - 6, "text-anchor": "middle" }, String(at)));
    }
    return made;
  }

  /** @param {number} query @param {number | null} key */
  describe(query, key) {
    const { pieces, toward } = this.data;
    const from = h("b", { dir: "auto" }, `${named(pieces[query])} (${query})`);
    if (key === null) {
      this.note.replaceChildren("From ", from, ": all that it looks at is shaded in the text.");
    } else if (!this.sees(query, key)) {
      this.note.replaceChildren(from, ` does not see ${named(pieces[key])} (${key}).`);
    } else {
      const at = query * this.count + key;
      const [share, added, along] = Object.keys(WEIGH).map((name) => this.told(this.whole(name)[at], name));
      this.note.replaceChildren(from, ` gives ${named(pieces[key])} (${key}) `, h("b", {}, share), ` of its attention; a vector of length `, h("b", {}, added), " is added from there, ", h("b", {}, along), toward.piece ? ` toward ${named(toward.piece)}.` : " along its own move.");
    }
    this.plane.setAttribute("aria-label", `Head ${this.name(this.state.head)}, ${this.count} by ${this.count} tokens. ${this.note.textContent}`);
  }

  /** What a token looks at, and what looks at it. @param {number} query */
  drawLists(query) {
    const matrix = this.whole(this.state.weigh);
    const { count, data } = this;
    const row = Array.from({ length: count }, (_, key) => ({ at: key, value: matrix[query * count + key] })).filter((one) => this.sees(query, one.at));
    const column = Array.from({ length: count }, (_, from) => ({ at: from, value: matrix[from * count + query] })).filter((one) => one.at !== query && this.sees(one.at, query));
    const bars = (list, act) => {
      const kept = list.filter((one) => one.value).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, LISTED);
      const largest = this.state.weigh === "pattern" ? 1 : Math.max(1e-12, ...kept.map((one) => Math.abs(one.value)));
      const left = list.length - kept.length;
      const rest = list.reduce((sum, one) => sum + one.value, 0) - kept.reduce((sum, one) => sum + one.value, 0);
      return [this.bars(kept.map(({ at, value }) => ({ name: `${clipped(shown(data.pieces[at]), 18)} (${at})`, value, share: Math.abs(value) / largest, told: this.told(value), act: () => act(at) }))),
        left > 0 && list === row && this.state.weigh !== "added" ? small(`${left.toLocaleString("en")} more: ${this.told(rest)} together.`) : left > 0 ? small(`${left.toLocaleString("en")} more.`) : ""];
    };
    const piece = `${named(data.pieces[query])} (${query})`;
    this.lists.replaceChildren(
      h("h2", { dir: "auto" }, `What ${piece} looks at`), ...bars(row, (key) => this.pin({ query, key })),
      h("h2", { class: "next", dir: "auto" }, `What looks at ${piece}`),
      ...(column.length ? bars(column, (from) => this.pin({ query: from, key: query })) : [small("Nothing after it does.")]));
  }

  keyRows() {
    if (!this.one) return [["key", "token"]];
    const { query } = this.state;
    return [["key", "token", ...Object.values(FULL)], ...this.pairRows().slice(1).filter((row) => row[0] === query).map((row) => row.slice(2))];
  }

  pairRows() {
    const { count } = this;
    const rows = [["query", "looks", "key", "is looked at", ...Object.values(FULL)]];
    if (!this.one) return rows;
    const all = Object.keys(WEIGH).map((name) => this.whole(name));
    for (let query = 0; query < count; query += 1) {
      for (let key = 0; key < count; key += 1) {
        if (this.sees(query, key)) rows.push([query, this.data.pieces[query], key, this.data.pieces[key], ...all.map((matrix) => Number(matrix[query * count + key].toPrecision(4)))]);
      }
    }
    return rows;
  }

  // --- why -------------------------------------------------------------------------------------------

  /** What can be asked of the pinned pair. */
  drawWhy() {
    const { query, key, head } = this.state;
    const { pieces, text, heads_per_layer: heads } = this.data;
    const inputs = { text, query, key, layer: Math.floor(head / heads), head: head % heads };
    const between = `${named(pieces[query])} → ${named(pieces[key])}`;
    this.whyAsked?.abort();
    const split = this.asks ? this.button("Split the score", () => this.splitScore(inputs)) : "";
    const open = this.opens ? this.button("Open it", () => this.open("why", inputs)) : "";
    this.whyFound = h("div", { role: "status" });
    this.whyBox.replaceChildren(h("h2", { class: "next", dir: "auto" }, `Why ${between}?`),
      split || open ? h("div", { class: "choose" }, split, open) : small(`molehill why TEXT --query ${query} --key ${key} --layer ${inputs.layer} --head ${inputs.head}`),
      this.whyFound);
  }

  /** @param {Record<string, any>} inputs */
  async splitScore(inputs) {
    this.whyAsked?.abort();
    const mine = new AbortController();
    this.whyAsked = mine;
    const found = this.whyFound;
    found.replaceChildren(small("The score is being taken apart …"));
    try {
      const { chosen } = await this.ask("why", inputs, { signal: mine.signal });
      const width = Math.max(220, Math.floor(this.whyBox.clientWidth));
      const side = (name, what) => {
        const chart = s("svg", { class: "sums", role: "img" });
        const { entries, rest, rest_count: count } = chosen[name].groups.component;
        const more = count + Math.max(0, entries.length - WHY);
        const together = rest + entries.slice(WHY).reduce((sum, one) => sum + (one.value ?? 0), 0);
        barChart(chart, entries.slice(0, WHY), width, what);
        return [h("h3", {}, what), chart, more ? small(`${more.toLocaleString("en")} more: ${signed(together)} together.`) : ""];
      };
      found.replaceChildren(
        h("p", {}, "Score ", h("b", {}, number(chosen.score)), ` before the softmax, ${percent(chosen.weight)} after it; either list adds up to it, to within ${scientific(chosen.closing_error)}.`),
        ...side("query", "What asked: parts of the token that looks"), ...side("key", "What answered: parts of the one looked at"));
    } catch (error) {
      if (error.name !== "AbortError") found.replaceChildren(small(error.message));
    }
  }

  // --- the text --------------------------------------------------------------------------------------

  reading() {
    const spaced = this.data.pieces.some((piece) => piece.startsWith("·"));
    this.tokens = this.data.pieces.map((piece, position) => h("span", { class: "tok", "data-at": position }, piece.replace(/^·/, "").replace(/^##/, "") || " "));
    const flow = this.data.pieces.map((piece, position) => {
      const space = spaced ? piece.startsWith("·") : position > 0 && !piece.startsWith("##");
      return [space ? " " : "", this.tokens[position], /⏎/.test(piece) ? h("br") : ""];
    });
    this.arcs = s("svg", { class: "arcs", "aria-hidden": "true" });
    this.flow = h("div", { class: this.count > 60 ? "flow long" : "flow", tabindex: 0, role: "group", "aria-label": "The text: arrow keys choose the token that looks", "aria-keyshortcuts": "ArrowLeft ArrowRight" }, this.arcs, h("p", { dir: "auto" }, flow));
    const at = (event) => /** @type {HTMLElement} */ (event.target).closest?.("[data-at]")?.getAttribute("data-at") ?? null;
    this.on(this.flow, "pointerover", (event) => {
      const place = at(event);
      if (place !== null) this.hover({ query: Number(place), key: null });
    });
    this.on(this.flow, "pointerleave", () => this.hover(null));
    this.on(this.flow, "click", (event) => {
      const place = at(event);
      if (place !== null) this.look2(Number(place));
    });
    this.on(this.flow, "keydown", (event) => {
      const move = arrows(event);
      if (!move?.[0] || move[1]) return;
      event.preventDefault();
      this.look2(clamp(this.state.query + move[0], 0, this.count - 1));
    });
    return [this.flow,
      h("p", { class: "caption" }, "Point at a token: blue is what it looks at, the deeper the more, with lines to what it looks at most; underlined in orange is what looks at it. A click keeps it.")];
  }

  /** Pin a token that looks, and what it looks at most. @param {number} query */
  look2(query) {
    this.pin(this.one ? { query, key: this.most(this.whole(this.state.weigh), query) } : { query });
  }

  /** Shade the text for one token. @param {number | null} query */
  shade(query) {
    const { count, tokens } = this;
    if (query === null) {
      for (const token of tokens) token.removeAttribute("style");
      return this.arcs.replaceChildren();
    }
    const matrix = this.whole(this.state.weigh);
    const top = this.state.weigh === "pattern" ? 1 : this.top(this.state.weigh);
    const row = [];
    for (let at = 0; at < count; at += 1) {
      const out = matrix[query * count + at];
      const back = matrix[at * count + query];
      if (out) row.push({ at, value: out });
      tokens[at].style.setProperty("--weight", `${(70 * Math.sqrt(Math.abs(out) / top)).toFixed(0)}%`);
      tokens[at].style.setProperty("--by", at === query ? "0%" : `${(100 * Math.sqrt(Math.abs(back) / top)).toFixed(0)}%`);
      tokens[at].classList.toggle("against", out < 0);
      tokens[at].classList.toggle("itself", at === query);
    }
    row.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
    this.drawArcs(query, row.slice(0, ARCS).filter((one) => one.at !== query && Math.abs(one.value) >= 0.02 * top), top);
  }

  /** The pinned token into its box, never the page. */
  showToken() {
    const [box, token] = [this.flow, this.tokens[this.state.query]];
    const top = token.getBoundingClientRect().top - box.getBoundingClientRect().top + box.scrollTop;
    box.scrollTop = clamp(box.scrollTop, top - box.clientHeight + 60, top - 40);
  }

  /** Lines from a token to those it looks at most. @param {number} query @param {{at: number, value: number}[]} keys @param {number} top */
  drawArcs(query, keys, top) {
    const around = this.flow.getBoundingClientRect();
    const spot = (at) => {
      const box = this.tokens[at].getClientRects()[0] ?? this.tokens[at].getBoundingClientRect();
      return [box.left + box.width / 2 - around.left, box.top - around.top + this.flow.scrollTop + 1];
    };
    sized(this.arcs, Math.floor(this.flow.clientWidth), 1);
    const [x, y] = spot(query);
    this.arcs.replaceChildren(...keys.map(({ at, value }) => {
      const [to, height] = spot(at);
      const lift = 10 + Math.min(26, Math.abs(to - x) * 0.12);
      const size = Math.sqrt(Math.abs(value) / top);
      return s("path", { class: value < 0 ? "arc less" : "arc", d: `M${x.toFixed(1)},${y.toFixed(1)}C${x.toFixed(1)},${(y - lift).toFixed(1)} ${to.toFixed(1)},${(height - lift).toFixed(1)} ${to.toFixed(1)},${height.toFixed(1)}`, "stroke-width": (0.6 + 3 * size).toFixed(2), "stroke-opacity": (0.25 + 0.7 * size).toFixed(2) });
    }));
  }

  // --- colours ---------------------------------------------------------------------------------------

  /** The theme's colours, from nothing to the deepest, as words of a picture. */
  inks() {
    const style = getComputedStyle(this.root);
    const [paper, raised, more, less] = ["--paper", "--line", "--c1", "--c2"].map((name) => style.getPropertyValue(name).trim());
    const name = `${paper} ${raised} ${more} ${less}`;
    if (this.colours?.name === name) return this.colours;
    const steps = 255;
    const ramp = (to) => Uint32Array.from({ length: steps + 1 }, (_, at) => word(rgb(paper).map((from, index) => Math.round(from + ((rgb(to)[index] - from) * at) / steps))));
    const [along, against] = [ramp(more), ramp(less)];
    const none = word(rgb(paper).map((from, index) => Math.round(from + (rgb(raised)[index] - from) * 0.55)));
    const ink = (shade) => (shade < 0 ? against : along)[Math.min(steps, Math.round(Math.abs(shade) * steps))];
    return { name, none, ink };
  }

  /** @param {number} room */
  signature(room) {
    const what = `${clipped(this.data.text.replace(/\s+/g, " "), Math.max(20, room - 40))} · head ${this.name(this.state.head)}, ${this.weighs(this.state.weigh)}`;
    return [{ text: clipped(what, room) }, ...super.signature(room)];
  }
}

/** @param {string} colour as `#rrggbb` */
function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** A colour as a picture holds it. @param {number[]} colour */
function word([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** @param {string} text in base64 */
function bytes(text) {
  const raw = atob(text);
  const made = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at += 1) made[at] = raw.charCodeAt(at);
  return made;
}

/** Numbers of half precision, little end first. @param {string} text in base64 */
function halves(text) {
  const raw = bytes(text);
  const made = new Float32Array(raw.length / 2);
  for (let at = 0; at < made.length; at += 1) {
    const half = raw[2 * at] | (raw[2 * at + 1] << 8);
    const [power, rest] = [(half >> 10) & 31, half & 1023];
    const size = power === 0 ? rest * 2 ** -24 : power === 31 ? (rest ? NaN : Infinity) : (1024 + rest) * 2 ** (power - 25);
    made[at] = half & 0x8000 ? -size : size;
  }
  return made;
}

/** A matrix from its lower triangle, or from all of it. @param {Float32Array} numbers @param {number} count @param {boolean} triangle @param {number} scale */
function unpack(numbers, count, triangle, scale) {
  const made = new Float32Array(count * count);
  for (let row = 0, at = 0; row < count; row += 1) {
    for (let column = 0; column < (triangle ? row + 1 : count); column += 1, at += 1) made[row * count + column] = numbers[at] * scale;
  }
  return made;
}

/** A token without its leading space, in quotation marks; one that is a mark itself stays. @param {string} piece */
function named(piece) {
  return `“${piece.replace(/^·/, "") || piece}”`;
}

/** Across and down, for an arrow key by itself. @param {KeyboardEvent} event */
function arrows(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  return { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? null;
}
